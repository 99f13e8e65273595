import { createHash } from "node:crypto";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../report/exit-codes.js";
import type { SharedInput } from "./threaded-machine.js";

/** The first bytes of a file, in memory that all threads can read. */
export interface Input extends SharedInput {
  readonly path: string;
  readonly sha256: string;
}

/** Loads at most `maxBytes` of a file; throws UsageError when it cannot be read or is empty. */
export function loadInput(path: string, maxBytes: number): Input {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw new Error("not a regular file");
    if (stat.size === 0) throw new Error("the file is empty");
    if (maxBytes === 0) throw new Error("0 bytes of it are nothing to write");
    const bytes = Math.min(maxBytes, stat.size);
    const buffer = new SharedArrayBuffer(bytes);
    const view = new Uint8Array(buffer);
    const fd = openSync(path, "r");
    try {
      let done = 0;
      while (done < bytes) {
        const got = readSync(fd, view, done, bytes - done, done);
        if (got === 0) throw new Error(`it ended after ${done} of ${bytes} bytes`);
        done += got;
      }
    } finally {
      closeSync(fd);
    }
    return { path, buffer, bytes, sha256: createHash("sha256").update(view).digest("hex") };
  } catch (error) {
    throw new UsageError(`input ${path}: ${(error as Error).message}`);
  }
}

/** A shorter input: the first bytes of one that is loaded. */
export function prefixOf(input: Input, maxBytes: number): Input {
  const bytes = Math.min(maxBytes, input.bytes);
  const sha256 = createHash("sha256")
    .update(new Uint8Array(input.buffer, 0, bytes))
    .digest("hex");
  return { path: input.path, buffer: input.buffer, bytes, sha256 };
}

/** A folder for disk images that is gone when the run is, however it ends. */
export class ImageFolder {
  readonly #path: string;
  readonly #atExit = () => this.remove();
  #count = 0;

  /** Makes a folder of its own under `parent`, the system's temporary folder unless told; throws UsageError. */
  constructor(parent: string = tmpdir()) {
    try {
      this.#path = mkdtempSync(join(parent, "svq-"));
    } catch (error) {
      throw new UsageError(`image folder ${parent}: ${(error as Error).message}`);
    }
    process.once("exit", this.#atExit);
  }

  /** Makes an empty image; the device gives it its length. */
  create(bytes: number): { path: string; bytes: number } {
    const path = join(this.#path, `disk-${this.#count++}.img`);
    writeFileSync(path, "");
    return { path, bytes };
  }

  /** Removes the folder and all images. */
  remove(): void {
    process.removeListener("exit", this.#atExit);
    rmSync(this.#path, { recursive: true, force: true });
  }
}
