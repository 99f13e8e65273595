/** Small pieces: a function fits on a screen, a file on a few, a line in an editor, and a name says what is inside. */
import { expect, test } from "vitest";
import { lengthOf, lineAt, nameOf, parse, read, type Source, type SyntaxNode, walk } from "./sources.js";

const FUNCTION_LINES_MAX = 60;
const FILE_LINES_MAX = 300;
const LINE_LENGTH_MAX = 120;
/** A test's title stays on one line with its ids, so that a search finds both. */
const TEST_TITLE = /^\s*(?:(?:it|test|describe)\(|["`]).*["`],/;

/** What is longer than the rule, how long it may be, and why; lower the number when it shrinks. */
interface Longer {
  readonly what: string;
  readonly linesMax: number;
  readonly because: string;
}

const LONG_FUNCTIONS: readonly Longer[] = [
  {
    what: "src/relay/shadow-virtqueue.ts #shadowChains",
    linesMax: 120,
    because: "one flat loop that streams a batch: handing each chain from object to object costs twice the time",
  },
  {
    what: "src/relay/shadow-virtqueue.ts #returnChains",
    linesMax: 80,
    because: "the way back, flat for the same reason",
  },
];

const LONG_FILES: readonly Longer[] = [
  {
    what: "src/relay/shadow-virtqueue.ts",
    linesMax: 536,
    because: "the two flat loops and the rules they call share private books that nothing else may touch",
  },
];

const FUNCTIONS = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"]);

/** Functions above the limit, and entries that are no longer needed. */
function longFunctions(sources: readonly Source[], allowed = LONG_FUNCTIONS): string[] {
  return judged(
    sources.flatMap((source) => functionsOf(source)),
    allowed,
    FUNCTION_LINES_MAX,
  );
}

/** Files above the limit, and entries that are no longer needed. */
function longFiles(sources: readonly Source[], allowed = LONG_FILES): string[] {
  const measured = sources.map(({ path, text }) => ({ what: path, where: `${path}:1`, lines: lineCount(text) }));
  return judged(measured, allowed, FILE_LINES_MAX);
}

interface Measured {
  readonly what: string;
  readonly where: string;
  readonly lines: number;
}

function judged(measured: readonly Measured[], allowed: readonly Longer[], linesMax: number): string[] {
  const limits = new Map(allowed.map((entry) => [entry.what, entry.linesMax]));
  const tooLong = measured.flatMap(({ what, where, lines }) => {
    const limit = limits.get(what) ?? linesMax;
    return lines <= limit ? [] : [`${where}: ${lines} lines, at most ${limit} (${what})`];
  });
  const idle = allowed.filter(({ what }) => !measured.some((item) => item.what === what && item.lines > linesMax));
  return [...tooLong, ...idle.map(({ what }) => `${what}: no longer needs its entry`)];
}

function functionsOf(source: Source): Measured[] {
  const { path, text } = source;
  const found: Measured[] = [];
  // Parsing is the cost of this test, and only a long file can hold a long function.
  if (lineCount(text) <= FUNCTION_LINES_MAX) return found;
  walk(parse(source), (node, parent) => {
    if (!FUNCTIONS.has(node.type)) return;
    const first = lineAt(text, node.start);
    const what = `${path} ${nameOf(node["id"] ?? namer(parent)) ?? "function"}`;
    found.push({ what, where: `${path}:${first}`, lines: lineAt(text, node.end) - first + 1 });
  });
  return found;
}

function namer(parent: SyntaxNode | undefined): unknown {
  return parent?.type === "VariableDeclarator" ? parent["id"] : parent?.["key"];
}

function lineCount(text: string): number {
  return text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
}

/** Lines above the limit; a character counts once, however it is stored. */
function longLines(sources: readonly Source[]): string[] {
  return sources.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, index) => {
      const length = lengthOf(line);
      const fits = length <= LINE_LENGTH_MAX || (path.startsWith("test/") && TEST_TITLE.test(line));
      return fits ? [] : [`${path}:${index + 1}: ${length} characters in a line`];
    }),
  );
}

/** Names that are not kebab-case, and files that only pass on what others export. */
function badNames(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const [file = "", ...folders] = path.split("/").reverse();
    if (/^index\.[a-z.]*ts$/.test(file)) return [`${path}: no index.ts; import the file that has it`];
    const plain = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|bench|worker|d))?\.ts$/.test(file);
    const plainFolders = folders.every((folder) => /^[a-z0-9]+(-[a-z0-9]+)*$/.test(folder));
    return plain && plainFolders ? [] : [`${path}: not kebab-case`];
  });
}

const OURS = /^(src|bench|native-layout|test)\/.*\.ts$/;
const PRODUCT = /^(src|bench|native-layout)\/.*\.ts$/;

test(`no function has more than ${FUNCTION_LINES_MAX} lines, but for a few with a reason`, () => {
  expect(longFunctions(read(PRODUCT))).toEqual([]);
});

test(`no file has more than ${FILE_LINES_MAX} lines, but for a few with a reason`, () => {
  expect(longFiles(read(PRODUCT))).toEqual([]);
});

test(`no line has more than ${LINE_LENGTH_MAX} characters`, () => {
  expect(longLines(read(OURS))).toEqual([]);
});

test("files are named in kebab-case, and none is index.ts", () => {
  expect(badNames(read(OURS).map(({ path }) => path))).toEqual([]);
});

const lines = (count: number) => "  run();\n".repeat(count);

test.each([
  ["long", `function long() {\n${lines(59)}}`],
  ["long", `const long = () => {\n${lines(59)}};`],
  ["#long", `class A {\n  #long() {\n${lines(59)}}\n}`],
  ["long", `const it = {\n  long() {\n${lines(59)}}\n};`],
  ["function", `each(() => {\n${lines(59)}});`],
])("a long function is seen: %s", (name, text) => {
  const found = longFunctions([{ path: "src/a/a.ts", text }], []);
  expect(found).toEqual([expect.stringMatching(/^src\/a\/a\.ts:\d: 61 lines, at most 60 /)]);
  expect(found[0]).toContain(`(src/a/a.ts ${name})`);
  expect(longFunctions([{ path: "src/a/a.ts", text: text.replace("  run();\n", "") }], [])).toEqual([]);
});

test("a long file is seen", () => {
  expect(longFiles([{ path: "src/a/a.ts", text: lines(300) }], [])).toEqual([]);
  expect(longFiles([{ path: "src/a/a.ts", text: lines(301) }], [])).toEqual([
    "src/a/a.ts:1: 301 lines, at most 300 (src/a/a.ts)",
  ]);
});

test("an entry has a limit too, and fails when it is no longer needed", () => {
  const allowed = [{ what: "src/a/a.ts", linesMax: 400, because: "why" }];
  const file = (count: number) => [{ path: "src/a/a.ts", text: lines(count) }];
  expect(longFiles(file(350), allowed)).toEqual([]);
  expect(longFiles(file(401), allowed)).toEqual(["src/a/a.ts:1: 401 lines, at most 400 (src/a/a.ts)"]);
  expect(longFiles(file(200), allowed)).toEqual(["src/a/a.ts: no longer needs its entry"]);
  expect(longFiles([], allowed)).toEqual(["src/a/a.ts: no longer needs its entry"]);
});

test("a long line is seen, counted in characters", () => {
  const text = `ok\n${"–".repeat(120)}\n${"x".repeat(121)}`;
  expect(longLines([{ path: "a.ts", text }])).toEqual(["a.ts:3: 121 characters in a line"]);
  const title = `  it("${"x".repeat(121)}", () => {`;
  expect(longLines([{ path: "test/a.test.ts", text: title }])).toEqual([]);
  expect(longLines([{ path: "src/a.ts", text: title }])).toHaveLength(1);
});

test("a bad name is seen", () => {
  expect(badNames(["src/a/index.ts", "src/a/BadName.ts", "src/a_b/c.ts", "src/a/ok-2.worker.ts"])).toEqual([
    "src/a/index.ts: no index.ts; import the file that has it",
    "src/a/BadName.ts: not kebab-case",
    "src/a_b/c.ts: not kebab-case",
  ]);
});
