import { VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../layout/virtio-ring.js";
import { u16 } from "../../memory/shared-memory.js";
import { type FaultReason, PEER_FAULTS } from "../../ring/peer-fault.js";
import { type Extent, type Judgement, judgeChain } from "../rig/naive-walker.js";
import { SPACE, type World } from "../rig/world.js";
import type { RingRules } from "./conduct.js";
import type { DirtyStamps } from "./dirty-stamps.js";
import { ChainReadings, type Readings } from "./readings.js";
import { Violation } from "./violation.js";

/** A chain that the device has. */
export interface InFlight {
  /** Its place in the guest's avail ring; free-running. */
  readonly position: number;
  readonly head: number;
  readonly shadowHead: number;
  readonly extents: readonly Extent[];
  readonly writableBytes: number;
}

/** By space, each byte as the relay read it last, or stored it last: a peer may have changed memory since. */
export type Overlay = readonly Uint8Array[];

/**
 * O1, O2, O3 and O8 from what everybody can see: the two published indices of a relay and what lies before them.
 *
 * It holds each chain that appears in the shadow ring against a second opinion on the guest's, and each used entry
 * against the chains the device has. It knows nothing of the relay's books.
 */
export class Ledger {
  /** The next place in the guest's avail ring that has not been accounted for; free-running. */
  position: number;
  quarantined = 0;
  returned = 0;
  /** Why each chain that came back unused did, in their order. */
  readonly refused: FaultReason[] = [];
  readonly inFlight = new Map<number, InFlight>();
  readonly #world: World;
  readonly #seen: Overlay;
  readonly #told: Overlay;
  readonly #stamps: DirtyStamps;
  readonly #rules: RingRules;
  readonly #readings: ChainReadings;
  #shadowAvailIdx = 0;
  #guestUsedIdx: number;
  #returnedShadow = 0;
  /** The head that nextJudgement() judged last. */
  #head = 0;

  readonly #read = (gpa: number): number => {
    const { fetches } = this.#rules;
    if (fetches.inDoubt) fetches.visit(gpa);
    return this.#readings.byte(gpa);
  };
  readonly #onDescriptor = (): void => this.#readings.descriptor();

  constructor(world: World, seen: Overlay, told: Overlay, stamps: DirtyStamps, rules: RingRules, readings: Readings) {
    this.#world = world;
    this.#seen = seen;
    this.#told = told;
    this.#stamps = stamps;
    this.#rules = rules;
    this.#readings = new ChainReadings(readings, (gpa) => this.#seenByte(gpa));
    this.position = world.setup.start;
    this.#guestUsedIdx = world.setup.start;
  }

  /** What the book says of the next chain that the guest offered, as the relay saw it. */
  nextJudgement(): Judgement {
    const { num } = this.#world.setup;
    const head = this.#readings.begin(this.#world.guestRing.avail + 4 + (this.position & (num - 1)) * 2);
    this.#head = head;
    for (const chain of this.inFlight.values()) {
      if (chain.head === head) return { outcome: "refuse", reason: "head-outstanding" };
    }
    const { fetches } = this.#rules;
    const judged = judgeChain(this.#world, head, this.#read, this.#onDescriptor);
    fetches.counted();
    return judged;
  }

  /** The relay begins a turn: what it read before is no reading of the next chain. */
  turn(): void {
    this.#readings.turn();
  }

  /** Whether a chain in flight lets the device write to all of `bytes` bytes. */
  mayWrite(gpa: number, bytes: number): boolean {
    for (const { extents } of this.inFlight.values()) {
      for (const extent of extents) {
        if (extent.writable && gpa >= extent.gpa && gpa + bytes <= extent.gpa + extent.bytes) return true;
      }
    }
    return false;
  }

  /** Entries of the shadow used ring that the relay has passed on; free-running. */
  get consumed(): number {
    return this.#returnedShadow;
  }

  /** The relay moved the shadow avail index. */
  shadowPublished(idx: number): void {
    const { shadowNum } = this.#world.setup;
    const fresh = u16(idx - this.#shadowAvailIdx);
    if (fresh > shadowNum) throw new Violation("O8", 4, `the shadow index moved by ${fresh} in a ring of ${shadowNum}`);
    for (let i = 0; i < fresh; i++) {
      const slot = u16(this.#shadowAvailIdx + i) & (shadowNum - 1);
      this.#forwarded(this.#shadow16(this.#world.shadowRing.avail + 4 + slot * 2));
    }
    this.#shadowAvailIdx = idx;
  }

  /** The relay moved the guest's used index. */
  usedPublished(idx: number): void {
    const { num, log } = this.#world.setup;
    const fresh = u16(idx - this.#guestUsedIdx);
    if (fresh > num) throw new Violation("O3", 8, `the guest's used index moved by ${fresh} in a ring of ${num}`);
    for (let i = 0; i < fresh; i++) {
      const at = this.#world.guestRing.used + 4 + (u16(this.#guestUsedIdx + i) & (num - 1)) * 8;
      const told = this.#told[SPACE.low]!;
      this.#returnedToGuest(word(told, at), word(told, at + 4), log);
    }
    this.#guestUsedIdx = idx;
  }

  /** The relay gave the queue up: holds the reason against what the book says of the two indices it saw. */
  broke(reason: FaultReason, availIdx: number, usedIdx: number): void {
    const due = this.#fatal(availIdx, usedIdx);
    if (reason === due) return;
    throw new Violation("O8", 36, `the queue broke for ${reason} where the book says ${due ?? "nothing wrong"}`);
  }

  /** What breaks the queue, by the book: the device's index, its next entry, the guest's index, its next chain. */
  #fatal(availIdx: number, usedIdx: number): FaultReason | undefined {
    const used = u16(usedIdx - this.#returnedShadow);
    if (used > this.inFlight.size) return "used-idx-overrun";
    if (used > 0 && !this.inFlight.has(this.#usedWord(0))) return "used-id-unknown";
    const waiting = u16(availIdx - this.position);
    if (waiting > this.#world.setup.num) return "avail-idx-overrun";
    if (waiting === 0) return undefined;
    const judged = this.nextJudgement();
    return judged.outcome === "refuse" && PEER_FAULTS[judged.reason] === "break-queue" ? judged.reason : undefined;
  }

  #forwarded(shadowHead: number): void {
    if (this.inFlight.has(shadowHead)) throw new Violation("O1", 4, `shadow head ${shadowHead} is offered twice`);
    const judged = this.nextJudgement();
    if (judged.outcome === "refuse") throw new Violation("O8", 36, `forwarded what is to be refused: ${judged.reason}`);
    this.#compare(judged.extents, this.#shadowChain(shadowHead));
    let writableBytes = 0;
    for (const { gpa, bytes, writable } of judged.extents) {
      if (!writable) continue;
      writableBytes += bytes;
      if (this.#world.setup.log) this.#rules.marks.allow(gpa, bytes);
    }
    this.#rules.slots.published();
    this.#readings.end();
    const { position } = this;
    this.inFlight.set(shadowHead, { position, head: this.#head, shadowHead, extents: judged.extents, writableBytes });
    this.position = u16(this.position + 1);
  }

  #returnedToGuest(id: number, length: number, log: boolean): void {
    const used = this.#nextReturned(id);
    if (used === undefined) {
      this.#refused(id, length);
      return;
    }
    const due = Math.min(used.length, used.chain.writableBytes);
    if (length !== due) throw new Violation("O3", 39, `head ${id} came back with ${length} bytes, ${due} are due`);
    this.inFlight.delete(used.chain.shadowHead);
    this.#rules.slots.release(used.chain.shadowHead);
    this.#returnedShadow = u16(this.#returnedShadow + 1);
    this.returned += 1;
    if (!log) return;
    for (const { gpa, bytes, writable } of used.chain.extents) {
      if (writable) this.#stamps.checkDevices(gpa, bytes, "as its buffer is returned");
    }
  }

  /** The chain behind the next entry of the shadow used ring, as the relay read it, if the guest got its head. */
  #nextReturned(id: number): { chain: InFlight; length: number } | undefined {
    const chain = this.inFlight.get(this.#usedWord(0));
    return chain?.head === id ? { chain, length: this.#usedWord(4) } : undefined;
  }

  /** A word of the next entry of the shadow used ring, as the relay read it. */
  #usedWord(offset: number): number {
    const { shadowNum } = this.#world.setup;
    const at = this.#world.shadowRing.used + 4 + (this.#returnedShadow & (shadowNum - 1)) * 8;
    return word(this.#seen[SPACE.shadow]!, at + offset);
  }

  /** A used entry without a chain in flight: the next one offered, refused for a reason that costs only itself. */
  #refused(id: number, length: number): void {
    const judged = this.nextJudgement();
    const head = this.#head;
    if (id !== head) throw new Violation("O3", 8, `head ${id} was used, which is neither in flight nor next (${head})`);
    if (judged.outcome === "forward") throw new Violation("O8", 36, `head ${id} was refused, with nothing wrong`);
    if (PEER_FAULTS[judged.reason] !== "quarantine" || length !== 0) {
      throw new Violation("O8", 36, `head ${id} came back with ${length} bytes where the book says ${judged.reason}`);
    }
    this.quarantined += 1;
    this.refused.push(judged.reason);
    this.#readings.end();
    this.position = u16(this.position + 1);
  }

  /** A shadow chain as extents of guest memory. */
  #shadowChain(head: number): Extent[] {
    const { shadowNum } = this.#world.setup;
    const told = this.#told[SPACE.shadow]!;
    const extents: Extent[] = [];
    for (let index = head; ; ) {
      if (index >= shadowNum || extents.length === shadowNum)
        throw new Violation("O1", 3, `shadow chain ${head} has no end`);
      const at = this.#world.shadowRing.desc + index * 16;
      const iova = word(told, at) + word(told, at + 4) * 2 ** 32;
      const bytes = word(told, at + 8);
      const flags = half(told, at + 12);
      const writable = (flags & VRING_DESC_F_WRITE) !== 0;
      if ((flags & VRING_DESC_F_INDIRECT) !== 0 || bytes === 0)
        throw new Violation("O2", 6, `flags ${flags}, ${bytes} bytes`);
      const gpa = this.#world.translate(iova, writable);
      const last = this.#world.translate(iova + bytes - 1, writable);
      if (gpa === undefined || last !== gpa + bytes - 1) {
        throw new Violation("O2", 14, `${bytes} bytes at IOVA ${iova} lie in no one mapping`);
      }
      this.#rules.slots.take(index);
      extents.push({ gpa, bytes, writable });
      if ((flags & VRING_DESC_F_NEXT) === 0) return extents;
      index = half(told, at + 14);
    }
  }

  #compare(due: readonly Extent[], seen: readonly Extent[]): void {
    if (sameBytes(due, seen)) return;
    throw new Violation("O2", 6, `the device sees ${joined(seen)}, the guest offered ${joined(due)}`);
  }

  #seenByte(gpa: number): number {
    const place = this.#world.at(gpa);
    return place === undefined ? 0 : this.#seen[place.space]![place.offset]!;
  }

  #shadow16(offset: number): number {
    return half(this.#told[SPACE.shadow]!, offset);
  }
}

/** Whether two lists of extents are the same bytes in the same direction and order: how a chain is cut says nothing. */
function sameBytes(a: readonly Extent[], b: readonly Extent[]): boolean {
  let [i, j, intoA, intoB] = [0, 0, 0, 0];
  while (i < a.length && j < b.length) {
    const [ofA, ofB] = [a[i]!, b[j]!];
    if (ofA.writable !== ofB.writable || ofA.gpa + intoA !== ofB.gpa + intoB) return false;
    const bytes = Math.min(ofA.bytes - intoA, ofB.bytes - intoB);
    intoA += bytes;
    intoB += bytes;
    if (intoA === ofA.bytes) [i, intoA] = [i + 1, 0];
    if (intoB === ofB.bytes) [j, intoB] = [j + 1, 0];
  }
  return i === a.length && j === b.length;
}

/** Extents as text, with neighbours of one direction joined. */
function joined(extents: readonly Extent[]): string {
  let text = "";
  let end = -1;
  let writing: boolean | undefined;
  for (const { gpa, bytes, writable } of extents) {
    if (gpa !== end || writable !== writing) text += `${text === "" ? "" : `${end} `}${writable ? "w" : "r"}${gpa}-`;
    end = gpa + bytes;
    writing = writable;
  }
  return `${text}${end}`;
}

function half(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

function word(bytes: Uint8Array, at: number): number {
  return (half(bytes, at) | (half(bytes, at + 2) << 16)) >>> 0;
}
