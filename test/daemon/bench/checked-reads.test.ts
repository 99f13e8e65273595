/** Reads through a real storage daemon: what it returns is compared, and a wrong byte is seen. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { CheckedReads, diskBytes } from "../../../src/daemon/bench/checked-reads.js";
import { StorageDaemon } from "../../../src/daemon/bench/storage-daemon.js";
import { findProgram } from "../../../src/lab/peer-programs.js";

const BLOCKS = 64;
const COUNT = 2000;

/** Reads from a storage daemon whose image has these bytes, comparing with `expected`; returns how many were wrong. */
async function wrongReads(program: string, image: Uint8Array | undefined, expected: Uint8Array): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "test-reads-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "disk.img");
  if (image !== undefined) writeFileSync(file, image);
  const { signal } = new AbortController();
  const asked = { program, folder, image: image && file, imageBytes: expected.byteLength, exports: 1 };
  const storage = await StorageDaemon.start(asked, signal);
  try {
    const reads = new CheckedReads(storage.sockets[0]!, { depth: 8, eventIdx: true, disk: expected, seed: 1 });
    const { requests } = await reads.run(COUNT, 60_000, signal);
    reads.close();
    expect(requests).toBe(COUNT);
    return reads.wrong;
  } finally {
    await storage.stop();
  }
}

test("CheckedReads finds what the disk holds, and each block that it does not", async ({ skip }) => {
  const program = findProgram("qemu-storage-daemon")?.path;
  if (program === undefined) return skip("not here: qemu-storage-daemon (npm run peers:install gets it)");
  const disk = diskBytes({ blocks: BLOCKS, numbered: true });
  expect(await wrongReads(program, disk, disk)).toBe(0);
  const oneByteOff = Uint8Array.from(disk);
  oneByteOff[5 * 4096 + 4095]! ^= 1;
  const wrong = await wrongReads(program, oneByteOff, disk);
  // One block of 64 is read about 31 times in 2000.
  expect(wrong).toBeGreaterThan(5);
  expect(wrong).toBeLessThan(COUNT / 8);
  expect(await wrongReads(program, diskBytes({ blocks: BLOCKS, numbered: false }), disk)).toBe(COUNT);
});

test("CheckedReads finds zeros on a node that answers by itself, where nothing else was there before", async ({
  skip,
}) => {
  const program = findProgram("qemu-storage-daemon")?.path;
  if (program === undefined) return skip("not here: qemu-storage-daemon (npm run peers:install gets it)");
  expect(await wrongReads(program, undefined, diskBytes({ blocks: BLOCKS, numbered: false }))).toBe(0);
});
