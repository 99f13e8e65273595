import { EventFdNotifier } from "../../sys/event-fd.js";
import { NativeError } from "../../sys/native.js";
import { UnixListener } from "../../sys/unix-listener.js";
import type { UnixSocket } from "../../sys/unix-socket.js";

/** Where front ends connect, with a way out when there is no descriptor left for one. */
export class FrontListener {
  readonly #listener: UnixListener;
  readonly #onShed: (why: string) => void;
  /** Given up for a moment when there is no descriptor left. */
  #spare = EventFdNotifier.create();

  /** Listens; `onShed` hears of each connection that could not be taken. Throws SocketPathError and NativeError. */
  constructor(path: string, onShed: (why: string) => void) {
    this.#listener = UnixListener.listen(path);
    this.#onShed = onShed;
  }

  /** For a poller. */
  get fd(): number {
    return this.#listener.fd;
  }

  /**
   * Takes a connection; undefined when there is none, or none that this process can hold.
   *
   * One that it cannot hold is closed: left waiting, it would be reported for ever.
   */
  accept(): UnixSocket | undefined {
    try {
      return this.#listener.accept();
    } catch (error) {
      this.#onShed(reasonOf(error));
    }
    this.#spare.close();
    try {
      this.#listener.accept()?.close();
      this.#spare = EventFdNotifier.create();
    } catch (error) {
      // Somebody else was faster: the next connection comes here again.
      reasonOf(error);
    }
    return undefined;
  }

  close(): void {
    this.#listener.close();
    this.#spare.close();
  }
}

/** What the kernel said; anything else is a mistake of ours. */
function reasonOf(error: unknown): string {
  if (error instanceof NativeError) return error.message;
  throw error;
}
