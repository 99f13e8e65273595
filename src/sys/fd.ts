import { F_DUPFD_CLOEXEC } from "../layout/linux.js";
import { assert } from "../memory/assert.js";
import { check, libc } from "./native.js";

let openCount = 0;

/**
 * One file descriptor and its only owner: closed once, by whoever has it last.
 *
 * To hand one on, pass the object and forget it, or take() the bare number, for another thread or for C.
 */
export class OwnedFd {
  /** The descriptor, or -1 once it was closed or taken. */
  #fd: number;

  /** Becomes the owner of an open descriptor. */
  constructor(fd: number) {
    assert(Number.isInteger(fd) && fd >= 0, "a descriptor is not negative");
    this.#fd = fd;
    openCount++;
  }

  /** How many this thread owns now; those of other threads are not in it. */
  static get openCount(): number {
    return openCount;
  }

  /** The bare number, for a call; it still belongs to this object. */
  get fd(): number {
    assert(this.#fd >= 0, "a descriptor is not used after it was closed or taken");
    return this.#fd;
  }

  /** Whether it has neither been closed nor taken. */
  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  /** Gives the bare number away: whoever gets it closes it. */
  take(): number {
    const fd = this.fd;
    this.#forget();
    return fd;
  }

  /** Makes a new owner, and leaves this one empty. */
  move(): OwnedFd {
    return new OwnedFd(this.take());
  }

  /** A second descriptor of the same open file, closed by exec; throws NativeError. */
  dup(): OwnedFd {
    return new OwnedFd(check("fcntl", libc.fcntl(this.fd, F_DUPFD_CLOEXEC, 0)));
  }

  /** Closes it; nothing happens the second time. An error of close is not reported: on Linux the number is free. */
  close(): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#forget();
    libc.close(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #forget(): void {
    this.#fd = -1;
    openCount--;
  }
}

/** Closes all of them. */
export function closeAll(fds: Iterable<OwnedFd>): void {
  for (const fd of fds) fd.close();
}
