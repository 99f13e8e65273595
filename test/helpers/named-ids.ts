/** Which tests name which numbered statements, and which statements no test names. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse, type Source, type SyntaxNode, walk } from "../house/sources.js";

/** Something with a number, which a test can name in its title. */
export interface Numbered {
  readonly id: string;
  /** Why no test names it; undefined for those that need one. */
  readonly untested?: { readonly kind: string; readonly why: string };
}

/** Where a test names an id. */
interface Mention {
  readonly path: string;
  /** The title, or the part of it that a table holds. */
  readonly title: string;
}

/** What the tests of a tree say of numbered statements. */
export interface Coverage<T extends Numbered> {
  readonly statements: readonly T[];
  /** By id: the tests that name it. */
  readonly tests: ReadonlyMap<string, readonly Mention[]>;
  /** Ids that need a test and have none. */
  readonly missing: readonly string[];
  /** Titles that name what there is not, or what is said to have no test. */
  readonly wrong: readonly string[];
}

/** Every id in a string of a source: a title, or a table from which titles are made. What a comment says is no test. */
export function mentions(source: Source, pattern: RegExp): [id: string, mention: Mention][] {
  if (source.text.search(pattern) < 0) return [];
  const found: [string, Mention][] = [];
  walk(parse(source), (node) => {
    const title = textOf(node);
    for (const [id] of title?.matchAll(pattern) ?? []) found.push([id, { path: source.path, title: title! }]);
  });
  return found;
}

/** Holds the strings of test sources against statements; `pattern` finds ids, and has the flag g. */
export function coverage<T extends Numbered>(
  statements: readonly T[],
  sources: readonly Source[],
  pattern: RegExp,
): Coverage<T> {
  const tests = new Map<string, Mention[]>();
  for (const source of sources) {
    for (const [id, mention] of mentions(source, pattern)) tests.set(id, [...(tests.get(id) ?? []), mention]);
  }
  const known = new Map(statements.map((statement) => [statement.id, statement]));
  const wrong = [...tests].flatMap(([id, [first]]) => {
    const { path, title } = first!;
    const statement = known.get(id);
    if (statement === undefined) return [`${path}: there is no statement ${id} ("${title}")`];
    const { kind } = statement.untested ?? {};
    return kind === undefined ? [] : [`${path}: ${id} is down as ${kind}, and has a test ("${title}")`];
  });
  const missing = statements.filter(({ id, untested }) => untested === undefined && !tests.has(id));
  return { statements, tests, missing: missing.map(({ id }) => id), wrong };
}

/** Each reason for having no test, with the ids it holds for. */
export function reasons(statements: readonly Numbered[]): string[] {
  const groups = new Map<string, string[]>();
  for (const { id, untested } of statements) {
    if (untested === undefined) continue;
    const reason = `${untested.kind}: ${untested.why}`;
    groups.set(reason, [...(groups.get(reason) ?? []), id]);
  }
  return [...groups].map(([reason, ids]) => `${reason}\n  ${ids.join(" ")}`);
}

/** Where an id is tested, a line each; why it is not, or that it should be. */
export function placesOf<T extends Numbered>({ tests }: Coverage<T>, { id, untested }: T): [string, ...string[]] {
  const [first, ...others] = (tests.get(id) ?? []).map(({ path, title }) => `${path}: ${title}`);
  return [first ?? (untested === undefined ? "missing" : `${untested.kind}: ${untested.why}`), ...others];
}

/** The sources of the tests and of their tables, but for a folder in which every id stands. */
export function testSources(without: string, root = packageFolder()): Source[] {
  return readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .map((path) => `test/${path.replaceAll("\\", "/")}`)
    .filter((path) => path.endsWith(".ts") && !path.startsWith(`${without}/`))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

/** The folder of package.json, above wherever this was built to. */
function packageFolder(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return folder;
}

/** The text of a string or of the fixed parts of a template; undefined for any other node. */
function textOf(node: SyntaxNode): string | undefined {
  if (node.type === "Literal") return typeof node["value"] === "string" ? node["value"] : undefined;
  if (node.type !== "TemplateLiteral") return undefined;
  return (node["quasis"] as { value: { cooked: string } }[]).map(({ value }) => value.cooked).join("…");
}
