import { parse, type Source, type SyntaxNode, walk } from "../house/sources.js";
import type { Statement } from "./statements.js";

/** Where a test names a statement. */
export interface Mention {
  readonly path: string;
  /** The title, or the part of it that a table holds. */
  readonly title: string;
}

/** What the tests of a tree say of the statements. */
export interface Coverage {
  readonly statements: readonly Statement[];
  /** By id: the tests that name it. */
  readonly tests: ReadonlyMap<string, readonly Mention[]>;
  /** Ids that need a test and have none. */
  readonly missing: readonly string[];
  /** Titles that name what there is not, or what is said to have no test. */
  readonly wrong: readonly string[];
}

/** How many statements of a group are in which state. */
export interface Tally {
  readonly statements: number;
  readonly tested: number;
  readonly not_applicable: number;
  readonly not_yet: number;
  readonly missing: readonly string[];
}

const ID = /\b(?:STAT|FEAT|RFB|INIT|RESET|VQR|CLEAN|SUSP|SPLIT|INDIR|NOTIF|PACKED|IMPL|TOL)-\d+\b/g;

/** Every id in a string of a source: a title, or a table from which titles are made. What a comment says is no test. */
export function mentions(source: Source): [id: string, mention: Mention][] {
  if (source.text.search(ID) < 0) return [];
  const found: [string, Mention][] = [];
  walk(parse(source), (node) => {
    const title = textOf(node);
    for (const [id] of title?.matchAll(ID) ?? []) found.push([id, { path: source.path, title: title! }]);
  });
  return found;
}

/** Holds the strings of test sources against the statements. */
export function coverage(statements: readonly Statement[], sources: readonly Source[]): Coverage {
  const tests = new Map<string, Mention[]>();
  for (const [id, mention] of sources.flatMap(mentions)) tests.set(id, [...(tests.get(id) ?? []), mention]);
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

/** Counts the statements of a coverage that `among` picks. */
export function tally({ statements, missing }: Coverage, among: (statement: Statement) => boolean): Tally {
  const chosen = statements.filter(among);
  const of = (kind: string) => chosen.filter(({ untested }) => untested?.kind === kind).length;
  const ids = chosen.map(({ id }) => id).filter((id) => missing.includes(id));
  const [notApplicable, notYet] = [of("not applicable"), of("not yet")];
  return {
    statements: chosen.length,
    tested: chosen.length - notApplicable - notYet - ids.length,
    not_applicable: notApplicable,
    not_yet: notYet,
    missing: ids,
  };
}

/** The family of an id: what stands before its number. */
export function familyOf(id: string): string {
  return id.slice(0, id.indexOf("-"));
}

/** The text of a string or of the fixed parts of a template; undefined for any other node. */
function textOf(node: SyntaxNode): string | undefined {
  if (node.type === "Literal") return typeof node["value"] === "string" ? node["value"] : undefined;
  if (node.type !== "TemplateLiteral") return undefined;
  return (node["quasis"] as { value: { cooked: string } }[]).map(({ value }) => value.cooked).join("…");
}
