import { readlinkSync } from "node:fs";

/** The kernel's id of the calling thread, for pinning and accounting; null where /proc/thread-self does not exist. */
export function osThreadId(): number | null {
  try {
    // "<pid>/task/<tid>"
    return Number(readlinkSync("/proc/thread-self").split("/").at(-1));
  } catch {
    return null;
  }
}
