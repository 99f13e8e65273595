import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";

/** One access that a RecordingMemory saw. */
export interface Access {
  readonly who: string;
  readonly verb: "read" | "write" | "observe" | "publish" | "setBits" | "takeBits" | "fence" | "copyOut" | "copyIn";
  readonly offset: number;
  readonly bytes: number;
}

/** Memory that notes each verb in `record` before passing it on. */
export class RecordingMemory extends ForwardingMemory {
  readonly #who: string;
  readonly #record: (access: Access) => void;

  constructor(inner: SharedMemory, who: string, record: (access: Access) => void) {
    super(inner);
    this.#who = who;
    this.#record = record;
  }

  override read16(offset: number): number {
    this.#note("read", offset, 2);
    return super.read16(offset);
  }

  override read32(offset: number): number {
    this.#note("read", offset, 4);
    return super.read32(offset);
  }

  override write16(offset: number, value: number): void {
    this.#note("write", offset, 2);
    super.write16(offset, value);
  }

  override write32(offset: number, value: number): void {
    this.#note("write", offset, 4);
    super.write32(offset, value);
  }

  override copyOut(offset: number, target: Uint8Array): void {
    this.#note("copyOut", offset, target.length);
    super.copyOut(offset, target);
  }

  override copyIn(offset: number, source: Uint8Array): void {
    this.#note("copyIn", offset, source.length);
    super.copyIn(offset, source);
  }

  override observe16(offset: number): number {
    this.#note("observe", offset, 2);
    return super.observe16(offset);
  }

  override publish16(offset: number, value: number): void {
    this.#note("publish", offset, 2);
    super.publish16(offset, value);
  }

  override setBits32(offset: number, bits: number): void {
    this.#note("setBits", offset, 4);
    super.setBits32(offset, bits);
  }

  override takeBits32(offset: number): number {
    this.#note("takeBits", offset, 4);
    return super.takeBits32(offset);
  }

  override fence(): void {
    this.#note("fence", 0, 0);
    super.fence();
  }

  #note(verb: Access["verb"], offset: number, bytes: number): void {
    this.#record({ who: this.#who, verb, offset, bytes });
  }
}

/**
 * Memory in which a word is worth reading only once: a second read of it before forget() gives rubbish and is counted.
 *
 * Stands for a peer that changes a word between two reads. Two chains may share descriptors, so a read that begins a
 * chain (`begins`) lets all but such words and indices be read once more.
 */
export class FickleMemory extends ForwardingMemory {
  /** Reads after the first of a word, since the last forget(). */
  secondReads = 0;
  readonly #begins: (offset: number) => boolean;
  readonly #seen = new Set<number>();
  readonly #seenOfAll = new Set<number>();

  constructor(inner: SharedMemory, begins: (offset: number) => boolean = () => false) {
    super(inner);
    this.#begins = begins;
  }

  /** Lets every word be read once more. */
  forget(): void {
    this.#seen.clear();
    this.#seenOfAll.clear();
  }

  override read16(offset: number): number {
    const value = super.read16(offset);
    const begins = this.#begins(offset);
    if (begins) this.#seen.clear();
    return this.#first(begins ? this.#seenOfAll : this.#seen, offset, 2) ? value : (value ^ 0x5aa5) & 0xffff;
  }

  override read32(offset: number): number {
    const value = super.read32(offset);
    return this.#first(this.#seen, offset, 4) ? value : value ^ 0x5aa5_a55a;
  }

  override observe16(offset: number): number {
    const value = super.observe16(offset);
    return this.#first(this.#seenOfAll, offset, 2) ? value : (value + 1) & 0xffff;
  }

  override copyOut(offset: number, target: Uint8Array): void {
    super.copyOut(offset, target);
    for (let i = 0; i < target.length; i++) if (!this.#first(this.#seen, offset + i, 1)) target[i]! ^= 0xa5;
  }

  #first(seen: Set<number>, offset: number, bytes: number): boolean {
    let fresh = true;
    for (let i = 0; i < bytes; i++) {
      if (seen.has(offset + i)) fresh = false;
      seen.add(offset + i);
    }
    if (!fresh) this.secondReads += 1;
    return fresh;
  }
}

/** Memory that runs `then` after each publish at one of `offsets`: a peer that strikes in between. */
export class AmbushMemory extends ForwardingMemory {
  readonly #then: (offset: number) => void;

  constructor(inner: SharedMemory, then: (offset: number) => void) {
    super(inner);
    this.#then = then;
  }

  override publish16(offset: number, value: number): void {
    super.publish16(offset, value);
    this.#then(offset);
  }
}

/** Memory whose writes wait until the next observe: whatever happened in between came before them. */
export class LateMemory extends ForwardingMemory {
  readonly #waiting: (() => void)[] = [];

  override write32(offset: number, value: number): void {
    this.#waiting.push(() => super.write32(offset, value));
  }

  override publish16(offset: number, value: number): void {
    this.#waiting.push(() => super.publish16(offset, value));
  }

  override observe16(offset: number): number {
    for (const write of this.#waiting.splice(0)) write();
    return super.observe16(offset);
  }
}
