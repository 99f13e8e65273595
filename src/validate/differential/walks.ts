import { VHOST_ACCESS_RO } from "../../layout/vhost.js";
import { VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../layout/virtio-ring.js";
import { type FaultReason, PEER_FAULTS } from "../../ring/peer-fault.js";
import type { Extent, Judgement } from "../rig/naive-walker.js";
import { SPACE, type World } from "../rig/world.js";
import type { Books } from "./books.js";

/** A chain as the bytes behind it, in order, without empty buffers. */
export interface Buffers {
  readonly readable: readonly Uint8Array[];
  readonly writable: readonly Uint8Array[];
}

/** A chain walked from its head: its bytes, or why it is refused. */
export interface Walked extends Buffers {
  readonly refused: FaultReason | undefined;
  readonly views: Views;
}

/** What others say of it: legal differences are told from the rest by them. */
export interface Views {
  /** Whether a relay finds no room for it in its own ring, ever, before it finds anything else wrong. */
  readonly neverFits: boolean;
  /** What is wrong with its shape alone, addresses aside. */
  readonly shape: FaultReason | undefined;
}

/** Walks the chain of a head. */
export type GuestWalk = (head: number) => Walked;

/** Walks the guest's own ring by the book, addresses being guest physical and rights those of the mappings. */
export function directWalk(books: Books): GuestWalk {
  const { world } = books;
  return (head) => {
    const judged = books.direct(head);
    if (judged.outcome === "forward" && judged.pieces <= SMALLEST_SHADOW_RING) return walkedOf(world, judged);
    const views = { neverFits: reasonOf(books.relayed(head)) === "chain-never-fits", shape: shapeFault(books, head) };
    if (judged.outcome === "forward") return { ...walkedOf(world, judged), views };
    // A device has nothing to do for an empty chain, and nothing against it (LEGAL_DIFFERENCES).
    return { ...NOTHING, refused: judged.reason === "chain-empty" ? undefined : judged.reason, views };
  };
}

function shapeFault(books: Books, head: number): FaultReason | undefined {
  const reason = reasonOf(books.shape(head).judged);
  return reason !== undefined && PEER_FAULTS[reason] === "break-queue" ? reason : undefined;
}

function reasonOf(judged: Judgement): FaultReason | undefined {
  return judged.outcome === "refuse" ? judged.reason : undefined;
}

/** Walks the ring that a relay wrote, each descriptor through the mapping it has to lie in. */
export function shadowWalk(world: World): GuestWalk {
  return (head) => {
    const extents = shadowExtents(world, head);
    if (extents === undefined) return refused("next-out-of-range");
    return walkedOf(world, { outcome: "forward", extents, pieces: extents.length });
  };
}

/** A chain of the shadow ring as extents of guest memory; undefined where it has no end or leads nowhere. */
function shadowExtents(world: World, head: number): Extent[] | undefined {
  const { shadowNum } = world.setup;
  const view = world.views[SPACE.shadow]!;
  const extents: Extent[] = [];
  for (let index = head; ; ) {
    if (index >= shadowNum || extents.length === shadowNum) return undefined;
    const at = world.shadowRing.desc + index * 16;
    const iova = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
    const length = view.getUint32(at + 8, true);
    const flags = view.getUint16(at + 12, true);
    const writable = (flags & VRING_DESC_F_WRITE) !== 0;
    const gpa = world.translate(iova, writable);
    const last = world.translate(iova + length - 1, writable);
    if ((flags & VRING_DESC_F_INDIRECT) !== 0 || gpa === undefined || last !== gpa + length - 1) return undefined;
    extents.push({ gpa, bytes: length, writable });
    if ((flags & VRING_DESC_F_NEXT) === 0) return extents;
    index = view.getUint16(at + 14, true);
  }
}

/** The bytes of a buffer that a device may reach for a read or a write; undefined where it may not reach all of it. */
export function reach(world: World, gpa: number, length: number, writes: boolean): Uint8Array | undefined {
  for (let at = gpa; at < gpa + length; ) {
    const mapping = world.mappings.find((each) => at >= each.gpa && at < each.gpa + each.bytes);
    if (mapping === undefined || (writes && mapping.perm === VHOST_ACCESS_RO)) return undefined;
    at = mapping.gpa + mapping.bytes;
  }
  // A program's buffers are RAM, and regions have holes between them: what is mapped without a gap lies in one.
  const { view, offset } = world.at(gpa) ?? {};
  if (view === undefined || offset === undefined) return undefined;
  return new Uint8Array(view.buffer as ArrayBuffer, offset, length);
}

const FINE: Views = { neverFits: false, shape: undefined };
const NOTHING: Walked = { refused: undefined, views: FINE, readable: [], writable: [] };
/** A chain of one piece fits any ring. */
const SMALLEST_SHADOW_RING = 1;

function walkedOf(world: World, judged: Extract<Judgement, { outcome: "forward" }>): Walked {
  const readable: Uint8Array[] = [];
  const writable: Uint8Array[] = [];
  for (const { gpa, bytes, writable: writes } of judged.extents) {
    (writes ? writable : readable).push(reach(world, gpa, bytes, writes)!);
  }
  return { refused: undefined, views: FINE, readable, writable };
}

function refused(reason: FaultReason): Walked {
  return { ...NOTHING, refused: reason };
}
