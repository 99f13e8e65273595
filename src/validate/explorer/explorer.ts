import type { Access, Party } from "./automaton.js";
import { Images, type Judge } from "./images.js";
import { type Move, moveFrom, moveText } from "./moves.js";
import { ACTION, type MemoryModel, type Position, Positions, sharedByte } from "./positions.js";
import type { Reduction } from "./reductions.js";
import { PackedState, STATES_MAX, StateSet } from "./tables.js";

/** Three parties over one memory, and what is asked of it. */
export interface ThreePartyPlay {
  readonly parties: readonly [Party, Party, Party];
  /** The bytes at the beginning, a whole number of 32-bit words. */
  readonly bytes: Uint8Array;
  /** Asked of everything that all can see at some time. */
  readonly judge: Judge;
  /** Asked when nobody has anything left to do. */
  readonly judgeEnd: Judge;
  /** Where each party may store. */
  readonly permits: readonly ((offset: number, bytes: number) => boolean)[];
  /** A name for an offset, for traces. */
  readonly nameAt: (offset: number) => string;
}

/** What went wrong, and a shortest way there, access by access. */
export interface Violation {
  readonly what: string;
  readonly trace: readonly string[];
  /** The same as data. */
  readonly moves: readonly Move[];
}

/** What a search found out. */
export interface SearchResult {
  /** Every state was visited, none of them with a fault. */
  readonly complete: boolean;
  readonly states: number;
  readonly transitions: number;
  /** Accesses and drains on the way to the state that is farthest away. */
  readonly depth: number;
  readonly violation: Violation | undefined;
  /** Bytes of the set of states. */
  readonly stateBytes: number;
  /** Bytes of the images; positions are few. */
  readonly imageBytes: number;
  readonly images: number;
  readonly positions: number;
}

/** How far to go, and whom to tell. */
export interface SearchLimits {
  readonly statesMax: number;
  /** Called now and then with the number of states so far. */
  readonly onProgress?: ((states: number) => void) | undefined;
}

const PROGRESS_MASK = (1 << 15) - 1;
/** Room for the moves of one state: three parties, each with a buffer that may drain anywhere, and an access. */
const MOVES_MAX = 256;
const WORDS = 6;

/**
 * Searches a play breadth first: every party's next access and every store that may be seen next, from every state.
 *
 * It stops at the first fault, which is then one that is nearest to the beginning.
 */
export class Explorer {
  readonly #play: ThreePartyPlay;
  readonly #images: Images;
  readonly #positions: readonly Positions[];
  readonly #states = new StateSet();
  readonly #judgesOnce: boolean;
  /** Numbers of the first states of each distance from the beginning. */
  readonly #levels = [0];
  /** The moves of the state at hand: image, three positions, who moves, and the number of the drain or -1. */
  readonly #moves = new Int32Array(MOVES_MAX * WORDS);
  #moveCount = 0;
  #transitions = 0;

  /** `without`: reductions that are switched off, to see that verdicts do not depend on them. */
  constructor(play: ThreePartyPlay, model: MemoryModel, without: readonly Reduction[] = []) {
    this.#play = play;
    this.#judgesOnce = !without.includes("images-once");
    this.#images = new Images(play.bytes, play.judge);
    const { parties, permits } = play;
    this.#positions = parties.map((party, who) => new Positions(party, model, this.#images, permits[who], without));
  }

  /** Visits every state, or those up to the first fault or the limit. */
  search({ statesMax, onProgress }: SearchLimits): SearchResult {
    const states = this.#states;
    const state = new PackedState();
    states.add(0, this.#startOf(0), this.#startOf(1), this.#startOf(2));
    const limit = Math.min(statesMax, STATES_MAX - MOVES_MAX);
    let end = 1;
    for (let number = 0; number < states.size; number++) {
      if (number === end) {
        this.#levels.push(number);
        end = states.size;
      }
      if ((number & PROGRESS_MASK) === PROGRESS_MASK) onProgress?.(states.size);
      states.get(number, state);
      const fault = this.#fault(state) ?? this.#expand(state);
      if (fault !== undefined) {
        const moves = this.#trace(number, onProgress);
        const trace = moves.map((move) => moveText(move, this.#play.nameAt));
        return this.#result({ what: fault, trace, moves }, false);
      }
      this.#addMoves();
      if (states.size > limit) return this.#result(undefined, false);
    }
    return this.#result(undefined, true);
  }

  #startOf(who: number): number {
    return this.#positions[who]!.start;
  }

  #position(state: PackedState, who: number): Position {
    return this.#positions[who]!.list[state.at[who]!]!;
  }

  #fault(state: PackedState): string | undefined {
    for (let who = 0; who < 3; who++) {
      const position = this.#position(state, who);
      if (position.fault !== undefined) return position.fault;
      if (position.touches.length === 0) continue;
      for (let other = 0; other < who; other++) {
        const byte = sharedByte(position, this.#position(state, other));
        if (byte >= 0) return this.#bothAt(who, other, byte);
      }
    }
    return this.#judgesOnce ? this.#images.complaint(state.image) : this.#play.judge(this.#images.of(state.image));
  }

  #bothAt(who: number, other: number, byte: number): string {
    const { parties, nameAt } = this.#play;
    return `${parties[other]!.name} and ${parties[who]!.name} have ${nameAt(byte)} at once`;
  }

  #addMoves(): void {
    const moves = this.#moves;
    const end = this.#moveCount * WORDS;
    for (let at = 0; at < end; at += WORDS) {
      this.#states.add(moves[at]!, moves[at + 1]!, moves[at + 2]!, moves[at + 3]!);
    }
    this.#transitions += this.#moveCount;
  }

  /** Lists the moves of a state; what is wrong when there are none. */
  #expand(state: PackedState): string | undefined {
    this.#moveCount = 0;
    for (let who = 0; who < 3; who++) {
      const position = this.#position(state, who);
      const { drains } = position;
      for (let i = 0; i < drains.length; i++) {
        const { change, to } = drains[i]!;
        this.#emit(state, who, i, this.#images.after(state.image, change), to);
      }
      if (position.action !== ACTION.none) this.#expandAccess(state, who, position);
    }
    return this.#moveCount > 0 ? undefined : this.#faultAtEnd(state);
  }

  #expandAccess(state: PackedState, who: number, position: Position): void {
    const { image } = state;
    const positions = this.#positions[who]!;
    const { action, change } = position;
    if (action === ACTION.load) {
      this.#emit(state, who, -1, image, positions.after(position, positions.read(position, image)));
    } else if (action === ACTION.fence || action === ACTION.buffer) {
      this.#emit(state, who, -1, image, positions.after(position, 0));
    } else if (action === ACTION.choose) {
      const { value } = position.node.next as Access;
      for (let i = 0; i < value; i++) this.#emit(state, who, -1, image, positions.after(position, i));
    } else if (action === ACTION.change) {
      this.#emit(state, who, -1, this.#images.after(image, change), positions.after(position, 0));
    } else {
      const found = positions.read(position, image);
      if (action === ACTION.sleep && found === 0) return;
      const result = action === ACTION.take ? found : 0;
      this.#emit(state, who, -1, this.#images.after(image, change), positions.after(position, result));
    }
  }

  #emit(state: PackedState, who: number, drain: number, image: number, to: number): void {
    const moves = this.#moves;
    const at = this.#moveCount++ * WORDS;
    moves[at] = image;
    moves[at + 1] = who === 0 ? to : state.at[0]!;
    moves[at + 2] = who === 1 ? to : state.at[1]!;
    moves[at + 3] = who === 2 ? to : state.at[2]!;
    moves[at + 4] = who;
    moves[at + 5] = drain;
  }

  #faultAtEnd(state: PackedState): string | undefined {
    const asleep = this.#play.parties.filter(({ serves }, who) => serves !== true && !this.#position(state, who).ended);
    if (asleep.length > 0) return `asleep: ${asleep.map(({ name }) => name).join(", ")}`;
    return this.#play.judgeEnd(this.#images.of(state.image));
  }

  /** A shortest way to a state: no state knows where it came from, so each level is searched for what leads on. */
  #trace(number: number, onProgress: SearchLimits["onProgress"]): Move[] {
    const target = new PackedState();
    const from = new PackedState();
    const trace: Move[] = [];
    let level = this.#levels.length - 1;
    for (let wanted = number; level > 0; level--) {
      this.#states.get(wanted, target);
      for (wanted = this.#levels[level - 1]!; ; wanted++) {
        if ((wanted & PROGRESS_MASK) === PROGRESS_MASK) onProgress?.(this.#states.size);
        this.#states.get(wanted, from);
        this.#expand(from);
        const move = this.#moveTo(target);
        if (move < 0) continue;
        trace.push(this.#move(from, move));
        break;
      }
    }
    return trace.reverse();
  }

  #moveTo({ image, at }: PackedState): number {
    const moves = this.#moves;
    for (let move = 0; move < this.#moveCount; move++) {
      const i = move * WORDS;
      const same = moves[i] === image && moves[i + 1] === at[0] && moves[i + 2] === at[1] && moves[i + 3] === at[2];
      if (same) return move;
    }
    return -1;
  }

  #move(from: PackedState, move: number): Move {
    const who = this.#moves[move * WORDS + 4]!;
    const drain = this.#moves[move * WORDS + 5]!;
    const to = this.#moves[move * WORDS + 1 + who]!;
    const position = this.#position(from, who);
    const chosen = position.results[position.next.indexOf(to)];
    return moveFrom(this.#positions[who]!, position, drain, from.image, chosen);
  }

  #result(violation: Violation | undefined, visited: boolean): SearchResult {
    return {
      complete: visited && violation === undefined,
      states: this.#states.size,
      transitions: this.#transitions,
      depth: this.#levels.length - 1,
      violation,
      stateBytes: this.#states.bytes,
      imageBytes: this.#images.bytes,
      images: this.#images.count,
      positions: this.#positions.reduce((sum, { list }) => sum + list.length, 0),
    };
  }
}
