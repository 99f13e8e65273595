import { VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../layout/virtio-ring.js";
import { u16 } from "../../memory/shared-memory.js";
import { type FaultReason, PEER_FAULTS } from "../../ring/peer-fault.js";
import { type Extent, type Judgement, judgeChain } from "../rig/naive-walker.js";
import { SPACE, type World } from "../rig/world.js";
import type { DirtyStamps } from "./dirty-stamps.js";
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
  readonly inFlight = new Map<number, InFlight>();
  readonly #world: World;
  readonly #seen: Overlay;
  readonly #told: Overlay;
  readonly #stamps: DirtyStamps;
  #shadowAvailIdx = 0;
  #guestUsedIdx: number;
  #returnedShadow = 0;

  constructor(world: World, seen: Overlay, told: Overlay, stamps: DirtyStamps) {
    this.#world = world;
    this.#seen = seen;
    this.#told = told;
    this.#stamps = stamps;
    this.position = world.setup.start;
    this.#guestUsedIdx = world.setup.start;
  }

  /** What the book says of the next chain that the guest offered, as the relay saw it. */
  nextJudgement(): Judgement {
    const head = this.#headAt(this.position);
    for (const chain of this.inFlight.values()) {
      if (chain.head === head) return { outcome: "refuse", reason: "head-outstanding" };
    }
    return judgeChain(this.#world, head, (gpa) => this.#seenByte(gpa));
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

  /** The relay gave the queue up: holds the reason against what the book says. */
  broke(reason: FaultReason, availIdx: number): void {
    if (PEER_FAULTS[reason] !== "break-queue") throw new Violation("O8", 36, `the queue broke for ${reason}`);
    if (reason === "used-idx-overrun" || reason === "used-id-unknown" || reason === "guest-ring-changed") return;
    const waiting = u16(availIdx - this.position);
    const overrun = waiting > this.#world.setup.num;
    if (reason === "avail-idx-overrun" || overrun) {
      if (reason !== "avail-idx-overrun" || !overrun)
        throw new Violation("O8", 36, `${reason} with ${waiting} waiting`);
      return;
    }
    const judged = this.nextJudgement();
    if (judged.outcome === "refuse" && judged.reason === reason) return;
    const due = judged.outcome === "refuse" ? judged.reason : "nothing wrong";
    throw new Violation("O8", 36, `the queue broke for ${reason} where the book says ${due}`);
  }

  #forwarded(shadowHead: number): void {
    if (this.inFlight.has(shadowHead)) throw new Violation("O1", 4, `shadow head ${shadowHead} is offered twice`);
    const judged = this.nextJudgement();
    if (judged.outcome === "refuse") throw new Violation("O8", 36, `forwarded what is to be refused: ${judged.reason}`);
    this.#compare(judged.extents, this.#shadowChain(shadowHead));
    let writableBytes = 0;
    for (const { bytes, writable } of judged.extents) if (writable) writableBytes += Number(bytes);
    const { position } = this;
    const head = this.#headAt(position);
    this.inFlight.set(shadowHead, { position, head, shadowHead, extents: judged.extents, writableBytes });
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
    this.#returnedShadow = u16(this.#returnedShadow + 1);
    this.returned += 1;
    if (!log) return;
    for (const { gpa, bytes, writable } of used.chain.extents) {
      if (writable) this.#stamps.checkRange(Number(gpa), Number(bytes), "as its buffer is returned");
    }
  }

  /** The chain behind the next entry of the shadow used ring, as the relay read it, if the guest got its head. */
  #nextReturned(id: number): { chain: InFlight; length: number } | undefined {
    const { shadowNum } = this.#world.setup;
    const at = this.#world.shadowRing.used + 4 + (this.#returnedShadow & (shadowNum - 1)) * 8;
    const seen = this.#seen[SPACE.shadow]!;
    const chain = this.inFlight.get(word(seen, at));
    return chain?.head === id ? { chain, length: word(seen, at + 4) } : undefined;
  }

  /** A used entry without a chain in flight: the next one offered, refused for a reason that costs only itself. */
  #refused(id: number, length: number): void {
    const head = this.#headAt(this.position);
    if (id !== head) throw new Violation("O3", 8, `head ${id} was used, which is neither in flight nor next (${head})`);
    const judged = this.nextJudgement();
    if (judged.outcome === "forward") throw new Violation("O8", 36, `head ${id} was refused, with nothing wrong`);
    if (PEER_FAULTS[judged.reason] !== "quarantine" || length !== 0) {
      throw new Violation("O8", 36, `head ${id} came back with ${length} bytes where the book says ${judged.reason}`);
    }
    this.quarantined += 1;
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
      extents.push({ gpa: BigInt(gpa), bytes: BigInt(bytes), writable });
      if ((flags & VRING_DESC_F_NEXT) === 0) return extents;
      index = half(told, at + 14);
    }
  }

  #compare(due: readonly Extent[], seen: readonly Extent[]): void {
    const [a, b] = [joined(due), joined(seen)];
    if (a !== b) throw new Violation("O2", 6, `the device sees ${b}, the guest offered ${a}`);
  }

  #headAt(position: number): number {
    const at = this.#world.guestRing.avail + 4 + (position & (this.#world.setup.num - 1)) * 2;
    return half(this.#seen[SPACE.low]!, at);
  }

  #seenByte(gpa: number): number {
    const place = this.#world.at(gpa);
    return place === undefined ? 0 : this.#seen[place.space]![place.offset]!;
  }

  #shadow16(offset: number): number {
    return half(this.#told[SPACE.shadow]!, offset);
  }
}

/** Extents as text, with neighbours of one direction joined: how a chain is cut says nothing. */
function joined(extents: readonly Extent[]): string {
  let text = "";
  let end = -1n;
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
