import { constants } from "node:os";
import { POLLFD } from "../layout/linux.js";
import { assert } from "../memory/assert.js";
import { check, errno, libc, NativeError } from "./native.js";

/** The longest that a call may be told to wait: what poll takes, 24 days. */
export const TIMEOUT_MS_MAX = 0x7fff_ffff;

const pollfd = Buffer.alloc(POLLFD.size);

/** A moment up to which a call may wait; 0 ms is now, and such a call never waits. */
export class Deadline {
  readonly #atMs: number;

  constructor(timeoutMs: number) {
    assert(timeoutMs >= 0 && timeoutMs <= TIMEOUT_MS_MAX, "a wait has an end");
    this.#atMs = timeoutMs === 0 ? 0 : performance.now() + timeoutMs;
  }

  /** What is left, in whole milliseconds, rounded up; 0 when it has passed. */
  get leftMs(): number {
    if (this.#atMs === 0) return 0;
    return Math.max(0, Math.ceil(this.#atMs - performance.now()));
  }
}

/** Waits until one of `events` (POLLIN, POLLOUT), an error or a hang-up is there; false when the deadline passed. */
export function waitFor(fd: number, events: number, deadline: Deadline): boolean {
  for (;;) {
    const leftMs = deadline.leftMs;
    pollfd.writeInt32LE(fd, POLLFD.offsets.fd);
    pollfd.writeUInt32LE(events, POLLFD.offsets.events);
    const ready = libc.poll(pollfd, 1, leftMs);
    if (ready > 0) return true;
    if (ready === 0) return false;
    if (errno() !== constants.errno.EINTR) throw new NativeError("poll", errno());
    if (leftMs === 0) return false;
  }
}

/** Sleeps for `ms`, or until the deadline if that is sooner; false when it has passed. */
export function nap(ms: number, deadline: Pick<Deadline, "leftMs">): boolean {
  const leftMs = Math.min(ms, deadline.leftMs);
  if (leftMs === 0) return false;
  if (libc.poll(null, 0, leftMs) < 0 && errno() !== constants.errno.EINTR) check("poll", -1);
  return true;
}
