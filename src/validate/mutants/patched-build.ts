import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, sep } from "node:path";
import { packageRoot } from "../../workers/worker-url.js";
import type { SourcePatch } from "./mutant.js";

/** A passage that does not stand in its file exactly once: the relay has changed, and the mutant has to as well. */
export class PatchError extends Error {
  constructor({ file, find }: SourcePatch, times: number) {
    super(`${file} has ${times} times: ${find}`);
    this.name = "PatchError";
  }
}

/** A temporary copy of the built sources, for one mutant after the other; it goes when the process does. */
export class PatchedBuild {
  readonly #folder = mkdtempSync(join(tmpdir(), "svq-mutants-"));
  // A second Ctrl-C ends the process where it stands.
  readonly #removeAtExit = () => rmSync(this.#folder, { recursive: true, force: true });

  /** `folders` of the sources are copied; all of them unless given. */
  constructor(folders?: readonly string[]) {
    process.once("exit", this.#removeAtExit);
    try {
      for (const file of builtFiles(folders)) {
        mkdirSync(dirname(this.path(file)), { recursive: true });
        writeFileSync(this.path(file), patchedText(file, []).replace(SOURCE_MAP, ""));
      }
      writeFileSync(join(this.#folder, "package.json"), '{ "type": "module" }\n');
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** Where a file of the copy is, by its path below the sources. */
  path(file: string): string {
    return join(this.#folder, file);
  }

  /** Has the patches in the copy while `use` runs, and not afterwards; throws PatchError before it does anything. */
  async with<T>(patches: readonly SourcePatch[], use: () => Promise<T>): Promise<T> {
    const files = [...new Set(patches.map(({ file }) => file))];
    const texts = files.map((file) => patchedText(file, patches, this.#folder));
    const originals = files.map((file) => patchedText(file, [], this.#folder));
    try {
      for (const [i, file] of files.entries()) writeFileSync(this.path(file), texts[i]!);
      return await use();
    } finally {
      for (const [i, file] of files.entries()) writeFileSync(this.path(file), originals[i]!);
    }
  }

  remove(): void {
    process.removeListener("exit", this.#removeAtExit);
    rmSync(this.#folder, { recursive: true });
  }
}

/** The built text of a file with its patches; throws PatchError. */
export function patchedText(file: string, patches: readonly SourcePatch[], root = builtRoot()): string {
  let text = readFileSync(join(root, file), "utf8");
  for (const patch of patches) {
    if (patch.file !== file) continue;
    const pieces = text.split(patch.find);
    if (pieces.length !== 2) throw new PatchError(patch, pieces.length - 1);
    text = pieces.join(patch.replace);
  }
  return text;
}

/** Where the map of a file is: beside the original, not beside the copy. */
const SOURCE_MAP = /^\/\/# sourceMappingURL=.*\n?/m;

/** Paths below the built sources. */
function builtFiles(folders?: readonly string[]): string[] {
  const files = readdirSync(builtRoot(), { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".js"));
  return files.filter((file) => folders?.includes(file.split(sep)[0]!) ?? true);
}

function builtRoot(): string {
  return join(packageRoot(), "dist", "src");
}
