import { listNonZeroByWord, type SharedMemory } from "../../memory/shared-memory.js";

/** The verbs of SharedMemory, and sleeping on a word until somebody has set it, which takes it. */
export interface PartyMemory extends SharedMemory {
  sleep(offset: number): void;
  /** One of the numbers from 0 to below `count`: what follows is played for each of them. */
  choose(count: number): number;
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

/**
 * One touch of shared memory, or a choice of the party's own.
 *
 * load and store are plain; set, take, fence and sleep wait until own stores are seen.
 */
export interface Access {
  readonly kind: "load" | "observe" | "store" | "publish" | "set" | "take" | "fence" | "sleep" | "choose";
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
export interface Node {
  readonly id: number;
  /** 0 where equal states at the end of a step are one; otherwise which way led to the last such end. */
  readonly past: number;
  readonly state: string;
  readonly made: readonly Made[];
  readonly next: Access | "ended" | { readonly threw: string };
  readonly after: Map<number, Node>;
}

/** Ends a run at the access that is to come next. */
const YIELD = Symbol("the next access");

/**
 * One party as a machine that makes one access after the other; each stretch of its code runs once.
 *
 * A stretch starts anew from the state at the last step's end and is fed what was read since: nothing else can leak in.
 */
export class Automaton {
  readonly start: Node;
  // biome-ignore lint/suspicious/noExplicitAny: the party knows its own state.
  readonly #party: Party<any>;
  readonly #nodes = new Map<string, Node>();
  readonly #merges: boolean;
  #pasts = 0;

  /** `merges`: equal states at the end of a step are one, whatever led there. */
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  constructor(party: Party<any>, merges = true) {
    this.#party = party;
    this.#merges = merges;
    this.start = this.#node(JSON.stringify(party.start), [], 0);
  }

  /** Where the party stands when its next access has given `result`. */
  after(node: Node, result: number): Node {
    let next = node.after.get(result);
    if (next === undefined) {
      next = this.#node(node.state, [...node.made, { access: node.next as Access, result }], node.past);
      node.after.set(result, next);
    }
    return next;
  }

  #node(state: string, made: readonly Made[], past: number): Node {
    const key = `${past} ${state} ${made.map(({ result }) => result).join()}`;
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    const memory = new RecordedMemory(made);
    let next: Node["next"];
    try {
      const after = this.#party.step(JSON.parse(state), memory);
      if (after !== "ended") {
        const node = this.#node(JSON.stringify(after), [], this.#merges ? 0 : ++this.#pasts);
        this.#nodes.set(key, node);
        return node;
      }
      next = "ended";
    } catch (thrown) {
      next = thrown === YIELD ? memory.next! : { threw: `${this.#party.name}: ${(thrown as Error).message}` };
    }
    const node: Node = { id: this.#nodes.size, past, state, made, next, after: new Map() };
    this.#nodes.set(key, node);
    return node;
  }
}

/** Copies word by word, each an access; offset and length are multiples of 4. */
export function copyOutByWord(memory: Pick<PartyMemory, "read32">, offset: number, target: Uint8Array): void {
  const view = new DataView(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < target.length; i += 4) view.setInt32(i, memory.read32(offset + i), true);
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
  observe16 = (offset: number) => this.#access("observe", offset, 2);
  write16 = (offset: number, value: number) => void this.#access("store", offset, 2, value);
  write32 = (offset: number, value: number) => void this.#access("store", offset, 4, value);
  publish16 = (offset: number, value: number) => void this.#access("publish", offset, 2, value);
  setBits32 = (offset: number, bits: number) => void this.#access("set", offset, 4, bits);
  takeBits32 = (offset: number) => this.#access("take", offset, 4);
  listNonZero32 = (offset: number, end: number, found: Int32Array) => listNonZeroByWord(this, offset, end, found);
  fence = () => void this.#access("fence", 0, 0);
  sleep = (offset: number) => void this.#access("sleep", offset, 4);
  choose = (count: number) => this.#access("choose", 0, 0, count);

  copyOut = (offset: number, target: Uint8Array) => copyOutByWord(this, offset, target);

  /** Word by word, each an access, with a half word at the end where the length is no multiple of 4. */
  copyIn = (offset: number, source: Uint8Array): void => {
    const view = new DataView(source.buffer, source.byteOffset, source.length);
    let i = 0;
    for (; i + 4 <= source.length; i += 4) this.write32(offset + i, view.getInt32(i, true));
    if (i < source.length) this.write16(offset + i, view.getUint16(i, true));
  };

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
