/** Every export says in one sentence what it is, and every folder says what was decided there. */
import { expect, test } from "vitest";
import { isNode, lengthOf, nameOf, parse, read, type Source, type SyntaxNode, violation } from "./sources.js";

const SENTENCE_LENGTH_MAX = 160;

/** Exports without a docstring, or whose first sentence is not one or is too long for a table of contents. */
function badDocs(source: Source): string[] {
  const described = new Set<string>();
  return exportsOf(source).flatMap(({ name, offset }) => {
    // An overload is described with the first.
    if (described.has(name)) return [];
    described.add(name);
    const complaint = complaintAbout(docBefore(source.text, offset));
    return complaint === undefined ? [] : [violation(source, offset, `${name} ${complaint}`)];
  });
}

function complaintAbout(doc: string | undefined): string | undefined {
  if (doc === undefined) return "has no docstring";
  const sentence = firstSentence(doc);
  if (sentence === undefined) return "has a docstring whose first sentence does not end";
  const length = lengthOf(sentence);
  return length > SENTENCE_LENGTH_MAX ? `has a first sentence of ${length} characters` : undefined;
}

/** What a source exports of its own, and where each declaration starts. */
function exportsOf(source: Source): { name: string; offset: number }[] {
  const body = parse(source)["body"] as SyntaxNode[];
  const local = new Map(body.flatMap((node) => declaredBy(node).map((name) => [name, node.start])));
  return body.flatMap((node) => {
    if (node.type === "ExportDefaultDeclaration") return [{ name: "default", offset: node.start }];
    if (node.type !== "ExportNamedDeclaration" || isNode(node["source"])) return [];
    const [name, ...others] = declaredBy(node["declaration"]);
    if (name !== undefined) return [{ name: [name, ...others].join(", "), offset: node.start }];
    const names = (node["specifiers"] as SyntaxNode[]).map((specifier) => nameOf(specifier["local"])!);
    return names.flatMap((own) => (local.has(own) ? [{ name: own, offset: local.get(own)! }] : []));
  });
}

function declaredBy(node: unknown): string[] {
  if (!isNode(node)) return [];
  const declared = node.type === "VariableDeclaration" ? (node["declarations"] as SyntaxNode[]) : [node];
  return declared.flatMap(({ id }) => (isNode(id) ? [nameOf(id) ?? "pattern"] : []));
}

/** The docstring right above an offset: a blank line between makes it the file's own. */
function docBefore(text: string, offset: number): string | undefined {
  const above = text.slice(0, offset).replace(/(\n[ \t]*\/\/[^\n]*)+\n[ \t]*$/, "\n");
  const end = /\*\/[ \t]*\n?[ \t]*$/.exec(above)?.index;
  if (end === undefined) return undefined;
  const start = above.lastIndexOf("/*", end);
  return above.startsWith("/**", start) ? above.slice(start + 3, end) : undefined;
}

/** Up to the first period, colon or semicolon that ends a word, within the first paragraph. */
function firstSentence(doc: string): string | undefined {
  const [paragraph = ""] = doc
    .replaceAll(/^[ \t]*\*?[ \t]?/gm, "")
    .trim()
    .split(/\n[ \t]*\n|\n(?=@)/);
  return /^.+?[.:;](?=[)"'`]*(\s|$))/.exec(paragraph.replaceAll(/\s+/g, " "))?.[0];
}

/** Folders of src/ that lack a README.md, or a "## Decisions" section with something in it. */
function folderGaps(sources: readonly Source[], readmes: ReadonlyMap<string, string>): string[] {
  const folders = new Set(sources.flatMap(({ path }) => /^src\/[^/]+(?=\/)/.exec(path)?.[0] ?? []));
  return [...folders].flatMap((folder) => {
    const readme = readmes.get(`${folder}/README.md`);
    if (readme === undefined) return [`${folder}: no README.md`];
    const decisions = /^## Decisions\n((?:(?!# |## ).*\n?)*)/m.exec(readme)?.[1];
    return decisions?.trim() ? [] : [`${folder}/README.md: no section "## Decisions", or nothing in it`];
  });
}

test("every export of src/ has a docstring whose first sentence fits a table of contents", () => {
  expect(read(/^src\/.*\.ts$/).flatMap(badDocs)).toEqual([]);
});

test("every folder of src/ has a README.md with its decisions", () => {
  const readmes = read(/^src\/[^/]+\/README\.md$/).map(({ path, text }) => [path, text] as const);
  expect(folderGaps(read(/^src\/.*\.ts$/), new Map(readmes))).toEqual([]);
});

const NONE = "has no docstring";
const ENDLESS = "has a docstring whose first sentence does not end";

test.each([
  ["a function", "export function a(): void {}", `a ${NONE}`],
  ["a class", "export class A {}", `A ${NONE}`],
  ["a constant", "export const a = 1;", `a ${NONE}`],
  ["a type", "export type A = 1;", `A ${NONE}`],
  ["an interface", "export interface A {}", `A ${NONE}`],
  ["a default", "export default 1;", `default ${NONE}`],
  ["an export by name", "const a = 1;\nexport { a };", `a ${NONE}`],
  ["a comment of another kind", "// One.\nexport const a = 1;", `a ${NONE}`],
  ["a plain comment", "/* One. */\nexport const a = 1;", `a ${NONE}`],
  ["the file's own docstring", "/** The file. */\n\nexport const a = 1;", `a ${NONE}`],
  ["the docstring of the one above", "/** One. */\nexport const a = 1;\nexport const b = 2;", `b ${NONE}`],
  ["no end", "/** One */\nexport const a = 1;", `a ${ENDLESS}`],
  ["no end but a number's", "/** Half is 0.5 */\nexport const a = 1;", `a ${ENDLESS}`],
  ["an end in the second paragraph", "/**\n * One\n *\n * Two.\n */\nexport const a = 1;", `a ${ENDLESS}`],
  ["too long", `/** ${"x".repeat(160)}. */\nexport const a = 1;`, "a has a first sentence of 161 characters"],
])("an export that says too little is seen: %s", (_, text, complaint) => {
  const found = badDocs({ path: "src/a/a.ts", text });
  expect(found).toEqual([expect.stringMatching(/^src\/a\/a\.ts:\d: /)]);
  expect(found[0]).toContain(complaint);
});

test.each([
  ["a sentence", "/** One. */\nexport const a = 1;"],
  ["a sentence and more", "/**\n * One is VIRTIO 1.3 or so; and\n * more\n */\nexport function a(): void {}"],
  ["a heading of a list", "/** Ones:\n * - one\n */\nexport type A = 1;"],
  ["a sentence in brackets", "/** One (two.) */\nexport const a = 1;"],
  ["a remark for the linter between", "/** One. */\n// biome-ignore lint: why\nexport const a = 1;"],
  ["an overload", "/** One. */\nexport function a(x: 1): void;\nexport function a(x: 2): void;"],
  ["an export by name", "/** One. */\nconst a = 1;\nexport { a };"],
  ["what another file describes", 'export { a } from "./a.js";'],
  ["what is not exported", "const a = 1;"],
])("an export that says enough passes: %s", (_, text) => {
  expect(badDocs({ path: "src/a/a.ts", text })).toEqual([]);
});

test("a folder without decisions is seen", () => {
  const sources = ["a", "b", "c", "d"].map((name) => ({ path: `src/${name}/x.ts`, text: "" }));
  const readmes = new Map([
    ["src/b/README.md", "# b\n\nWhat it is.\n"],
    ["src/c/README.md", "# c\n\n## Decisions\n\n## Next\n\nText.\n"],
    ["src/d/README.md", "# d\n\n## Decisions\n\n- **So.** Because.\n"],
  ]);
  expect(folderGaps(sources, readmes)).toEqual([
    "src/a: no README.md",
    'src/b/README.md: no section "## Decisions", or nothing in it',
    'src/c/README.md: no section "## Decisions", or nothing in it',
  ]);
});
