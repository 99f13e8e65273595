import type { Clock, PartyClocks } from "./party-clocks.js";

/** The four ways to touch a byte: plainly, or through observe, publish, setBits and takeBits. */
export type TouchKind = "plain read" | "plain write" | "sync read" | "sync write";

/** Two parties touched a byte, one plainly and one to change it, and nothing ordered the second after the first. */
export class RaceError extends Error {
  override readonly name = "RaceError";
  readonly place: string;
  readonly offset: number;
  readonly first: { readonly party: string; readonly kind: TouchKind };
  readonly second: { readonly party: string; readonly kind: TouchKind };

  constructor(place: string, offset: number, first: RaceError["first"], second: RaceError["second"]) {
    super(
      `${place} at ${offset}: ${second.party}'s ${second.kind} is not ordered after ${first.party}'s ${first.kind}`,
    );
    this.place = place;
    this.offset = offset;
    this.first = first;
    this.second = second;
  }
}

/** What an owner map is told of its region. */
export interface OwnerMapParts {
  readonly place: string;
  readonly byteLength: number;
  readonly parties: readonly string[];
  readonly clocks: PartyClocks;
  /** Called instead of throwing. */
  readonly report: ((race: RaceError) => void) | undefined;
}

/** A 16-bit half that somebody observed, published, set or took: the last epoch of each party, by party number. */
interface SyncHalf {
  readonly reads: Clock;
  readonly writes: Clock;
  /** What its visible value tells whoever observes it. */
  released: Clock | undefined;
}

/**
 * Who touched each byte of a region last, and whether the next to touch it could know.
 *
 * Checked when an access is issued, not when it becomes visible: order between parties comes from what they published
 * and observed, and a store in a buffer is as much of a race as a visible one. One writer a byte is enough to remember:
 * whoever comes later knows the last one, who knew those before. Sync accesses never race with each other, so each
 * party's last one is kept.
 */
export class OwnerMap {
  readonly #parts: OwnerMapParts;
  /** Party number of the last plain writer, and its epoch then; epoch 0 means nobody. */
  readonly #writers: Uint8Array;
  readonly #writeEpochs: Uint32Array;
  /** By party: epoch of its last plain read of each byte. */
  readonly #reads: readonly Uint32Array[];
  readonly #halves = new Map<number, SyncHalf>();
  /** 1 where #halves has an entry: most bytes have none, and asking a Map for each of them costs. */
  readonly #synced: Uint8Array;
  readonly #allowed: { readonly from: number; readonly end: number }[] = [];

  constructor(parts: OwnerMapParts) {
    this.#parts = parts;
    this.#writers = new Uint8Array(parts.byteLength);
    this.#writeEpochs = new Uint32Array(parts.byteLength);
    this.#reads = parts.parties.map(() => new Uint32Array(parts.byteLength));
    this.#synced = new Uint8Array((parts.byteLength + 1) >>> 1);
  }

  /** Lets races on these bytes pass. */
  allowRaces(offset: number, bytes: number): void {
    this.#allowed.push({ from: offset, end: offset + bytes });
  }

  plainRead(party: number, offset: number, bytes: number): void {
    const known = this.#parts.clocks.known(party);
    const reads = this.#reads[party]!;
    for (let at = offset; at < offset + bytes; at++) {
      this.#afterWriter(party, known, at, "plain read");
      if (this.#synced[at >>> 1] === 1) this.#afterSync(party, known, at, "plain read");
      reads[at] = known[party]!;
    }
  }

  plainWrite(party: number, offset: number, bytes: number): void {
    const known = this.#parts.clocks.known(party);
    for (let at = offset; at < offset + bytes; at++) {
      this.#afterWriter(party, known, at, "plain write");
      this.#afterReaders(party, known, at, "plain write");
      if (this.#synced[at >>> 1] === 1) this.#afterSync(party, known, at, "plain write");
      this.#writers[at] = party;
      this.#writeEpochs[at] = known[party]!;
    }
  }

  /** An observe; `offset` is a multiple of 2. */
  syncRead(party: number, offset: number): void {
    const known = this.#parts.clocks.known(party);
    this.#afterWriter(party, known, offset, "sync read");
    this.#afterWriter(party, known, offset + 1, "sync read");
    this.#half(offset >>> 1).reads[party] = known[party]!;
  }

  /** A publish, or half of a read-modify-write; `offset` is a multiple of 2. */
  syncWrite(party: number, offset: number): void {
    const known = this.#parts.clocks.known(party);
    for (const at of [offset, offset + 1]) {
      this.#afterWriter(party, known, at, "sync write");
      this.#afterReaders(party, known, at, "sync write");
    }
    this.#half(offset >>> 1).writes[party] = known[party]!;
  }

  /** Lets `party` know what the visible value of a half tells. */
  acquire(party: number, offset: number): void {
    const { released } = this.#half(offset >>> 1);
    if (released !== undefined) this.#parts.clocks.acquire(party, released);
  }

  /** A publish or a read-modify-write became visible: its value tells what its party knew then. */
  published(offset: number, clock: Clock): void {
    this.#half(offset >>> 1).released = clock;
  }

  #half(index: number): SyncHalf {
    const known = this.#halves.get(index);
    if (known !== undefined) return known;
    const { length } = this.#reads;
    const half: SyncHalf = { reads: new Uint32Array(length), writes: new Uint32Array(length), released: undefined };
    this.#halves.set(index, half);
    this.#synced[index] = 1;
    return half;
  }

  #afterWriter(party: number, known: Clock, at: number, kind: TouchKind): void {
    const writer = this.#writers[at]!;
    if (this.#writeEpochs[at]! > known[writer]!) this.#race(at, writer, "plain write", party, kind);
  }

  #afterReaders(party: number, known: Clock, at: number, kind: TouchKind): void {
    for (let other = 0; other < known.length; other++) {
      if (this.#reads[other]![at]! > known[other]!) this.#race(at, other, "plain read", party, kind);
    }
  }

  #afterSync(party: number, known: Clock, at: number, kind: "plain read" | "plain write"): void {
    const { reads, writes } = this.#halves.get(at >>> 1)!;
    for (let other = 0; other < known.length; other++) {
      if (writes[other]! > known[other]!) this.#race(at, other, "sync write", party, kind);
      if (kind === "plain write" && reads[other]! > known[other]!) this.#race(at, other, "sync read", party, kind);
    }
  }

  #race(at: number, first: number, firstKind: TouchKind, second: number, secondKind: TouchKind): void {
    const { place, parties, report } = this.#parts;
    if (this.#allowed.some(({ from, end }) => at >= from && at < end)) return;
    const race = new RaceError(
      place,
      at,
      { party: parties[first]!, kind: firstKind },
      { party: parties[second]!, kind: secondKind },
    );
    if (report === undefined) throw race;
    report(race);
  }
}
