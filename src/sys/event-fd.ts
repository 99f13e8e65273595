import { readFileSync, readlinkSync } from "node:fs";
import { constants } from "node:os";
import { EFD_CLOEXEC, EFD_NONBLOCK, F_GETFL, F_SETFL, IOVEC, O_NONBLOCK, RWF_NOWAIT } from "../layout/linux.js";
import type { Notifier } from "../memory/bell.js";
import { OwnedFd } from "./fd.js";
import { addressOf, check, errno, libc, NativeError } from "./native.js";

const { EAGAIN, EINTR } = constants.errno;

const ONE = Buffer.alloc(8);
ONE.writeBigUInt64LE(1n);

/** An iovec and behind it the 8 bytes that it points to: one memory, so that neither outlives the other. */
const iovec = Buffer.from(new ArrayBuffer(IOVEC.size + 8));
iovec.writeBigUInt64LE(addressOf(iovec) + BigInt(IOVEC.size), IOVEC.offsets.iov_base);
iovec.writeBigUInt64LE(8n, IOVEC.offsets.iov_len);

/** What a peer sent as kick, call or err and is no eventfd. */
export class EventFdFault extends Error {
  override readonly name = "EventFdFault";
  readonly reason = "not-an-eventfd";

  constructor(detail: string) {
    super(`not-an-eventfd: ${detail}`);
  }
}

/** A notification over an eventfd: what one side signals stays pending until the other takes it. */
export class EventFdNotifier implements Notifier {
  readonly #owned: OwnedFd;
  /** The bare descriptor: the owner is asked once, not at each signal. */
  #fd: number;

  private constructor(owned: OwnedFd) {
    this.#owned = owned;
    this.#fd = owned.fd;
  }

  /** Makes a new one with nothing pending. */
  static create(): EventFdNotifier {
    return new EventFdNotifier(new OwnedFd(check("eventfd", libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))));
  }

  /**
   * Takes over one that a peer sent and makes it non-blocking.
   *
   * Throws EventFdFault, with the descriptor closed, when it is anything else: writing to a pipe, a file or a
   * terminal could block or do harm, and one that counts down by 1 would wake us up to 2^64 times for one write.
   * Throws NativeError, likewise, when this process has no descriptor left to look with.
   */
  static received(owned: OwnedFd): EventFdNotifier {
    try {
      // By its name first: what fdinfo says of other kinds can be as long as a peer likes.
      const kind = ofProc(() => readlinkSync(`/proc/self/fd/${owned.fd}`));
      if (kind !== "anon_inode:[eventfd]") throw new EventFdFault("the descriptor is of another kind");
      const info = ofProc(() => readFileSync(`/proc/self/fdinfo/${owned.fd}`, "latin1"));
      if (/^eventfd-semaphore:\s*1/m.test(info)) throw new EventFdFault("it counts down by 1 (EFD_SEMAPHORE)");
      const flags = check("fcntl", libc.fcntl(owned.fd, F_GETFL, 0));
      check("fcntl", libc.fcntl(owned.fd, F_SETFL, flags | O_NONBLOCK));
      return new EventFdNotifier(owned);
    } catch (error) {
      owned.close();
      throw error;
    }
  }

  /** The descriptor, to be sent to a peer; it stays this object's. */
  get owned(): OwnedFd {
    return this.#owned;
  }

  /** The bare descriptor, for a Poller. */
  get fd(): number {
    return this.#owned.fd;
  }

  signal(): void {
    while (libc.write(this.#fd, ONE, 8) < 0) {
      const error = errno();
      // A full counter is a pending notification.
      if (error === EAGAIN) return;
      if (error !== EINTR) throw new NativeError("write", error, "eventfd");
    }
  }

  take(): boolean {
    while (libc.preadv2(this.#fd, iovec, 1, -1, RWF_NOWAIT) < 0) {
      const error = errno();
      if (error === EAGAIN) return false;
      if (error !== EINTR) throw new NativeError("preadv2", error, "eventfd");
    }
    return true;
  }

  /** Signals once: who polls an eventfd is between that thread and its Poller. */
  attach(_waiter: number): void {
    this.signal();
  }

  /** Nothing to do: what is signalled stays pending. */
  detach(): void {}

  /** Closes it; signals and takes fail from then on. */
  close(): void {
    this.#fd = -1;
    this.#owned.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** What /proc says; throws NativeError. */
function ofProc(read: () => string): string {
  try {
    return read();
  } catch (error) {
    const { errno: number, syscall } = error as NodeJS.ErrnoException;
    if (number === undefined) throw error;
    throw new NativeError(syscall ?? "open", -number, "/proc");
  }
}
