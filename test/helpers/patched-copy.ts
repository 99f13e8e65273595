import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const SRC = fileURLToPath(new URL("../../src/", import.meta.url));

/** A file of src/, a passage that stands in it exactly once, and what a faulty file has in its place. */
export type Patch = readonly [file: string, passage: string, instead: string];

/**
 * Imports a faulty copy of a file of src/, for the test that has to notice the fault.
 *
 * The files that are patched import each other; all else leads to src/, so that PeerFault and the like are the same
 * classes on both sides. Throws when a passage has gone from its file: the fault is then to be put into the new text.
 */
export async function patchedCopy<Module>(entry: string, ...patches: readonly Patch[]): Promise<Module> {
  const folder = mkdtempSync(join(tmpdir(), "svq-patched-"));
  try {
    const files = new Set([entry, ...patches.map(([file]) => file)]);
    for (const file of files) {
      const own = patches.filter((patch) => patch[0] === file);
      const text = own.reduce(patched, readFileSync(join(SRC, file), "utf8"));
      writeFileSync(copyPath(folder, file), redirected(text, file, files, folder));
    }
    return (await import(/* @vite-ignore */ pathToFileURL(copyPath(folder, entry)).href)) as Module;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function patched(text: string, [file, passage, instead]: Patch): string {
  const parts = text.split(passage);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${passage}`);
  return parts.join(instead);
}

function redirected(text: string, file: string, copies: ReadonlySet<string>, folder: string): string {
  return text.replaceAll(/(?<=from ")\.[^"]*(?=\.js")/g, (path) => {
    const original = `${resolve(SRC, dirname(file), path)}.ts`;
    const name = relative(SRC, original).split(sep).join("/");
    return (copies.has(name) ? copyPath(folder, name) : original).slice(0, -".ts".length);
  });
}

function copyPath(folder: string, file: string): string {
  return join(folder, file.replaceAll("/", "-"));
}
