/** What the house rules look at: the files of the repository, and the syntax trees of its sources. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAst } from "vitest/node";

/** The directory of package.json. */
export const ROOT = join(import.meta.dirname, "..", "..");

/** One file; `path` is relative to the root and has slashes. A twin makes one up. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/** A node of a syntax tree (ESTree, with TypeScript's nodes); offsets count UTF-16 units of the text. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

/** An import of any kind: `import`, `export … from`, `import()`, `require()`, `import("…").Type`. */
export interface Import {
  /** Undefined when it is computed. */
  readonly specifier: string | undefined;
  readonly line: number;
  readonly typeOnly: boolean;
}

/** Folders that no rule looks into where git cannot say what is ignored. */
const NOT_OURS = new Set([".git", "node_modules", "dist", "coverage"]);

/** What git knows of, or nothing where this is no checkout; `flags` as for git ls-files. */
export function gitFiles(...flags: string[]): string[] | undefined {
  const { status, stdout } = spawnSync("git", ["ls-files", "-z", ...flags], { cwd: ROOT, encoding: "utf8" });
  const paths = stdout?.split("\0").filter((path) => path !== "") ?? [];
  // An unpacked archive inside somebody else's checkout has no files of its own there.
  return status === 0 && paths.includes("package.json") ? paths : undefined;
}

/** Every file that is committed or could be, sorted. */
function repositoryFiles(): string[] {
  const known = gitFiles("--cached", "--others", "--exclude-standard");
  const paths = known?.filter((path) => existsSync(join(ROOT, path))) ?? filesBelow("");
  return [...new Set(paths)].sort();
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : filesBelow(path);
    return entry.isFile() ? [path] : [];
  });
}

/** Reads the files whose path matches; never none, since a rule without files would hold of anything. */
export function read(pattern: RegExp): Source[] {
  const sources = repositoryFiles()
    .filter((path) => pattern.test(path))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
  if (sources.length === 0) throw new Error(`no file matches ${pattern}`);
  return sources;
}

/** The trees so far, by text: where the rules share a process they share these. */
const trees = new Map<string, SyntaxNode>();

/** The syntax tree of a TypeScript source; throws naming the file when it has none. */
export function parse({ path, text }: Source): SyntaxNode {
  const known = trees.get(text);
  if (known !== undefined) return known;
  try {
    const tree = parseAst(text, { lang: "ts" }) as unknown as SyntaxNode;
    trees.set(text, tree);
    return tree;
  } catch (error) {
    throw new Error(`${path} cannot be parsed`, { cause: error });
  }
}

/** Visits a node and all below it, in the order of the text as far as the tree keeps it. */
export function walk(
  node: SyntaxNode,
  visit: (node: SyntaxNode, parent: SyntaxNode | undefined) => void,
  parent?: SyntaxNode,
): void {
  visit(node, parent);
  for (const child of children(node)) walk(child, visit, node);
}

/** The nodes directly below a node. */
function children(node: SyntaxNode): SyntaxNode[] {
  return Object.values(node).flatMap((value) => (Array.isArray(value) ? value : [value]).filter(isNode));
}

/** Whether a field of a node is a node. */
export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && typeof (value as { type?: unknown }).type === "string";
}

/** The name of an identifier, `#name` of a private one, the value of a string; undefined for anything else. */
export function nameOf(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === "Identifier") return String(node["name"]);
  if (node.type === "PrivateIdentifier") return `#${String(node["name"])}`;
  return node.type === "Literal" && typeof node["value"] === "string" ? node["value"] : undefined;
}

/** The number of the line, from 1, on which an offset lies. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

/** How many characters a text has; one that is stored as two units counts once. */
export function lengthOf(text: string): number {
  return Array.from(text).length;
}

/** How a violation is printed: where, then what. */
export function violation({ path, text }: Source, offset: number, what: string): string {
  return `${path}:${lineAt(text, offset)}: ${what}`;
}

/** All imports of a source, of every kind. */
export function importsOf(source: Source): Import[] {
  const found: Import[] = [];
  walk(parse(source), (node) => {
    const imported = importedBy(node);
    if (imported === undefined) return;
    const typeOnly = node["importKind"] === "type" || node["exportKind"] === "type" || node.type === "TSImportType";
    found.push({ specifier: literal(imported), line: lineAt(source.text, node.start), typeOnly });
  });
  return found;
}

function importedBy(node: SyntaxNode): unknown {
  switch (node.type) {
    case "ImportDeclaration":
    case "ImportExpression":
    case "ExportAllDeclaration":
    case "TSImportType":
      return node["source"];
    case "ExportNamedDeclaration":
      return node["source"] ?? undefined;
    case "CallExpression":
      return nameOf(node["callee"]) === "require" ? (node["arguments"] as unknown[])[0] : undefined;
    default:
      return undefined;
  }
}

function literal(node: unknown): string | undefined {
  const { type, expressions, quasis } = node as Record<string, unknown>;
  if (type !== "TemplateLiteral") return nameOf((node as { type: string }).type === "Literal" ? node : undefined);
  const [only] = quasis as { value: { cooked: string } }[];
  return (expressions as unknown[]).length === 0 ? only?.value.cooked : undefined;
}

/** Every name that a source refers to, members with their object: `Atomics.wait`, `process.hrtime`, `new Date`. */
export function referencesOf(source: Source): { readonly name: string; readonly offset: number }[] {
  const found: { name: string; offset: number }[] = [];
  const follow = (node: SyntaxNode): void => {
    const name = dottedName(node);
    if (name !== undefined) {
      found.push({ name, offset: node.start });
      return;
    }
    if (node.type === "NewExpression") {
      const made = dottedName(node["callee"]);
      if (made !== undefined) found.push({ name: `new ${made}`, offset: node.start });
    }
    const key = node["computed"] === true || node["shorthand"] === true ? undefined : (node["key"] ?? undefined);
    for (const child of children(node)) if (child !== key) follow(child);
  };
  follow(parse(source));
  return found;
}

/** `a.b.c` as written, without `globalThis.`; undefined for what is not a plain chain of names. */
function dottedName(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === "ThisExpression") return "this";
  if (node.type === "Identifier") return nameOf(node);
  if (node.type === "ChainExpression") return dottedName(node["expression"]);
  if (node.type !== "MemberExpression") return undefined;
  const object = dottedName(node["object"]);
  const computed = node["computed"] === true && (node["property"] as SyntaxNode).type !== "Literal";
  const property = computed ? undefined : nameOf(node["property"]);
  if (object === undefined || property === undefined) return undefined;
  return object === "globalThis" ? property : `${object}.${property}`;
}
