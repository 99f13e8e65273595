import { Automaton, type Node, type Party, type PartyMemory } from "../../src/validate/explorer/automaton.js";
import {
  changedBy,
  mayDrain,
  type Pending,
  type StoreOrder,
  seenBy,
  stored,
} from "../../src/validate/explorer/store-order.js";

export type { Party, PartyMemory } from "../../src/validate/explorer/automaton.js";
export type { StoreOrder } from "../../src/validate/explorer/store-order.js";

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
      if (!mayDrain(stores, position, this.#play.order)) continue;
      const store = stores[position]!;
      const left = this.#buffered(stores.toSpliced(position, 1));
      const label = () => `${this.#play.parties[who]!.name}'s ${store.value} at ${store.offset} is seen`;
      const image = this.#image(stored(moment.image.bytes, store));
      moves.push({ label, next: { ...moment, image, buffers: moment.buffers.with(who, left) } });
    }
  }

  #addAccess(moves: Move[], moment: Moment, who: number): void {
    const { next: access } = moment.nodes[who]!;
    if (access === "ended" || "threw" in access) return;
    if (access.kind === "choose") {
      this.#addChoices(moves, moment, who, access.value);
      return;
    }
    const full = !["load", "observe", "store", "publish"].includes(access.kind);
    const { stores } = moment.buffers[who]!;
    if (full && stores.length > 0) return;
    const now = seenBy(moment.image.bytes, access, stores);
    if (access.kind === "sleep" && now === 0) return;
    const reads = ["load", "observe", "take"].includes(access.kind);
    const changed = changedBy(access, now);
    const image =
      changed === undefined ? moment.image : this.#image(stored(moment.image.bytes, { ...access, value: changed }));
    const node = this.#automata[who]!.after(moment.nodes[who]!, reads ? now : 0);
    const value = reads ? now : access.value;
    const label = () => `${this.#play.parties[who]!.name}: ${access.kind} ${value} at ${access.offset}`;
    moves.push({ label, next: this.#settled({ ...moment, image, nodes: moment.nodes.with(who, node) }) });
  }

  #addChoices(moves: Move[], moment: Moment, who: number, count: number): void {
    for (let choice = 0; choice < count; choice++) {
      const node = this.#automata[who]!.after(moment.nodes[who]!, choice);
      const label = () => `${this.#play.parties[who]!.name}: chooses ${choice} of ${count}`;
      moves.push({ label, next: this.#settled({ ...moment, nodes: moment.nodes.with(who, node) }) });
    }
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

/** A party that runs once from beginning to end. */
export function once(name: string, run: (memory: PartyMemory) => void): Party<number> {
  return {
    name,
    start: 0,
    step(_, memory) {
      run(memory);
      return "ended";
    },
  };
}
