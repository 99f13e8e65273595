import { median } from "../../src/lab/statistics.js";

/** One leaf operation with its recorded input, as a process measures it. */
export interface Kernel {
  /** Does the recorded work once from the beginning and gives every byte it wrote, for comparison with the twin. */
  outputs(): Uint8Array | Promise<Uint8Array>;
  /** Goes on for about so many nanoseconds; gives nanoseconds per operation and throws when the results are wrong. */
  window(ns: number): number | Promise<number>;
  /** Ends its threads. */
  close(): void | Promise<void>;
}

/** Makes a kernel of a recorded input. */
export type MakeKernel = (input: Int32Array) => Kernel | Promise<Kernel>;

/** The clock of all kernels. */
export function nowNs(): number {
  return performance.now() * 1e6;
}

/** Repeats a short piece of work for about `ns` nanoseconds; gives the median of what the pieces say. */
export function medianOfSlices(ns: number, slice: () => number): number {
  const samples: number[] = [];
  const end = nowNs() + ns;
  do samples.push(slice());
  while (nowNs() < end);
  return median(samples);
}

/** Stops a bench whose results are wrong. */
export function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`the bench computed something wrong: ${what}`);
}
