const ROOM = 256;
const WORD_BYTES_MAX = 4;

/** What a relay read of guest RAM in its turn, in its order. */
export class Readings {
  #count = 0;
  #filled = 0;
  /** By reading: guest address, length, and where its bytes are. */
  #gpas = new Int32Array(ROOM);
  #lengths = new Int32Array(ROOM);
  #places = new Int32Array(ROOM);
  #bytes = new Uint8Array(ROOM * WORD_BYTES_MAX);

  /** Forgets all, as a turn begins. */
  clear(): void {
    this.#count = 0;
    this.#filled = 0;
  }

  /** A word was read, of two or four bytes. */
  word(gpa: number, bytes: number, value: number): void {
    const place = this.#add(gpa, bytes);
    for (let i = 0; i < bytes; i++) this.#bytes[place + i] = value >>> (8 * i);
  }

  /** Bytes were copied. */
  copy(gpa: number, bytes: Uint8Array): void {
    const place = this.#add(gpa, bytes.length);
    this.#bytes.set(bytes, place);
  }

  /** The first reading of exactly that word from reading `from` on, else the last one before; -1 when there is none. */
  find(gpa: number, bytes: number, from: number): number {
    for (let i = from; i < this.#count; i++) if (this.#gpas[i] === gpa && this.#lengths[i] === bytes) return i;
    for (let i = from - 1; i >= 0; i--) if (this.#gpas[i] === gpa && this.#lengths[i] === bytes) return i;
    return -1;
  }

  /** The first reading from `from` on that covers a byte; -1 when none does. */
  covering(gpa: number, from: number): number {
    for (let i = from; i < this.#count; i++) {
      const into = gpa - this.#gpas[i]!;
      if (into >= 0 && into < this.#lengths[i]!) return i;
    }
    return -1;
  }

  /** A byte of a reading that covers it. */
  byte(index: number, gpa: number): number {
    return this.#bytes[this.#places[index]! + gpa - this.#gpas[index]!]!;
  }

  /** Whether a reading is more than a word: an indirect table, copied as a whole. */
  isCopy(index: number): boolean {
    return this.#lengths[index]! > WORD_BYTES_MAX;
  }

  /** Takes room for a reading; returns where its bytes go. */
  #add(gpa: number, bytes: number): number {
    if (this.#count === this.#gpas.length) {
      const room = this.#count * 2;
      this.#gpas = widened(this.#gpas, new Int32Array(room));
      this.#lengths = widened(this.#lengths, new Int32Array(room));
      this.#places = widened(this.#places, new Int32Array(room));
    }
    const place = this.#filled;
    this.#filled += bytes;
    if (this.#filled > this.#bytes.length) this.#bytes = widened(this.#bytes, new Uint8Array(this.#filled * 2));
    this.#gpas[this.#count] = gpa;
    this.#lengths[this.#count] = bytes;
    this.#places[this.#count] = place;
    this.#count += 1;
    return place;
  }
}

function widened<A extends Uint8Array | Int32Array>(full: A, empty: A): A {
  empty.set(full);
  return empty;
}

/**
 * The bytes of one chain as the relay read them for it: from the reading of its head on, each in its turn.
 *
 * A descriptor that two chains share, or that a chain comes by twice, may have changed between its readings: each visit
 * is judged by its own. Whoever reads a word twice for one visit is held to what it read first.
 */
export class ChainReadings {
  readonly #readings: Readings;
  /** What was read last of a byte that is not among the readings of this turn. */
  readonly #otherwise: (gpa: number) => number;
  /** Where the head of the next chain is looked for first. */
  #next = 0;
  /** Where the descriptor in hand is looked for, and how far it reached. */
  #from = 0;
  #reached = 0;

  constructor(readings: Readings, otherwise: (gpa: number) => number) {
    this.#readings = readings;
    this.#otherwise = otherwise;
  }

  /** The relay begins a turn. */
  turn(): void {
    this.#readings.clear();
    this.#next = 0;
  }

  /** Begins at the avail entry at `gpa`; returns the head in it. */
  begin(gpa: number): number {
    const index = this.#readings.find(gpa, 2, this.#next);
    this.#from = this.#reached = Math.max(this.#next, index + 1);
    if (index < 0) return this.#otherwise(gpa) | (this.#otherwise(gpa + 1) << 8);
    return this.#readings.byte(index, gpa) | (this.#readings.byte(index, gpa + 1) << 8);
  }

  /** Goes on to the next descriptor. */
  descriptor(): void {
    this.#from = this.#reached;
  }

  /** A byte of that descriptor. */
  byte(gpa: number): number {
    const index = this.#readings.covering(gpa, this.#from);
    if (index < 0) return this.#otherwise(gpa);
    this.#reached = Math.max(this.#reached, this.#readings.isCopy(index) ? index : index + 1);
    return this.#readings.byte(index, gpa);
  }

  /** The chain is accounted for: the next one was read after it. */
  end(): void {
    this.#next = this.#reached;
  }
}
