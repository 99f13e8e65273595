import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlkWorkload } from "../../src/driver/blk-workload.js";
import type { JobResult } from "../../src/driver/driver.js";
import { type MachineOptions, ThreadedMachine } from "../../src/lab/threaded-machine.js";
import { DEFAULT_CONFIG, type MachineConfig } from "../../src/machine/config.js";

/** Small enough that a machine is there in a moment. */
export const SMALL: MachineConfig = {
  ...DEFAULT_CONFIG,
  device: "net",
  ramBytes: 2 ** 24,
  queueSize: 16,
  depth: 8,
  batch: 4,
  requestBytes: 600,
};

const INPUT = new Uint8Array(new SharedArrayBuffer(40_000)).map((_, i) => (i * 31 + (i >>> 8)) & 0xff);

/** What a machine is to send and to bring back. */
export const SENT_SHA256 = createHash("sha256").update(INPUT).digest("hex");

/** Makes a machine that is not started, lets `use` have it, and stops it whatever happens. */
export async function withMachine<T>(
  change: Partial<MachineConfig>,
  options: Partial<MachineOptions>,
  use: (machine: ThreadedMachine) => Promise<T>,
): Promise<T> {
  const config = { ...SMALL, ...change };
  const buffer = new SharedArrayBuffer(INPUT.length);
  new Uint8Array(buffer).set(INPUT);
  const folder = mkdtempSync(join(tmpdir(), "test-machine-"));
  const image = { path: join(folder, "disk.img"), bytes: BlkWorkload.diskBytes(INPUT.length, config.requestBytes) };
  let machine: ThreadedMachine | undefined;
  try {
    writeFileSync(image.path, "");
    machine = new ThreadedMachine(config, { input: { buffer, bytes: INPUT.length }, image, ...options });
    return await use(machine);
  } finally {
    await machine?.stop();
    rmSync(folder, { recursive: true });
  }
}

/** The same with the machine started. */
export function withRunning<T>(
  change: Partial<MachineConfig>,
  options: Partial<MachineOptions>,
  use: (machine: ThreadedMachine) => Promise<T>,
): Promise<T> {
  return withMachine(change, options, async (machine) => {
    await machine.start();
    return use(machine);
  });
}

/** Does requests `first` to `first + count − 1` of the first pass, all of them unless told. */
export async function job(
  machine: ThreadedMachine,
  count = 2 ** 30,
  first = 0,
): Promise<{ result: JobResult; received: { equal: boolean; sha256: string } | undefined }> {
  const { result, received } = await machine.ask("driver", { kind: "job", job: { pass: 0, first, count } }, "job");
  return { result, received };
}

/** Worker threads of this process that are alive. */
export function workersAlive(): number {
  return (process.report.getReport() as unknown as { workers: unknown[] }).workers.length;
}
