import { EPOLLET, EPOLLIN } from "../../layout/linux.js";
import { Poller } from "../../sys/poller.js";

/** What is called when a descriptor has something; it may stop watches, its own among them. */
type Handler = () => void;

/** A descriptor that is watched. */
export interface Watch {
  /** Ends it, before the descriptor is closed; nothing happens the second time. */
  stop(): void;
}

/**
 * Waits for many descriptors and calls who asked for each: the only place where a data process sleeps.
 *
 * Sockets are watched by level: what is not taken is reported again. Eventfds are watched by edge: every signal is
 * reported once, and none is ever read, which saves a system call for each.
 */
export class FdLoop {
  readonly #poller = new Poller();
  readonly #handlers = new Map<number, Handler>();
  #nextToken = 0;
  /** System calls made to wait. */
  waits = 0;

  /** Watches a descriptor until the watch is stopped. */
  watch(fd: number, handler: Handler, trigger: "level" | "edge" = "level"): Watch {
    // A token is never used again: a report of this turn for what was stopped in it then finds nobody.
    const token = this.#nextToken++ >>> 0;
    this.#poller.add(fd, token, trigger === "edge" ? EPOLLIN + EPOLLET : EPOLLIN);
    this.#handlers.set(token, handler);
    return {
      stop: () => {
        if (this.#handlers.delete(token)) this.#poller.remove(fd);
      },
    };
  }

  /** Waits until something is there or `timeoutMs` passed, and calls the handlers. */
  turn(timeoutMs: number): void {
    this.waits += 1;
    const count = this.#poller.wait(timeoutMs);
    for (let i = 0; i < count; i++) this.#handlers.get(this.#poller.tokens[i]!)?.();
  }

  close(): void {
    this.#poller.close();
  }
}
