import { SingleBar } from "cli-progress";

/** What a progress bar is made with. */
export interface ProgressOptions {
  /** What is going on, in a few words. */
  readonly label: string;
  /** The value at which it is done. */
  readonly total: number;
  /** Where it is drawn; stderr unless told. */
  readonly stream?: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/** Shows the cursor and wraps lines again: the two settings the bar changes. */
const RESTORE = "\u001b[?25h\u001b[?7h";

/**
 * A progress bar on a terminal, and nothing at all elsewhere.
 *
 * Whoever starts one calls stop() in a finally: until then the bar's timer keeps the process alive.
 */
export class Progress {
  readonly #stream: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly #bar: SingleBar | null;
  #running = false;
  readonly #stopAtExit = () => this.stop();

  constructor(options: ProgressOptions) {
    this.#stream = options.stream ?? process.stderr;
    this.#bar = this.#stream.isTTY === true ? barOn(this.#stream) : null;
    if (this.#bar === null) return;
    this.#running = true;
    process.once("exit", this.#stopAtExit);
    this.#bar.start(options.total, 0, { label: options.label, note: "" });
  }

  /** Moves the bar to `value`, with a few words beside it. */
  update(value: number, note = ""): void {
    if (this.#running) this.#bar?.update(value, { note });
  }

  /** Leaves the last state on its line and restores the terminal; may be called twice, and is at the process's end. */
  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    process.removeListener("exit", this.#stopAtExit);
    try {
      this.#bar?.stop();
    } finally {
      // Once more by hand: the library restores nothing when its last drawing fails.
      this.#stream.write(RESTORE);
    }
  }
}

function barOn(stream: NodeJS.WritableStream): SingleBar {
  return new SingleBar({
    stream,
    format: "{label} [{bar}] {percentage}% {value}/{total} {note}",
    barsize: 24,
    hideCursor: true,
    // Signals are the command's to handle: it prints partial results.
    gracefulExit: false,
  });
}
