import type { SimulatedMachine } from "../../src/memory/simulated/simulated-machine.js";

/**
 * All runs of a few programs over a simulated machine: every order of their accesses and of the drains between them.
 *
 * A program is ordinary code. To advance it by one access it is run again from its beginning, with the accesses it made
 * before answered from the record; so it must not depend on anything but their answers.
 */
export interface Run<Outcome> {
  readonly machine: SimulatedMachine;
  readonly programs: readonly Program[];
  /** Asked when every program has ended and every store is visible. */
  readonly outcome: () => Outcome;
}

/** Ends a rerun at the access that is to come next. */
const YIELD = Symbol("the next access");
const RUNS_MAX = 300_000;

/** Code that can be advanced by one access at a time. */
export class Program {
  ended = false;
  readonly #code: (wrap: <T extends object>(target: T) => T) => void;
  readonly #answers: unknown[] = [];
  #position = 0;
  #moved = false;

  /** `code` makes all its accesses through objects that it has wrapped. */
  constructor(code: (wrap: <T extends object>(target: T) => T) => void) {
    this.#code = code;
  }

  /** Makes the next access. */
  advance(): void {
    this.#position = 0;
    this.#moved = false;
    try {
      this.#code((target) => this.#wrap(target));
      this.ended = true;
    } catch (thrown) {
      if (thrown !== YIELD) throw thrown;
    }
  }

  #wrap<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (_, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => this.#access(() => Reflect.apply(member, target, args));
      },
    });
  }

  #access(make: () => unknown): unknown {
    if (this.#position < this.#answers.length) return this.#answers[this.#position++];
    if (this.#moved) throw YIELD;
    this.#moved = true;
    this.#position += 1;
    const answer = make();
    this.#answers.push(answer);
    return answer;
  }
}

/** The different outcomes of all runs, as sorted JSON. */
export function everyOutcome<Outcome>(start: () => Run<Outcome>): string[] {
  const outcomes = new Set<string>();
  const path: { choice: number; choices: number }[] = [];
  for (let runs = 0; ; runs++) {
    if (runs === RUNS_MAX) throw new Error(`more than ${RUNS_MAX} runs`);
    outcomes.add(JSON.stringify(oneRun(start(), path)));
    while (path.length > 0 && path.at(-1)!.choice + 1 === path.at(-1)!.choices) path.pop();
    if (path.length === 0) return [...outcomes].sort();
    path.at(-1)!.choice += 1;
  }
}

/** Follows `path`, then takes the first choice each time and appends it. */
function oneRun<Outcome>({ machine, programs, outcome }: Run<Outcome>, path: { choice: number; choices: number }[]) {
  for (let depth = 0; ; depth++) {
    const moves = [
      ...programs.filter(({ ended }) => !ended).map((program) => () => program.advance()),
      ...machine.parties.flatMap((party) =>
        machine.drainable(party).map((position) => () => machine.drainOne(party, position)),
      ),
    ];
    if (moves.length === 0) return outcome();
    path[depth] ??= { choice: 0, choices: moves.length };
    moves[path[depth]!.choice]!();
  }
}
