import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";

/** Gives each test of a suite a temporary directory that nobody else uses, so that what is left behind shows. */
export function ownTmpdir(): () => string {
  const { TMPDIR } = process.env;
  let folder = "";

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "svq-own-"));
    process.env["TMPDIR"] = folder;
  });

  afterEach(() => {
    if (TMPDIR === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = TMPDIR;
    rmSync(folder, { recursive: true });
  });

  return () => folder;
}
