import { assert } from "../assert.js";
import { listNonZeroByWord, type SharedMemory } from "../shared-memory.js";
import type { AccessKind } from "./access.js";
import type { SimulatedMemory } from "./simulated-memory.js";
import type { SimulatedParty } from "./simulated-party.js";

/** A copyIn becomes visible in pieces that end at multiples of this: a copy has no order, but lines do not tear. */
const COPY_PIECE_BYTES = 64;

/**
 * A simulated region as one party reaches it: SharedMemory, exactly as weak as its contract allows.
 *
 * Each verb checks its range, lets drains and the hook happen (`begin`), then checks ownership and takes effect.
 */
export class SimulatedPort implements SharedMemory {
  readonly byteLength: number;
  readonly #memory: SimulatedMemory;
  readonly #party: SimulatedParty;

  constructor(memory: SimulatedMemory, party: SimulatedParty) {
    this.byteLength = memory.bytes.length;
    this.#memory = memory;
    this.#party = party;
  }

  read16(offset: number): number {
    return this.#read("read16", offset, 2);
  }

  read32(offset: number): number {
    return this.#read("read32", offset, 4) | 0;
  }

  write16(offset: number, value: number): void {
    this.#write("write16", offset, value, 2);
  }

  write32(offset: number, value: number): void {
    this.#write("write32", offset, value, 4);
  }

  copyOut(offset: number, target: Uint8Array): void {
    this.#checkRange(offset, target.length, 1);
    const replaced = this.#begin("copyOut", offset, target.length);
    this.#memory.owners?.plainRead(this.#party.index, offset, target.length);
    target.set(this.#load(offset, target.length).bytes);
    if (replaced === undefined) return;
    assert(replaced instanceof Uint8Array && replaced.length === target.length, "copyOut is replaced by as many bytes");
    target.set(replaced);
  }

  copyIn(offset: number, source: Uint8Array): void {
    this.#checkRange(offset, source.length, 1);
    this.#begin("copyIn", offset, source.length, source);
    this.#checkStore(offset, source.length);
    this.#memory.owners?.plainWrite(this.#party.index, offset, source.length);
    const bytes = source.slice();
    for (let from = 0; from < bytes.length; ) {
      const length = Math.min(bytes.length - from, COPY_PIECE_BYTES - ((offset + from) % COPY_PIECE_BYTES));
      this.#store(offset + from, bytes.subarray(from, from + length));
      from += length;
    }
  }

  observe16(offset: number): number {
    this.#checkRange(offset, 2, 2);
    const replaced = this.#begin("observe16", offset, 2);
    const { owners } = this.#memory;
    owners?.syncRead(this.#party.index, offset);
    const { bytes, forwarded } = this.#load(offset, 2);
    // What comes from its own buffer tells it nothing of others.
    if (!forwarded) owners?.acquire(this.#party.index, offset);
    return numberOf(replaced) ?? littleEndian(bytes);
  }

  publish16(offset: number, value: number): void {
    this.#checkRange(offset, 2, 2);
    this.#begin("publish16", offset, 2, value & 0xffff);
    this.#checkStore(offset, 2);
    this.#memory.owners?.syncWrite(this.#party.index, offset);
    const clock = this.#party.release();
    this.#party.store({ memory: this.#memory, offset, bytes: bytesOf(value, 2), release: true, clock });
    if (this.#memory.machine.publish === "seq_cst") this.#party.drainAll();
  }

  setBits32(offset: number, bits: number): void {
    this.#modify("setBits32", offset, bits, (word) => word | bits);
  }

  takeBits32(offset: number): number {
    return this.#modify("takeBits32", offset, undefined, () => 0);
  }

  listNonZero32(offset: number, end: number, found: Int32Array): number {
    return listNonZeroByWord(this, offset, end, found);
  }

  fence(): void {
    this.#begin("fence", 0, 0);
    this.#party.drainAll();
  }

  #read(kind: AccessKind, offset: number, bytes: 2 | 4): number {
    this.#checkRange(offset, bytes, bytes);
    const replaced = this.#begin(kind, offset, bytes);
    this.#memory.owners?.plainRead(this.#party.index, offset, bytes);
    return numberOf(replaced) ?? littleEndian(this.#load(offset, bytes).bytes);
  }

  #write(kind: AccessKind, offset: number, value: number, bytes: 2 | 4): void {
    this.#checkRange(offset, bytes, bytes);
    this.#begin(kind, offset, bytes, value);
    this.#checkStore(offset, bytes);
    this.#memory.owners?.plainWrite(this.#party.index, offset, bytes);
    this.#store(offset, bytesOf(value, bytes));
  }

  /** Both halves of the word are sync locations of their own: an observe may look at one of them. */
  #modify(kind: AccessKind, offset: number, bits: number | undefined, change: (word: number) => number): number {
    this.#checkRange(offset, 4, 4);
    const replaced = this.#begin(kind, offset, 4, bits);
    this.#checkStore(offset, 4);
    this.#party.drainAll();
    const before = this.#memory.peek32(offset);
    this.#synchronize(offset);
    this.#memory.poke32(offset, change(before));
    this.#memory.machine.onVisible?.(this.#party.name, this.#memory, offset, 4);
    return numberOf(replaced) ?? before;
  }

  /** Acquires before it releases: what earlier values told, its own tells too. */
  #synchronize(offset: number): void {
    const { owners } = this.#memory;
    if (owners === undefined) return;
    const { index } = this.#party;
    for (const half of [offset, offset + 2]) {
      owners.syncRead(index, half);
      owners.syncWrite(index, half);
      owners.acquire(index, half);
    }
    const clock = this.#party.release()!;
    for (const half of [offset, offset + 2]) owners.published(half, clock);
  }

  #begin(
    kind: AccessKind,
    offset: number,
    bytes: number,
    value?: number | Uint8Array,
  ): number | Uint8Array | undefined {
    return this.#party.begin(kind, this.#memory, this.#memory.name, offset, bytes, value);
  }

  #store(offset: number, bytes: Uint8Array): void {
    this.#party.store({ memory: this.#memory, offset, bytes, release: false, clock: undefined });
  }

  /** The bytes as this party sees them: the visible ones, and over them what waits in its own buffer. */
  #load(offset: number, length: number): { bytes: Uint8Array; forwarded: boolean } {
    const bytes = this.#memory.bytes.slice(offset, offset + length);
    return { bytes, forwarded: this.#party.buffer.forward(this.#memory, offset, bytes) };
  }

  #checkStore(offset: number, bytes: number): void {
    this.#memory.permits.check(this.#party.index, this.#party.name, offset, bytes);
  }

  #checkRange(offset: number, bytes: number, align: number): void {
    if (!(offset >= 0 && offset + bytes <= this.byteLength && Number.isInteger(offset))) {
      throw new RangeError(`${bytes} bytes at ${offset} lie outside a region of ${this.byteLength}`);
    }
    if (offset % align !== 0) throw new RangeError(`${bytes} bytes at ${offset} are not aligned`);
  }
}

function numberOf(replaced: number | Uint8Array | undefined): number | undefined {
  assert(!(replaced instanceof Uint8Array), "a word is replaced by a number");
  return replaced;
}

function bytesOf(value: number, length: 2 | 4): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = value >>> (8 * i);
  return bytes;
}

function littleEndian(bytes: Uint8Array): number {
  let value = 0;
  for (let i = 0; i < bytes.length; i++) value |= bytes[i]! << (8 * i);
  return value;
}
