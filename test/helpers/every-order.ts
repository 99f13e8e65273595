import { listNonZeroByWord, type SharedMemory } from "../../src/memory/shared-memory.js";

/** In which order one party's stores reach the others: at once, in order, or as loosely as SharedMemory allows. */
export type StoreOrder = "sc" | "tso" | "pso";

/** The verbs of SharedMemory, and sleeping on a word until somebody has set it, which takes it. */
export interface PartyMemory extends SharedMemory {
  sleep(offset: number): void;
}

/**
 * One of those who run at the same time.
 *
 * `step` depends on nothing but `state` and on what it reads: it is run again and again, each time one access further.
 */
export interface Party<State = unknown> {
  readonly name: string;
  /** Plain data: all that is remembered from one step to the next. */
  readonly start: State;
  /** Goes on until there is something to remember; "ended" when it has nothing more to do. */
  step(state: State, memory: PartyMemory): State | "ended";
  /** True for one who may be left asleep when all others have ended. */
  readonly serves?: boolean;
}

/** What runs together, over which memory. */
export interface Play {
  readonly order: StoreOrder;
  /** The bytes at the beginning. */
  readonly bytes: Uint8Array;
  // biome-ignore lint/suspicious/noExplicitAny: each party knows its own state.
  readonly parties: readonly Party<any>[];
  /** Asked when nobody has anything left to do: what came of it. */
  readonly outcome?: (bytes: Uint8Array) => string;
}

/** What can come of a play. */
export interface Outcomes {
  /** How many orders of all accesses lead to each outcome; "asleep: …" and what a party threw are outcomes too. */
  readonly orders: ReadonlyMap<string, number>;
  /** One order that leads there, access by access. */
  readonly examples: ReadonlyMap<string, readonly string[]>;
  /** Different states on the way. */
  readonly states: number;
}

interface Access {
  readonly kind: "load" | "store" | "publish" | "set" | "take" | "fence" | "sleep";
  readonly offset: number;
  readonly bytes: number;
  readonly value: number;
}

/** An access that was made, and what it gave. */
interface Made {
  readonly access: Access;
  readonly result: number;
}

/** Where a party stands: what it does next, and where that leads, by what it reads. */
interface Node {
  readonly id: number;
  readonly state: string;
  readonly made: readonly Made[];
  readonly next: Access | "ended" | { readonly threw: string };
  readonly after: Map<number, Node>;
}

/** A store that has not reached the others. */
interface Pending {
  readonly offset: number;
  readonly bytes: number;
  readonly value: number;
  readonly release: boolean;
}

/** What everybody sees, or what waits in one buffer: equal ones are the same object. */
interface Image {
  readonly id: number;
  readonly bytes: Uint8Array;
}
interface Buffered {
  readonly id: number;
  readonly stores: readonly Pending[];
}

interface Moment {
  readonly nodes: readonly Node[];
  readonly image: Image;
  readonly buffers: readonly Buffered[];
}

interface Move {
  readonly label: () => string;
  readonly next: Moment;
}

/** Runs a play in every order of accesses that there is, and of stores reaching the others. */
export function everyOrder(play: Play): Outcomes {
  return new Explorer(play).explore();
}

/** Ends a run at the access that is to come next. */
const YIELD = Symbol("the next access");
const STATES_MAX = 1_500_000;
/** Stands for a state that is being followed. */
const UNDER_WAY: ReadonlyMap<string, number> = new Map();

class Explorer {
  readonly #play: Play;
  readonly #automata: readonly Automaton[];
  readonly #known = new Map<string, ReadonlyMap<string, number>>();
  readonly #examples = new Map<string, readonly string[]>();
  readonly #path: (() => string)[] = [];
  readonly #images = new Map<string, Image>();
  readonly #buffers = new Map<string, Buffered>();

  constructor(play: Play) {
    this.#play = play;
    this.#automata = play.parties.map((party) => new Automaton(party));
  }

  explore(): Outcomes {
    const nodes = this.#automata.map((automaton) => automaton.start);
    const image = this.#image(this.#play.bytes);
    const orders = this.#visit(this.#settled({ nodes, image, buffers: nodes.map(() => this.#buffered([])) }));
    return { orders, examples: this.#examples, states: this.#known.size };
  }

  #visit(moment: Moment): ReadonlyMap<string, number> {
    const key = keyOf(moment);
    const known = this.#known.get(key);
    if (known === UNDER_WAY) return this.#end("goes round in circles");
    if (known !== undefined) return known;
    if (this.#known.size > STATES_MAX) throw new Error(`more than ${STATES_MAX} states`);
    this.#known.set(key, UNDER_WAY);
    const orders = this.#follow(moment);
    this.#known.set(key, orders);
    return orders;
  }

  #follow(moment: Moment): ReadonlyMap<string, number> {
    for (const { next } of moment.nodes) if (typeof next === "object" && "threw" in next) return this.#end(next.threw);
    const moves = this.#moves(moment);
    if (moves.length === 0) return this.#end(this.#outcome(moment));
    const orders = new Map<string, number>();
    for (const { label, next } of moves) {
      this.#path.push(label);
      for (const [outcome, count] of this.#visit(next)) orders.set(outcome, (orders.get(outcome) ?? 0) + count);
      this.#path.pop();
    }
    return orders;
  }

  #end(outcome: string): ReadonlyMap<string, number> {
    if (!this.#examples.has(outcome))
      this.#examples.set(
        outcome,
        this.#path.map((label) => label()),
      );
    return new Map([[outcome, 1]]);
  }

  #outcome({ nodes, image }: Moment): string {
    const { parties, outcome } = this.#play;
    const left = parties.filter(({ serves }, i) => nodes[i]!.next !== "ended" && serves !== true);
    if (left.length > 0) return `asleep: ${left.map(({ name }) => name).join(", ")}`;
    return outcome?.(image.bytes) ?? "ended";
  }

  #image(bytes: Uint8Array): Image {
    return interned(this.#images, Buffer.from(bytes.buffer).toString("latin1"), (id) => ({ id, bytes }));
  }

  #buffered(stores: readonly Pending[]): Buffered {
    const key = stores.map(({ offset, value, release }) => `${offset}=${value}${release ? "!" : ""}`).join();
    return interned(this.#buffers, key, (id) => ({ id, stores }));
  }

  #moves(moment: Moment): Move[] {
    const moves: Move[] = [];
    for (let who = 0; who < this.#automata.length; who++) {
      this.#addDrains(moves, moment, who);
      this.#addAccess(moves, moment, who);
    }
    return moves;
  }

  #addDrains(moves: Move[], moment: Moment, who: number): void {
    const { stores } = moment.buffers[who]!;
    for (let position = 0; position < stores.length; position++) {
      if (!this.#mayDrain(stores, position)) continue;
      const store = stores[position]!;
      const left = this.#buffered(stores.toSpliced(position, 1));
      const label = () => `${this.#play.parties[who]!.name}'s ${store.value} at ${store.offset} is seen`;
      const image = this.#image(stored(moment.image.bytes, store));
      moves.push({ label, next: { ...moment, image, buffers: moment.buffers.with(who, left) } });
    }
  }

  /** In PSO a store may overtake others, but none to the same word, and a publish overtakes nothing. */
  #mayDrain(own: readonly Pending[], position: number): boolean {
    if (position === 0) return true;
    const { offset, release } = own[position]!;
    if (this.#play.order !== "pso" || release) return false;
    return own.slice(0, position).every((older) => older.offset >>> 2 !== offset >>> 2);
  }

  #addAccess(moves: Move[], moment: Moment, who: number): void {
    const { next: access } = moment.nodes[who]!;
    if (access === "ended" || "threw" in access) return;
    const full = access.kind !== "load" && access.kind !== "store" && access.kind !== "publish";
    const { stores } = moment.buffers[who]!;
    if (full && stores.length > 0) return;
    const now = seenBy(moment.image.bytes, access, stores);
    if (access.kind === "sleep" && now === 0) return;
    const reads = access.kind === "load" || access.kind === "take";
    const changed = changedBy(access, now);
    const image =
      changed === undefined ? moment.image : this.#image(stored(moment.image.bytes, { ...access, value: changed }));
    const node = this.#automata[who]!.after(moment.nodes[who]!, reads ? now : 0);
    const value = reads ? now : access.value;
    const label = () => `${this.#play.parties[who]!.name}: ${access.kind} ${value} at ${access.offset}`;
    moves.push({ label, next: this.#settled({ ...moment, image, nodes: moment.nodes.with(who, node) }) });
  }

  /** Lets everybody put stores into the own buffer, which nobody else can notice; without buffers they are accesses. */
  #settled(moment: Moment): Moment {
    if (this.#play.order === "sc") return moment;
    let { nodes, buffers } = moment;
    for (let who = 0; who < nodes.length; who++) {
      for (;;) {
        const { next } = nodes[who]!;
        if (next === "ended" || "threw" in next || (next.kind !== "store" && next.kind !== "publish")) break;
        const { offset, bytes, value, kind } = next;
        const store = { offset, bytes, value, release: kind === "publish" };
        buffers = buffers.with(who, this.#buffered([...buffers[who]!.stores, store]));
        nodes = nodes.with(who, this.#automata[who]!.after(nodes[who]!, 0));
      }
    }
    return { ...moment, nodes, buffers };
  }
}

/** One party as a machine that makes one access after the other; each stretch of its code runs once. */
class Automaton {
  readonly start: Node;
  // biome-ignore lint/suspicious/noExplicitAny: the party knows its own state.
  readonly #party: Party<any>;
  readonly #nodes = new Map<string, Node>();

  // biome-ignore lint/suspicious/noExplicitAny: as above.
  constructor(party: Party<any>) {
    this.#party = party;
    this.start = this.#node(JSON.stringify(party.start), []);
  }

  after(node: Node, result: number): Node {
    let next = node.after.get(result);
    if (next === undefined) {
      next = this.#node(node.state, [...node.made, { access: node.next as Access, result }]);
      node.after.set(result, next);
    }
    return next;
  }

  #node(state: string, made: readonly Made[]): Node {
    const key = `${state} ${made.map(({ result }) => result).join()}`;
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    const memory = new RecordedMemory(made);
    let next: Node["next"];
    try {
      const after = this.#party.step(JSON.parse(state), memory);
      if (after !== "ended") {
        const node = this.#node(JSON.stringify(after), []);
        this.#nodes.set(key, node);
        return node;
      }
      next = "ended";
    } catch (thrown) {
      next = thrown === YIELD ? memory.next! : { threw: `${this.#party.name}: ${(thrown as Error).message}` };
    }
    const node: Node = { id: this.#nodes.size, state, made, next, after: new Map() };
    this.#nodes.set(key, node);
    return node;
  }
}

/** Memory that answers from a record, and stops at the first access beyond it. */
class RecordedMemory implements PartyMemory {
  readonly byteLength = 0x7fff_ffff;
  next: Access | undefined;
  readonly #made: readonly Made[];
  #position = 0;

  constructor(made: readonly Made[]) {
    this.#made = made;
  }

  read16 = (offset: number) => this.#access("load", offset, 2);
  read32 = (offset: number) => this.#access("load", offset, 4);
  observe16 = (offset: number) => this.#access("load", offset, 2);
  write16 = (offset: number, value: number) => void this.#access("store", offset, 2, value);
  write32 = (offset: number, value: number) => void this.#access("store", offset, 4, value);
  publish16 = (offset: number, value: number) => void this.#access("publish", offset, 2, value);
  setBits32 = (offset: number, bits: number) => void this.#access("set", offset, 4, bits);
  takeBits32 = (offset: number) => this.#access("take", offset, 4);
  listNonZero32 = (offset: number, end: number, found: Int32Array) => listNonZeroByWord(this, offset, end, found);
  fence = () => void this.#access("fence", 0, 0);
  sleep = (offset: number) => void this.#access("sleep", offset, 4);

  copyOut(): void {
    throw new Error("a play copies word by word");
  }

  copyIn(): void {
    throw new Error("a play copies word by word");
  }

  #access(kind: Access["kind"], offset: number, bytes: number, value = 0): number {
    const made = this.#made[this.#position];
    this.#position += 1;
    if (made === undefined) {
      this.next = { kind, offset, bytes, value };
      throw YIELD;
    }
    const { access, result } = made;
    const same = access.kind === kind && access.offset === offset && access.value === value;
    if (!same) throw new Error("a step remembers what is not in its state");
    return result;
  }
}

/** What an access leaves in memory; undefined when it leaves memory alone. */
function changedBy({ kind, value }: Access, now: number): number | undefined {
  if (kind === "store" || kind === "publish") return value;
  if (kind === "set") return now | value;
  return kind === "take" || kind === "sleep" ? 0 : undefined;
}

/** What is there for a party: the bytes, and over them what it has stored itself. */
function seenBy(bytes: Uint8Array, { offset, bytes: length }: Access, stores: readonly Pending[]): number {
  let value = 0;
  for (let at = offset; at < offset + length; at++) {
    const own = stores.findLast((store) => at >= store.offset && at < store.offset + store.bytes);
    const byte = own === undefined ? bytes[at]! : (own.value >>> (8 * (at - own.offset))) & 0xff;
    value |= byte << (8 * (at - offset));
  }
  return value;
}

function stored(bytes: Uint8Array, { offset, bytes: length, value }: Pick<Pending, "offset" | "bytes" | "value">) {
  const next = bytes.slice();
  for (let i = 0; i < length; i++) next[offset + i] = value >>> (8 * i);
  return next;
}

function interned<Value>(known: Map<string, Value>, key: string, make: (id: number) => Value): Value {
  let value = known.get(key);
  if (value === undefined) {
    value = make(known.size);
    known.set(key, value);
  }
  return value;
}

function keyOf({ nodes, image, buffers }: Moment): string {
  let key = `${image.id}`;
  for (let who = 0; who < nodes.length; who++) key += `,${nodes[who]!.id},${buffers[who]!.id}`;
  return key;
}
