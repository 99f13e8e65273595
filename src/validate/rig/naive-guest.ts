import {
  availEventOffset,
  VRING_DESC_F_INDIRECT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
  VRING_USED_F_NO_NOTIFY,
} from "../../layout/virtio-ring.js";
import { u16 } from "../../memory/shared-memory.js";
import type { DirtyStamps } from "../oracles/dirty-stamps.js";
import type { Element, RawDescriptor } from "./program.js";
import { SPACE, TABLES_GPA, type World } from "./world.js";

/** A guest driver that does what a program says, right or wrong; shares no code with the shipping one. */
export class NaiveGuest {
  /** Chains offered, and heads that came back. */
  offered = 0;
  reaped = 0;
  readonly #world: World;
  readonly #stamps: DirtyStamps;
  readonly #free: number[] = [];
  readonly #chains = new Map<number, number[]>();
  #availIdx: number;
  #publishedIdx: number;
  #lastUsedIdx: number;

  constructor(world: World, stamps: DirtyStamps) {
    this.#world = world;
    this.#stamps = stamps;
    for (let i = 0; i < world.setup.num; i++) this.#free.push(i);
    this.#availIdx = this.#publishedIdx = this.#lastUsedIdx = world.setup.start;
  }

  /** Chains that it waits for. */
  get outstanding(): number {
    return this.#chains.size;
  }

  /** Lays out a chain by the rules, of at most `num` elements; false when it has no descriptors for it. */
  offer(elements: readonly Element[], form: "direct" | "indirect" | "mixed"): boolean {
    const direct = form === "direct" ? elements.length : Math.min(form === "mixed" ? 1 : 0, elements.length - 1);
    const slots = form === "direct" ? direct : direct + 1;
    if (elements.length === 0 || elements.length > this.#world.setup.num || slots > this.#free.length) return false;
    const taken = this.#free.splice(0, slots);
    for (let i = 0; i < direct; i++) {
      const last = i === slots - 1;
      this.#lay(this.#descriptorAt(taken[i]!), elements[i]!, last, last ? 0 : taken[i + 1]!);
    }
    if (form !== "direct") this.#indirect(taken[slots - 1]!, elements, direct);
    this.#chains.set(taken[0]!, taken);
    this.#putHead(taken[0]!);
    return true;
  }

  /** Writes descriptors as they are, and offers the first of them. */
  offerRaw(slot: number, descriptors: readonly RawDescriptor[], table: readonly RawDescriptor[] = []): void {
    const { num } = this.#world.setup;
    for (const [i, each] of descriptors.entries()) this.#raw(this.#descriptorAt((slot + i) % num), each);
    for (const [i, each] of table.slice(0, 2 * num).entries()) this.#raw(TABLES_GPA + i * 16, each);
    this.#putHead(slot % num);
  }

  /** Puts a head into the avail ring. */
  offerHead(head: number): void {
    this.#putHead(head);
  }

  /** Moves avail.idx; true when the other side asked to be kicked for that. */
  publish(jump = 0): boolean {
    const { setup, guestRing } = this.#world;
    const oldIdx = this.#publishedIdx;
    const idx = u16(this.#availIdx + jump);
    if (idx === oldIdx) return false;
    this.#store16(guestRing.avail + 2, idx);
    this.#publishedIdx = this.#availIdx = idx;
    if (!setup.eventIdx) return (this.#world.get16(guestRing.used) & VRING_USED_F_NO_NOTIFY) === 0;
    const event = this.#world.get16(guestRing.used + availEventOffset(setup.num));
    return u16(idx - event - 1) < u16(idx - oldIdx);
  }

  /** Takes back what is used, and asks to be called for the next; at most a ring's worth. */
  reap(): boolean {
    const { setup, guestRing, views } = this.#world;
    const usedIdx = this.#world.get16(guestRing.used + 2);
    let moved = false;
    for (let i = 0; i < setup.num && this.#lastUsedIdx !== usedIdx; i++) {
      const at = guestRing.used + 4 + (this.#lastUsedIdx & (setup.num - 1)) * 8;
      const head = views[SPACE.low]!.getUint32(at, true);
      this.#free.push(...(this.#chains.get(head) ?? []));
      this.#chains.delete(head);
      this.#lastUsedIdx = u16(this.#lastUsedIdx + 1);
      this.reaped += 1;
      moved = true;
    }
    if (setup.eventIdx) this.#store16(guestRing.avail + 4 + 2 * setup.num, this.#lastUsedIdx);
    return moved;
  }

  /** Puts the elements from `first` on into the table of a slot. */
  #indirect(slot: number, elements: readonly Element[], first: number): void {
    const table = TABLES_GPA + slot * this.#world.setup.num * 16;
    const entries = elements.length - first;
    for (let i = 0; i < entries; i++) {
      const last = i === entries - 1;
      this.#lay(table + i * 16, elements[first + i]!, last, last ? 0 : i + 1);
    }
    this.#descriptor(this.#descriptorAt(slot), table, entries * 16, VRING_DESC_F_INDIRECT, 0);
  }

  #putHead(head: number): void {
    const { setup, guestRing } = this.#world;
    this.#store16(guestRing.avail + 4 + (this.#availIdx & (setup.num - 1)) * 2, head);
    this.#availIdx = u16(this.#availIdx + 1);
    this.offered += 1;
  }

  #descriptorAt(slot: number): number {
    return this.#world.guestRing.desc + slot * 16;
  }

  #lay(at: number, { gpa, bytes, writable }: Element, last: boolean, next: number): void {
    this.#descriptor(at, gpa, bytes, (last ? 0 : VRING_DESC_F_NEXT) | (writable ? VRING_DESC_F_WRITE : 0), next);
  }

  #raw(gpa: number, { address, length, flags, next }: RawDescriptor): void {
    this.#descriptor(gpa, 0, length, flags, next);
    this.#world.views[SPACE.low]!.setBigUint64(gpa, address, true);
    this.#stamps.guestWrote(SPACE.low, gpa, 16);
  }

  #descriptor(gpa: number, address: number, length: number, flags: number, next: number): void {
    const view = this.#world.views[SPACE.low]!;
    view.setUint32(gpa, address, true);
    view.setUint32(gpa + 4, Math.floor(address / 2 ** 32), true);
    view.setUint32(gpa + 8, length, true);
    view.setUint16(gpa + 12, flags, true);
    view.setUint16(gpa + 14, next, true);
    this.#world.touch(SPACE.low, gpa, 16);
    this.#stamps.guestWrote(SPACE.low, gpa, 16);
  }

  #store16(gpa: number, value: number): void {
    this.#world.set16(gpa, value);
    this.#stamps.guestWrote(SPACE.low, gpa, 2);
  }
}
