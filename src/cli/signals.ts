import { EXIT } from "../report/exit-codes.js";

/** A run that SIGINT and SIGTERM end in order: the first one asks, a second one insists. */
export class Interruptible {
  readonly #controller = new AbortController();
  #code: number | undefined;
  readonly #onInterrupt = () => this.#interrupt(EXIT.interrupted);
  readonly #onTerminate = () => this.#interrupt(EXIT.terminated);

  constructor() {
    process.on("SIGINT", this.#onInterrupt);
    process.on("SIGTERM", this.#onTerminate);
  }

  /** Fires when the run is to end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The exit code of the signal that came; undefined while none has. */
  get code(): number | undefined {
    return this.#code;
  }

  /** Gives the signals back. */
  dispose(): void {
    process.off("SIGINT", this.#onInterrupt);
    process.off("SIGTERM", this.#onTerminate);
  }

  #interrupt(code: number): void {
    if (this.#code !== undefined) process.exit(code);
    this.#code = code;
    this.#controller.abort();
  }
}
