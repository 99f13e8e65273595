const LF = 0x0a;

/**
 * Cuts a stream of bytes into lines, none longer than a limit.
 *
 * What it holds between two calls is bounded by the limit, however small the pieces are in which a line comes.
 */
export class LineSplitter {
  readonly #limitBytes: number;
  #held = Buffer.alloc(0);
  #heldBytes = 0;
  /** Within a line that was too long: its rest is passed over. */
  #skipping = false;

  /** `limitBytes` is without the newline. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** The lines that a piece completes, without their newlines; undefined for one that is too long, as soon as it is. */
  push(piece: Uint8Array): (string | undefined)[] {
    const lines: (string | undefined)[] = [];
    let start = 0;
    for (let end = piece.indexOf(LF); end >= 0; end = piece.indexOf(LF, start)) {
      this.#hold(piece.subarray(start, end), lines);
      if (!this.#skipping) lines.push(this.#held.toString("utf8", 0, this.#heldBytes));
      this.#skipping = false;
      this.#heldBytes = 0;
      start = end + 1;
    }
    this.#hold(piece.subarray(start), lines);
    return lines;
  }

  #hold(bytes: Uint8Array, lines: (string | undefined)[]): void {
    if (this.#skipping) return;
    const needed = this.#heldBytes + bytes.length;
    if (needed > this.#limitBytes) {
      this.#skipping = true;
      this.#held = Buffer.alloc(0);
      lines.push(undefined);
      return;
    }
    if (needed > this.#held.length) {
      const larger = Buffer.alloc(Math.min(2 * needed, this.#limitBytes));
      larger.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = larger;
    }
    this.#held.set(bytes, this.#heldBytes);
    this.#heldBytes = needed;
  }
}
