import {
  usedEventOffset,
  VRING_AVAIL_F_NO_INTERRUPT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
} from "../../layout/virtio-ring.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { u16 } from "../../memory/shared-memory.js";
import type { DirtyStamps } from "../oracles/dirty-stamps.js";
import type { Ledger } from "../oracles/ledger.js";
import { SPACE, type World } from "./world.js";

interface Held {
  readonly head: number;
  readonly writable: readonly { readonly iova: number; readonly bytes: number }[];
}

/** A device that does what a program says, right or wrong; shares no code with the shipping one. */
export class NaiveDevice {
  /** Chains it has, in the order in which it took them. */
  readonly held: Held[] = [];
  readonly #world: World;
  readonly #stamps: DirtyStamps;
  readonly #ledger: Pick<Ledger, "mayWrite">;
  #lastAvailIdx = 0;
  #usedIdx = 0;
  #publishedIdx = 0;
  #pattern = 1;

  constructor(world: World, stamps: DirtyStamps, ledger: Pick<Ledger, "mayWrite">) {
    this.#world = world;
    this.#stamps = stamps;
    this.#ledger = ledger;
  }

  /** Next entry that it takes, and next that it fills; free-running. */
  get lastAvailIdx(): number {
    return this.#lastAvailIdx;
  }

  get usedIdx(): number {
    return this.#usedIdx;
  }

  /** Takes every available chain, at most a ring's worth. */
  take(): boolean {
    const { setup, shadowRing } = this.#world;
    const view = this.#world.views[SPACE.shadow]!;
    const availIdx = view.getUint16(shadowRing.avail + 2, true);
    let moved = false;
    for (let i = 0; i < setup.shadowNum && this.#lastAvailIdx !== availIdx; i++) {
      const head = view.getUint16(shadowRing.avail + 4 + (this.#lastAvailIdx & (setup.shadowNum - 1)) * 2, true);
      this.held.push({ head, writable: this.#writableOf(head) });
      this.#lastAvailIdx = u16(this.#lastAvailIdx + 1);
      moved = true;
    }
    // It asks to be kicked for the next, as one that sleeps does.
    if (setup.eventIdx) this.#store16(shadowRing.used + 4 + 8 * setup.shadowNum, this.#lastAvailIdx);
    return moved;
  }

  /** Writes up to `bytes` bytes into the nth chain it has, and returns it with the length it claims. */
  use(nth: number, bytes: number, claim?: number): boolean {
    const [chain] = this.held.splice(nth % Math.max(1, this.held.length), 1);
    if (chain === undefined) return false;
    const written = this.#write(chain, bytes);
    this.useRaw(chain.head, claim ?? written);
    return true;
  }

  /** Puts an entry into the used ring. */
  useRaw(id: number, length: number): void {
    const { setup, shadowRing } = this.#world;
    const at = shadowRing.used + 4 + (this.#usedIdx & (setup.shadowNum - 1)) * 8;
    const view = this.#world.views[SPACE.shadow]!;
    view.setUint32(at, id, true);
    view.setUint32(at + 4, length, true);
    this.#world.touch(SPACE.shadow, at, 8);
    this.#usedIdx = u16(this.#usedIdx + 1);
  }

  /** Moves used.idx; true when the other side asked to be called for that. */
  publish(jump = 0): boolean {
    const { setup, shadowRing } = this.#world;
    const view = this.#world.views[SPACE.shadow]!;
    const oldIdx = this.#publishedIdx;
    const idx = u16(this.#usedIdx + jump);
    if (idx === oldIdx) return false;
    this.#store16(shadowRing.used + 2, idx);
    this.#publishedIdx = this.#usedIdx = idx;
    if (!setup.eventIdx) return (view.getUint16(shadowRing.avail, true) & VRING_AVAIL_F_NO_INTERRUPT) === 0;
    const event = view.getUint16(shadowRing.avail + usedEventOffset(setup.shadowNum), true);
    return u16(idx - event - 1) < u16(idx - oldIdx);
  }

  #store16(offset: number, value: number): void {
    this.#world.views[SPACE.shadow]!.setUint16(offset, value, true);
    this.#world.touch(SPACE.shadow, offset, 2);
  }

  #writableOf(head: number): Held["writable"] {
    const { setup, shadowRing } = this.#world;
    const view = this.#world.views[SPACE.shadow]!;
    const writable: { iova: number; bytes: number }[] = [];
    let index = head;
    for (let i = 0; i < setup.shadowNum && index < setup.shadowNum; i++) {
      const at = shadowRing.desc + index * 16;
      const flags = view.getUint16(at + 12, true);
      const iova = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
      if ((flags & VRING_DESC_F_WRITE) !== 0) writable.push({ iova, bytes: view.getUint32(at + 8, true) });
      if ((flags & VRING_DESC_F_NEXT) === 0) break;
      index = view.getUint16(at + 14, true);
    }
    return writable;
  }

  /** By DMA, at most 64 bytes of a buffer so that huge ones cost nothing; returns the length as if all were written. */
  #write({ writable }: Held, bytes: number): number {
    let left = bytes;
    for (const buffer of writable) {
      const length = Math.min(left, buffer.bytes);
      const touched = Math.min(length, 64);
      this.#fill(buffer.iova, touched);
      if (length > touched) this.#fill(buffer.iova + length - 1, 1);
      left -= length;
    }
    this.#pattern = (this.#pattern + 1) & 0xff;
    return bytes - left;
  }

  /** Page by page, as far as it may write. */
  #fill(iova: number, bytes: number): void {
    for (let done = 0; done < bytes; ) {
      const at = iova + done;
      const length = Math.min(bytes - done, PAGE_BYTES - (at % PAGE_BYTES));
      done += length;
      const gpa = this.#world.translate(at, true);
      const place = gpa === undefined ? undefined : this.#world.at(gpa);
      if (gpa === undefined || place === undefined) continue;
      this.#world.fill(place.space, place.offset, length, this.#pattern);
      if (this.#ledger.mayWrite(gpa, length)) this.#stamps.wrote(gpa, length);
      else this.#rogue(gpa, place.space, place.offset, length);
    }
  }

  /** Where it has no chain for, it is on its own: which no relay can know of, let alone mark. */
  #rogue(gpa: number, space: number, offset: number, bytes: number): void {
    for (let i = 0; i < bytes; i++) {
      if (this.#ledger.mayWrite(gpa + i, 1)) this.#stamps.wrote(gpa + i, 1);
      else this.#stamps.guestWrote(space, offset + i, 1);
    }
  }
}
