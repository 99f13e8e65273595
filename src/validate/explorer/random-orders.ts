import { Random } from "../differential/random.js";
import type { Access } from "./automaton.js";
import type { ThreePartyPlay, Violation } from "./explorer.js";
import { Images } from "./images.js";
import { type Move, moveFrom, moveText } from "./moves.js";
import { ACTION, type MemoryModel, type Position, Positions, sharedByte } from "./positions.js";

/** How many orders to run, and from where their choices follow. */
export interface OrdersOptions {
  readonly seed: number;
  readonly orders: number;
  /** Called after each. */
  readonly onProgress?: (() => void) | undefined;
}

/** What came of it. */
export interface OrdersResult {
  /** Orders that were run, the last one with a fault when there is one. */
  readonly orders: number;
  readonly violation: Violation | undefined;
}

/** Each party runs its code, and lets its stores be seen: six that take turns. */
const ACTORS = 6;
/** Changes of who goes first, in one order. */
const CHANGES_MAX = 4;
/** Moves within which they fall, and after which whoever goes first has to let others go. */
const CHANGES_WITHIN = 400;
const PATIENCE = 200;
const MOVES_MAX = 20_000;
/** Orders after which positions are forgotten: of a party that has lived a life of its own in each there are many. */
const FORGET_AFTER = 100;

/**
 * Runs a play from its beginning to its end in random orders; the first fault ends it.
 *
 * Who goes first is drawn once, and again at a few random moves: a race that takes d such choices in n moves is met
 * with a chance of some 1 / (6 · n^(d-1)) in each order, where a new choice at each move would nearly never meet it.
 */
export function randomOrders(play: ThreePartyPlay, model: MemoryModel, options: OrdersOptions): OrdersResult {
  const { seed, orders, onProgress } = options;
  let stage = new RandomOrders(play, model);
  for (let order = 0; order < orders; order++) {
    if (order % FORGET_AFTER === FORGET_AFTER - 1) stage = new RandomOrders(play, model);
    const violation = stage.run(new Random(seed, order));
    onProgress?.();
    if (violation !== undefined) return { orders: order + 1, violation };
  }
  return { orders, violation: undefined };
}

class RandomOrders {
  readonly #play: ThreePartyPlay;
  readonly #images: Images;
  readonly #positions: readonly Positions[];
  #image = 0;
  #at: Position[] = [];

  constructor(play: ThreePartyPlay, model: MemoryModel) {
    this.#play = play;
    this.#images = new Images(play.bytes, play.judge);
    this.#positions = play.parties.map((party, who) => new Positions(party, model, this.#images, play.permits[who]));
  }

  run(random: Random): Violation | undefined {
    this.#image = 0;
    this.#at = this.#positions.map(({ list, start }) => list[start]!);
    const ranks = Array.from({ length: ACTORS }, () => random.below(1 << 24));
    const changes = new Set(Array.from({ length: random.below(CHANGES_MAX + 1) }, () => random.below(CHANGES_WITHIN)));
    const moves: Move[] = [];
    let fault = this.#fault();
    for (let turns = 0; fault === undefined && moves.length < MOVES_MAX; ) {
      const actor = this.#first(ranks);
      if (actor === undefined) {
        fault = this.#faultAtEnd();
        break;
      }
      turns += 1;
      if (changes.has(moves.length) || turns % PATIENCE === 0) ranks[actor] = -moves.length - 1;
      moves.push(this.#move(actor, random));
      fault = this.#fault();
    }
    if (fault === undefined) return undefined;
    return { what: fault, trace: moves.map((move) => moveText(move, this.#play.nameAt)), moves };
  }

  /** Of those who can move, the one that goes first. */
  #first(ranks: readonly number[]): number | undefined {
    let first: number | undefined;
    for (let actor = 0; actor < ACTORS; actor++) {
      if (this.#canMove(actor) && (first === undefined || ranks[actor]! > ranks[first]!)) first = actor;
    }
    return first;
  }

  #canMove(actor: number): boolean {
    const who = actor >> 1;
    const position = this.#at[who]!;
    if ((actor & 1) === 1) return position.drains.length > 0;
    if (position.action === ACTION.sleep) return this.#positions[who]!.read(position, this.#image) !== 0;
    return position.action !== ACTION.none;
  }

  #move(actor: number, random: Random): Move {
    const who = actor >> 1;
    const positions = this.#positions[who]!;
    const position = this.#at[who]!;
    const drain = (actor & 1) === 1 ? random.below(position.drains.length) : -1;
    const chosen = position.action === ACTION.choose ? random.below((position.node.next as Access).value) : 0;
    const move = moveFrom(positions, position, drain, this.#image, chosen);
    if (drain >= 0) {
      const { change, to } = position.drains[drain]!;
      this.#goTo(who, to, change);
      return move;
    }
    const { action, change } = position;
    const reads = action === ACTION.load || action === ACTION.take;
    const result = reads ? positions.read(position, this.#image) : chosen;
    const stores = action !== ACTION.load && action !== ACTION.fence && action !== ACTION.choose;
    this.#goTo(who, positions.after(position, result), stores ? change : undefined);
    return move;
  }

  #goTo(who: number, to: number, change: number | undefined): void {
    if (change !== undefined) this.#image = this.#images.after(this.#image, change);
    this.#at[who] = this.#positions[who]!.list[to]!;
  }

  #fault(): string | undefined {
    for (let who = 0; who < 3; who++) {
      const position = this.#at[who]!;
      if (position.fault !== undefined) return position.fault;
      for (let other = 0; other < who; other++) {
        const byte = sharedByte(position, this.#at[other]!);
        if (byte < 0) continue;
        const { parties, nameAt } = this.#play;
        return `${parties[other]!.name} and ${parties[who]!.name} have ${nameAt(byte)} at once`;
      }
    }
    return this.#images.complaint(this.#image);
  }

  #faultAtEnd(): string | undefined {
    const asleep = this.#play.parties.filter(({ serves }, who) => serves !== true && !this.#at[who]!.ended);
    if (asleep.length > 0) return `asleep: ${asleep.map(({ name }) => name).join(", ")}`;
    return this.#play.judgeEnd(this.#images.of(this.#image));
  }
}
