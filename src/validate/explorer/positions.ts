import { assert } from "../../memory/assert.js";
import { type Access, Automaton, type Node, type Party } from "./automaton.js";
import type { Images } from "./images.js";
import type { Reduction } from "./reductions.js";
import { mayDrain, type Pending, type StoreOrder, seenBy } from "./store-order.js";
import { IDS_MAX, PairTable } from "./tables.js";

/** How memory behaves: an order of stores, or TSO as JavaScript has it, where a publish is a full fence. */
export type MemoryModel = StoreOrder | "tso-seqcst";

/** What a party does next, as a number to switch on. */
export const ACTION = {
  /** Nothing: it has ended, it threw, or it waits until its own stores are visible. */
  none: 0,
  load: 1,
  /** A store without a buffer, or bits to set: memory changes and the party learns nothing. */
  change: 2,
  take: 3,
  sleep: 4,
  fence: 5,
  /** A store into the own buffer, where that is a step of its own. */
  buffer: 6,
  /** Any of several results, whatever memory holds. */
  choose: 7,
} as const;

const ACTIONS: Readonly<Record<Access["kind"], number>> = {
  load: ACTION.load,
  observe: ACTION.load,
  store: ACTION.change,
  publish: ACTION.change,
  set: ACTION.change,
  take: ACTION.take,
  sleep: ACTION.sleep,
  fence: ACTION.fence,
  choose: ACTION.choose,
};

const STORES: ReadonlySet<Access["kind"]> = new Set(["store", "publish", "set", "take"]);

/** A store that may be seen next, and where its party stands then. */
export interface Drain {
  readonly store: Pending;
  /** For Images.after. */
  readonly change: number;
  /** Id of the position that follows. */
  readonly to: number;
}

/** Bytes that a party is about to touch plainly, or that it has stored plainly and nobody else sees yet. */
interface Touch {
  readonly from: number;
  readonly end: number;
  readonly stores: boolean;
}

/** Where a party stands, with the stores in its buffer, oldest first. */
export interface Position {
  readonly node: Node;
  readonly stores: readonly Pending[];
  readonly action: number;
  readonly offset: number;
  readonly bytes: number;
  /** For Images.after. */
  readonly change: number;
  /** Whether its next load finds a store of its own. */
  readonly forwarded: boolean;
  readonly drains: readonly Drain[];
  /** What has to be this party's alone at this moment. */
  readonly touches: readonly Touch[];
  /** What went wrong on the way here. */
  readonly fault: string | undefined;
  readonly ended: boolean;
  /** What the next access gave so far, and the ids of the positions that follow. */
  readonly results: number[];
  readonly next: number[];
}

/** The positions of one party: each is worked out once, and a search then walks from id to id. */
export class Positions {
  readonly party: Party;
  readonly list: Position[] = [];
  /** Id of the position where the party starts. */
  readonly start: number;
  readonly #model: MemoryModel;
  readonly #images: Images;
  readonly #automaton: Automaton;
  readonly #mayStore: (offset: number, bytes: number) => boolean;
  /** Whether a store goes into the own buffer with the access before it. */
  readonly #folds: boolean;
  readonly #buffers = new Map<string, number>();
  readonly #ids = new PairTable();

  /** A store that `mayStore` refuses is a fault. */
  constructor(
    party: Party,
    model: MemoryModel,
    images: Images,
    mayStore: (offset: number, bytes: number) => boolean = () => true,
    without: readonly Reduction[] = [],
  ) {
    this.party = party;
    this.#model = model;
    this.#images = images;
    this.#mayStore = mayStore;
    this.#folds = !without.includes("stores-with-access");
    this.#automaton = new Automaton(party, !without.includes("equal-steps"));
    this.start = this.#settled(this.#automaton.start, []);
  }

  /** The id of the position that follows when the next access gives `result`. */
  after(position: Position, result: number): number {
    const { results, next } = position;
    for (let i = 0; i < results.length; i++) if (results[i] === result) return next[i]!;
    const stores = position.action === ACTION.buffer ? this.#buffered(position) : position.stores;
    const to = this.#settled(this.#automaton.after(position.node, result), stores);
    results.push(result);
    next.push(to);
    return to;
  }

  /** What the next access of a position finds in an image: the party's own stores lie over it. */
  read(position: Position, image: number): number {
    const { offset, bytes, stores, forwarded } = position;
    return forwarded ? seenBy(this.#images.of(image), position, stores) : this.#images.read(image, offset, bytes);
  }

  /** Puts stores into the own buffer, which nobody else can notice, up to the next access that somebody can. */
  #settled(from: Node, pending: readonly Pending[]): number {
    let node = from;
    let stores = pending;
    let fault: string | undefined;
    while (fault === undefined && typeof node.next === "object" && "kind" in node.next) {
      const { kind, offset, bytes, value } = node.next;
      const allowed = !STORES.has(kind) || this.#mayStore(offset, bytes);
      if (!allowed) fault = `${this.party.name}: a store of ${bytes} bytes at ${offset}, where it may not write`;
      if (!this.#folds) break;
      if (this.#goesToBuffer(kind)) stores = [...stores, { offset, bytes, value, release: kind === "publish" }];
      else if (!this.#isEmpty(kind)) break;
      node = this.#automaton.after(node, 0);
    }
    return this.#position(node, stores, fault);
  }

  /** The stores of a position, and the one that it makes next. */
  #buffered({ node, stores }: Position): Pending[] {
    const { kind, offset, bytes, value } = node.next as Access;
    return [...stores, { offset, bytes, value, release: kind === "publish" }];
  }

  /** A fence that waits for nothing, because each publish did. */
  #isEmpty(kind: Access["kind"]): boolean {
    return kind === "fence" && this.#model === "tso-seqcst";
  }

  #goesToBuffer(kind: Access["kind"]): boolean {
    if (this.#model === "sc") return false;
    return kind === "store" || (kind === "publish" && this.#model !== "tso-seqcst");
  }

  #position(node: Node, stores: readonly Pending[], fault: string | undefined): number {
    const buffer = this.#buffer(stores);
    const known = fault === undefined ? this.#ids.get(node.id, buffer) : -1;
    if (known >= 0) return known;
    // Before the position itself: they lead to shorter buffers, so this ends.
    const drains = this.#drains(node, stores);
    const id = this.list.length;
    assert(id < IDS_MAX, "a party has fewer than 2^24 positions");
    const touches = touchesOf(node, stores);
    this.list.push({ ...this.#nextOf(node, stores, fault), node, stores, drains, touches, results: [], next: [] });
    if (fault === undefined) this.#ids.set(node.id, buffer, id);
    return id;
  }

  #nextOf(node: Node, stores: readonly Pending[], fault: string | undefined) {
    const { next } = node;
    const idle = { action: ACTION.none, offset: 0, bytes: 0, change: 0, forwarded: false, ended: next === "ended" };
    if (fault !== undefined || next === "ended") return { ...idle, fault };
    if ("threw" in next) return { ...idle, fault: next.threw };
    const { kind, offset, bytes } = next;
    const loads = kind === "load" || kind === "observe" || kind === "choose";
    const buffers = this.#goesToBuffer(kind);
    const waits = !loads && !buffers && !this.#isEmpty(kind) && stores.length > 0;
    const action = waits ? ACTION.none : buffers ? ACTION.buffer : ACTIONS[kind];
    const change = loads ? 0 : this.#images.change(next);
    const forwarded = stores.some((own) => own.offset < offset + bytes && offset < own.offset + own.bytes);
    return { action, offset, bytes, change, forwarded, fault, ended: false };
  }

  #drains(node: Node, stores: readonly Pending[]): Drain[] {
    const order = this.#model === "tso-seqcst" ? "tso" : this.#model;
    return stores.flatMap((store, position) => {
      if (!mayDrain(stores, position, order)) return [];
      const change = this.#images.change({ ...store, kind: "store" });
      return [{ store, change, to: this.#position(node, stores.toSpliced(position, 1), undefined) }];
    });
  }

  #buffer(stores: readonly Pending[]): number {
    const key = stores.map(({ offset, bytes, value, release }) => `${offset} ${bytes} ${value} ${release}`).join();
    let id = this.#buffers.get(key);
    if (id === undefined) {
      id = this.#buffers.size;
      this.#buffers.set(key, id);
    }
    return id;
  }
}

/** A byte that two parties touch plainly at the same time, one of them storing; -1 when there is none. */
export function sharedByte(one: Position, other: Position): number {
  for (const a of one.touches) {
    for (const b of other.touches) {
      if ((a.stores || b.stores) && a.from < b.end && b.from < a.end) return Math.max(a.from, b.from);
    }
  }
  return -1;
}

function touchesOf({ next }: Node, pending: readonly Pending[]): Touch[] {
  const touches = pending
    .filter(({ release }) => !release)
    .map(({ offset, bytes }) => ({ from: offset, end: offset + bytes, stores: true }));
  if (typeof next === "object" && "kind" in next && (next.kind === "load" || next.kind === "store")) {
    touches.push({ from: next.offset, end: next.offset + next.bytes, stores: next.kind === "store" });
  }
  return touches;
}
