import { constants } from "node:os";
import { EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLL_EVENT, EPOLLIN } from "../layout/linux.js";
import { assert } from "../memory/assert.js";
import { TIMEOUT_MS_MAX } from "./deadline.js";
import { OwnedFd } from "./fd.js";
import { check, errno, libc, NativeError } from "./native.js";

const BATCH = 64;

/**
 * Waits for many descriptors at once, level-triggered: what is not taken is reported again.
 *
 * Each has a token, a u32 of the caller's choice. A descriptor is removed before it is closed.
 */
export class Poller {
  /** Tokens of what the last wait() reported; the first `count` count. */
  readonly tokens = new Uint32Array(BATCH);
  /** Beside each token what is there: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP. */
  readonly events = new Uint32Array(BATCH);
  readonly #epoll: OwnedFd;
  readonly #event = Buffer.alloc(EPOLL_EVENT.size);
  readonly #reported = Buffer.alloc(EPOLL_EVENT.size * BATCH);

  constructor() {
    this.#epoll = new OwnedFd(check("epoll_create1", libc.epoll_create1(EPOLL_CLOEXEC)));
  }

  /** Starts to watch a descriptor, for EPOLLIN by default; throws NativeError (EEXIST, EPERM for a plain file). */
  add(fd: number, token: number, events = EPOLLIN): void {
    this.#control(EPOLL_CTL_ADD, fd, token, events);
  }

  /** Changes what a descriptor is watched for, and its token. */
  modify(fd: number, token: number, events: number): void {
    this.#control(EPOLL_CTL_MOD, fd, token, events);
  }

  /** Ends watching a descriptor; throws NativeError (ENOENT when it was not watched). */
  remove(fd: number): void {
    check("epoll_ctl", libc.epoll_ctl(this.#epoll.fd, EPOLL_CTL_DEL, fd, null));
  }

  /** Waits until something is there or `timeoutMs` passed; returns how many tokens were reported, at most 64. */
  wait(timeoutMs: number): number {
    assert(timeoutMs >= 0 && timeoutMs <= TIMEOUT_MS_MAX, "a wait has an end");
    const endMs = timeoutMs === 0 ? 0 : performance.now() + timeoutMs;
    let count = libc.epoll_wait(this.#epoll.fd, this.#reported, BATCH, Math.ceil(timeoutMs));
    while (count < 0) {
      const error = errno();
      if (error !== constants.errno.EINTR) throw new NativeError("epoll_wait", error);
      const leftMs = timeoutMs === 0 ? 0 : Math.max(0, Math.ceil(endMs - performance.now()));
      count = libc.epoll_wait(this.#epoll.fd, this.#reported, BATCH, leftMs);
    }
    for (let i = 0; i < count; i++) {
      this.events[i] = this.#reported.readUInt32LE(i * EPOLL_EVENT.size + EPOLL_EVENT.offsets.events);
      this.tokens[i] = this.#reported.readUInt32LE(i * EPOLL_EVENT.size + EPOLL_EVENT.offsets.data);
    }
    return count;
  }

  /** Closes it; what it watched stays open. */
  close(): void {
    this.#epoll.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #control(command: number, fd: number, token: number, events: number): void {
    assert(token >>> 0 === token, "a token is a u32");
    this.#event.writeUInt32LE(events, EPOLL_EVENT.offsets.events);
    this.#event.writeUInt32LE(token, EPOLL_EVENT.offsets.data);
    check("epoll_ctl", libc.epoll_ctl(this.#epoll.fd, command, fd, this.#event));
  }
}
