/** Adds 1 to a word of a memfd that others add to as well, atomically or not. */
import { workerData } from "node:worker_threads";
import { OwnedFd } from "../../src/sys/fd.js";
import { map, windowsAt } from "../../src/sys/mapping.js";

/** What an adder is told. */
export interface AdderJob {
  /** The memory: mapped by whoever started it, or a descriptor of which this thread makes a mapping of its own. */
  readonly from: { readonly address: bigint } | { readonly fd: number };
  readonly bytes: number;
  readonly atomic: boolean;
  readonly adds: number;
  /** How many are to be ready before any begins. */
  readonly parties: number;
}

/** Words of the memory. */
const READY = 0;
const SUM = 1;

const { from, bytes, atomic, adds, parties } = workerData as AdderJob;
const mapping = "fd" in from ? map(new OwnedFd(from.fd), bytes, 0, { prot: "read-write" }) : undefined;
const windows = "address" in from ? windowsAt(from.address, bytes) : mapping!.windows;
const words = new Int32Array(windows[0]!.buffer);

Atomics.add(words, READY, 1);
const giveUpMs = performance.now() + 30_000;
while (Atomics.load(words, READY) < parties) {
  if (performance.now() > giveUpMs) throw new Error("the other did not come");
}
if (atomic) for (let i = 0; i < adds; i++) Atomics.add(words, SUM, 1);
else for (let i = 0; i < adds; i++) words[SUM]! += 1;
