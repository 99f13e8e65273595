import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Where the areas and event words of one ring lie, in bytes from its start, at one alignment of the used ring. */
interface RingTable {
  readonly vring_size: number;
  readonly avail: number;
  readonly vring_used_event: number;
  readonly used: number;
  readonly vring_avail_event: number;
}

/** One struct: its size and, by field, the offset and size in bytes; a flexible array has the size of one element. */
export interface StructTable {
  readonly size: number;
  readonly fields: Readonly<Record<string, { readonly offset: number; readonly size: number }>>;
}

/** What one version of the kernel headers says on one architecture: the document that layout.c prints. */
export interface LayoutTable {
  readonly headers: { readonly version: string; readonly LINUX_VERSION_CODE: number };
  readonly arch: string;
  readonly endianness: "little" | "big";
  readonly structs: Readonly<Record<string, StructTable>>;
  readonly constants: Readonly<Record<string, number>>;
  /** One entry per legal ring size, from 1 to 32768. */
  readonly rings: readonly { readonly num: number; readonly align4: RingTable; readonly align4096: RingTable }[];
}

/** A table, or one sentence that says why there is none. */
export type Probe = { readonly table: LayoutTable } | { readonly why: string };

/** The folder of layout.c and tables/, whether this runs as source or from dist/. */
export const NATIVE_LAYOUT_DIR = findFolder();

/**
 * Asks this machine's kernel headers: compiles layout.c in a temporary folder, runs it and parses what it printed.
 *
 * `cc` is one command name, from `$CC` by default. Throws nothing for a missing compiler or header: that is a `why`.
 */
export function probeLayout(cc = process.env["CC"] || "cc"): Probe {
  const folder = mkdtempSync(join(tmpdir(), "shadowvq-layout-"));
  try {
    const program = join(folder, "layout");
    const compiled = run(cc, ["-std=gnu11", "-o", program, join(NATIVE_LAYOUT_DIR, "layout.c")]);
    if ("why" in compiled) return { why: `${cc} could not compile layout.c: ${compiled.why}` };
    const printed = run(program, []);
    if ("why" in printed) return { why: `the compiled layout.c failed: ${printed.why}` };
    return { table: JSON.parse(printed.stdout) as LayoutTable };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The file name of a table: linux-<version>-<arch>.json. */
export function tableName(table: LayoutTable): string {
  return `linux-${table.headers.version}-${table.arch}.json`;
}

function run(command: string, args: readonly string[]): { readonly stdout: string } | { readonly why: string } {
  const { error, status, signal, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (error) return { why: error.message };
  if (status === 0) return { stdout };
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  return { why: lines.find((line) => line.includes("error")) ?? lines[0] ?? `ended with ${signal ?? status}` };
}

function findFolder(): string {
  let root = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(root, "native-layout", "layout.c"))) {
    if (root === dirname(root)) throw new Error("native-layout/layout.c is in no folder above this module");
    root = dirname(root);
  }
  return join(root, "native-layout");
}
