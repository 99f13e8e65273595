const BEATS = 0;
const RUNS = 1;

/** Two counters that one thread moves and another watches, to see whether it still gets anywhere. */
export class Heartbeat {
  /** Goes to the other thread as it is. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  /** Over the counters of another thread, or over new ones. */
  constructor(buffer = new SharedArrayBuffer(8)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** One more piece of work done. Plain stores: only this thread writes, and whoever watches has time. */
  beat(): void {
    this.#words[BEATS]! += 1;
  }

  /** A run begins: its pieces of work are counted from 0. */
  begin(): void {
    this.#words[RUNS]! += 1;
    this.#words[BEATS] = 0;
  }

  /** What both counters say now. */
  read(): { readonly run: number; readonly beats: number } {
    return { run: Atomics.load(this.#words, RUNS), beats: Atomics.load(this.#words, BEATS) };
  }
}
