import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { OwnedFd } from "../../src/sys/fd.js";
import { openFdCount } from "../../src/sys/process.js";

/** Runs `use` and expects that this process has as many descriptors afterwards as before, by both counts. */
export function leavesNoDescriptor(use: () => void): void {
  // Whatever opens its descriptors at the first use has them now.
  openFdCount();
  const before = { owned: OwnedFd.openCount, open: openFdCount() };
  use();
  expect({ owned: OwnedFd.openCount, open: openFdCount() }).toEqual(before);
}

/** Lets `use` have a folder of its own. */
export function withFolder(use: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "test-sys-"));
  try {
    use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
