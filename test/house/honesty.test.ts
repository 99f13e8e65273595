/** Nothing pretends: no test is left out in silence, nothing is half done, and what the README says can be typed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  gitFiles,
  isNode,
  nameOf,
  parse,
  ROOT,
  read,
  type Source,
  type SyntaxNode,
  violation,
  walk,
} from "./sources.js";

const OMISSIONS = new Set(["skip", "only", "todo"]);

/** Tests that are left out, or leave out the others, without a reason that a reader of the results gets to see. */
function silentOmissions(source: Source): string[] {
  if (!/\b(skip|only|todo)\b/.test(source.text)) return [];
  const found: string[] = [];
  walk(parse(source), (node) => {
    const how = omission(node);
    if (how !== undefined) found.push(violation(source, node.start, how));
  });
  return found;
}

function omission(node: SyntaxNode): string | undefined {
  if (node.type === "MemberExpression") {
    const name = nameOf(node["property"]) ?? "";
    return OMISSIONS.has(name) && isRunner(node["object"]) ? `.${name}: leave out with ctx.skip("why")` : undefined;
  }
  if (node.type !== "CallExpression") return undefined;
  const args = node["arguments"] as SyntaxNode[];
  if (isSkip(node["callee"]) && !saysWhy(args)) return "skip() without a reason";
  const option = isRunner(node["callee"]) ? args.flatMap(omittingOptions)[0] : undefined;
  return option === undefined ? undefined : `${option}: true: leave out with ctx.skip("why")`;
}

/** `test` and its like, also as `test.concurrent` or `describe.each(…)`. */
function isRunner(node: unknown): boolean {
  if (!isNode(node)) return false;
  if (node.type === "MemberExpression") return isRunner(node["object"]);
  if (node.type === "CallExpression" || node.type === "TaggedTemplateExpression") {
    return isRunner(node["callee"] ?? node["tag"]);
  }
  return ["test", "it", "describe", "suite", "bench"].includes(nameOf(node) ?? "");
}

function isSkip(callee: unknown): boolean {
  if (!isNode(callee)) return false;
  if (callee.type === "Identifier") return nameOf(callee) === "skip";
  if (callee.type !== "MemberExpression" || nameOf(callee["property"]) !== "skip") return false;
  return ["ctx", "context"].includes(nameOf(callee["object"]) ?? "");
}

/** ctx.skip(note) and ctx.skip(condition, note). */
function saysWhy(args: readonly SyntaxNode[]): boolean {
  const note = args.length > 1 ? args[1] : args[0];
  if (note === undefined) return false;
  return note.type !== "Literal" || (nameOf(note) ?? "").trim() !== "";
}

function omittingOptions(arg: SyntaxNode): string[] {
  if (arg.type !== "ObjectExpression") return [];
  return (arg["properties"] as SyntaxNode[]).flatMap(({ key, value }) => {
    const on = isNode(value) && value["value"] === true;
    return on && OMISSIONS.has(nameOf(key) ?? "") ? [nameOf(key)!] : [];
  });
}

const UNFINISHED = /\b(TODO|FIXME|XXX|HACK)\b|\b[Ff]or[\s*]+now\b|\b[Nn]ot[\s*/]+(yet[\s*/]+)?implemented\b/g;

/** Marks of what is half done. */
function unfinished(source: Source): string[] {
  return [...source.text.matchAll(UNFINISHED)].map((match) => violation(source, match.index, match[0]));
}

/** Paths of the machine somebody worked on. */
function machinePaths(source: Source): string[] {
  return [...source.text.matchAll(/(?<![\w.~:})*>-])\/(work|home|root)\/\w*/g)].map((match) =>
    violation(source, match.index, `${match[0]} is a path of one machine`),
  );
}

/** npm scripts that a text names and package.json lacks. */
function missingScripts(source: Source, scripts: ReadonlySet<string>): string[] {
  const named = source.text.matchAll(/\bnpm (?:run(?: -s| --silent)? (?<run>[a-z][\w:-]*)|(?<short>test|start)\b)/g);
  return [...named].flatMap((match) => {
    const script = match.groups?.["run"] ?? match.groups?.["short"] ?? "";
    return scripts.has(script) ? [] : [violation(source, match.index, `there is no script ${script}`)];
  });
}

/** Commands of svq that a text shows (after npx, in a code span, on a line of code) and that do not exist. */
function missingCommands({ path, text }: Source, commands: ReadonlySet<string>): string[] {
  let code = false;
  return text.split("\n").flatMap((line, index) => {
    if (line.startsWith("```")) code = !code;
    const shown = code ? /(?:^(?:\$ )?|npx --no-install )svq ([a-z-]+)/g : /(?:`|npx --no-install )svq ([a-z-]+)/g;
    return [...line.matchAll(shown)].flatMap(([, command = ""]) =>
      commands.has(command) || command.startsWith("-")
        ? []
        : [`${path}:${index + 1}: there is no command svq ${command}`],
    );
  });
}

/** The commands that src/cli declares, in commander's words. */
function declaredCommands(sources: readonly Source[]): Set<string> {
  const declaration = /(?:\.command|new Command|createCommand)\(\s*["'`]([a-z][a-z-]*)/g;
  return new Set(sources.flatMap(({ text }) => [...text.matchAll(declaration)].map((match) => match[1]!)));
}

/** Files that a tool made and git keeps; tables of native-layout/ are evidence, not output. */
function generated(paths: readonly string[]): string[] {
  const made =
    /(^|\/)(node_modules|dist|coverage)\/|\.tsbuildinfo$|^(src|test|bench|native-layout)\/.*\.(js|d\.ts|map)$/;
  return paths.filter((path) => made.test(path));
}

const TEXTS = /^(?!package-lock\.json$).*\.(ts|c|h|md|json|ya?ml|html|css|sh)$|^\.ci\/|^[^/.]+$|^\.[^/]+$/;
const DOCUMENTS = /^(?!CHANGELOG\.md$).*\.md$/;

test("no test is left out, and none leaves out the others, without saying why", () => {
  expect(read(/^(test|bench)\/.*\.ts$/).flatMap(silentOmissions)).toEqual([]);
});

test("nothing in src/ is marked as half done", () => {
  expect(read(/^src\//).flatMap(unfinished)).toEqual([]);
});

test("no file names a path of one machine", () => {
  expect(read(TEXTS).flatMap(machinePaths)).toEqual([]);
});

test("the npm scripts that documents name exist", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: object };
  expect(read(DOCUMENTS).flatMap((source) => missingScripts(source, new Set(Object.keys(scripts))))).toEqual([]);
});

test("the commands of svq that README.md shows exist", (ctx) => {
  const readme = read(DOCUMENTS).filter(({ path }) => path === "README.md");
  if (readme.length === 0) return ctx.skip("there is no README.md");
  const commands = declaredCommands(read(/^src\/cli\/.*\.ts$/));
  expect(readme.flatMap((source) => missingCommands(source, commands))).toEqual([]);
});

test("git keeps nothing that a tool makes", (ctx) => {
  const tracked = gitFiles();
  if (tracked === undefined) return ctx.skip("this is no git checkout");
  expect(generated(tracked)).toEqual([]);
});

const TEST_FILE = "test/a/a.test.ts";

test.each([
  ["test.skip('a', run);", ".skip"],
  ["describe.concurrent.only('a', run);", ".only"],
  ["it.todo('a');", ".todo"],
  ["it.skip.each([1])('a', run);", ".skip"],
  ["test('a', (ctx) => ctx.skip());", "skip() without a reason"],
  ["test('a', (ctx) => ctx.skip(''));", "skip() without a reason"],
  ["test('a', (ctx) => ctx.skip(true));", "skip() without a reason"],
  ["test('a', ({ skip }) => skip());", "skip() without a reason"],
  ["test('a', { skip: true }, run);", "skip: true"],
  ["test.each([1])('a', { only: true }, run);", "only: true"],
])("a silent omission is seen: %s", (line, expected) => {
  const found = silentOmissions({ path: TEST_FILE, text: `\n${line}` });
  expect(found).toEqual([expect.stringContaining(`${TEST_FILE}:2: `)]);
  expect(found[0]).toContain(expected);
});

test.each([
  "test('a', (ctx) => ctx.skip('no compiler'));",
  "test('a', (ctx) => ctx.skip(probe.why));",
  "test('a', (ctx) => ctx.skip(!here, 'no ' + what));",
  "test.runIf(here)('a', run);",
  "reader.skip(4); cursor.only(); // test.only('a')",
  "test('a', { skip: false }, run);",
])("what says why, or leaves nothing out, passes: %s", (text) => {
  expect(silentOmissions({ path: TEST_FILE, text })).toEqual([]);
});

test("half done work is seen, whatever its mark", () => {
  const marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "For " + "now", "for\n * " + "now", "not " + "implemented"];
  for (const mark of marks) expect(unfinished({ path: "src/a/a.ts", text: `// ${mark}, a` }), mark).toHaveLength(1);
  const text = "TODOS, before nowhere, implemented, forenow";
  expect(unfinished({ path: "src/a/a.ts", text })).toEqual([]);
});

test("a path of one machine is seen", () => {
  for (const folder of ["work", "home", "root"]) {
    expect(machinePaths({ path: "a.md", text: `see\n"/${folder}/x"` })).toEqual([
      `a.md:2: /${folder}/x is a path of one machine`,
    ]);
  }
  expect(machinePaths({ path: "a.md", text: "src/work/x https://a.org/home/x ~/work/x /proc/x /roots/x" })).toEqual([]);
});

test("a script or a command that does not exist is seen", () => {
  const text = [
    "`npm run check`, `npm run gone` and",
    "npm test",
    "svq path in prose, `svq lost`",
    "npx --no-install svq none",
    "```sh",
    "$ svq bench",
    "svq gone --quick",
    "svq --help",
    "```",
  ].join("\n");
  const source = { path: "README.md", text };
  expect(missingScripts(source, new Set(["check"]))).toEqual([
    "README.md:1: there is no script gone",
    "README.md:2: there is no script test",
  ]);
  const cli = declaredCommands([{ path: "src/cli/bench.ts", text: 'program.command("bench [file]");' }]);
  expect(missingCommands(source, cli)).toEqual([
    "README.md:3: there is no command svq lost",
    "README.md:4: there is no command svq none",
    "README.md:7: there is no command svq gone",
  ]);
});

test("a generated file is seen", () => {
  const made = ["dist/src/a.js", "coverage/x.json", ".tsbuildinfo", "src/a/a.js", "test/a.d.ts"];
  expect(generated([...made, "src/a/a.ts", "native-layout/tables/linux.json"])).toEqual(made);
});
