import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** Whether a thread got its CPU; if not, why. */
export type PinResult = { readonly pinned: true } | { readonly pinned: false; readonly reason: string };

/** How the kernel has treated a thread since it started. */
export interface ThreadTimes {
  readonly on_cpu_ns: number;
  /** Time it was ready to run and did not. */
  readonly run_queue_wait_ns: number;
  /** Times it was put on a CPU. */
  readonly slices: number;
}

/** Keeps a thread on one CPU, by its kernel id; never throws. Takes some milliseconds: before measuring, not during. */
export function pinThread(tid: number, cpu: number): PinResult {
  const { error, status, stderr } = spawnSync("taskset", ["-pc", String(cpu), String(tid)], {
    encoding: "utf8",
    timeout: 5_000,
  });
  if (error) return { pinned: false, reason: `taskset did not run: ${error.message}` };
  if (status !== 0) return { pinned: false, reason: stderr.trim() || `taskset ended with ${status}` };
  return { pinned: true };
}

/** Reads a thread's schedstat; null where the kernel keeps none or the thread is gone. */
export function threadTimes(pid: number | "self", tid: number): ThreadTimes | null {
  const fields = readOrNull(`/proc/${pid}/task/${tid}/schedstat`)?.trim().split(" ").map(Number);
  if (fields?.length !== 3) return null;
  return { on_cpu_ns: fields[0]!, run_queue_wait_ns: fields[1]!, slices: fields[2]! };
}

/** The CPUs this process may run on, in order; where the kernel does not say, as many as there are. */
export function allowedCpus(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readOrNull("/proc/self/status") ?? "")?.[1];
  return list === undefined ? Array.from({ length: availableParallelism() }, (_, cpu) => cpu) : parseCpuList(list);
}

/** Reads the kernel's list format, such as "0-2,5". */
export function parseCpuList(list: string): number[] {
  return list.split(",").flatMap((part) => {
    const [first = 0, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, step) => first + step);
  });
}

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}
