import type { RoleMakers } from "../faults/whole-machine.js";
import { type GuestProgram, guestProgram } from "./guest-program.js";
import { illegalDifference } from "./legal.js";
import { type PathProgram, pathDifference, pathProgram } from "./paths.js";
import { Walkers, type WalkProgram, walkProgram } from "./walkers.js";
import { type Makers, SHIPPING_PARTS, type Wired, type Wiring, Wirings } from "./wirings.js";

/** What is compared, by name: ring against ring, walker against walker, whole machine against whole machine. */
export const DIFFERENTIALS = ["svq", "used-only", "device-half", "walkers", "paths"] as const;
/** One of DIFFERENTIALS. */
export type DifferentialName = (typeof DIFFERENTIALS)[number];

/** What to compare, and how much of it. */
export interface DifferentialOptions {
  readonly seed: number;
  /** Programs of each wiring of a ring, and of the walkers. */
  readonly programs: number;
  /** Whole machines, each on every path: one for 100 programs unless said otherwise, since it takes as long. */
  readonly machines?: number;
  /** What is compared; everything unless said otherwise. */
  readonly only?: readonly DifferentialName[];
  /** Faulty parts in the place of shipping ones. */
  readonly make?: Partial<Makers & RoleMakers>;
  /** Called now and then with the programs done. */
  readonly onProgress?: (done: number) => void;
}

/** A difference, and all that is needed to see it again. */
interface DifferentialExample {
  readonly seed: number;
  readonly index: number;
  /** The differential that found it, and what it found. */
  readonly what: string;
  readonly program: GuestProgram | WalkProgram | PathProgram;
}

/** What came of a run. */
export interface DifferentialReport {
  /** Programs that were run: the most of any wiring, since one program goes through all. */
  readonly programs: number;
  readonly differences: number;
  readonly wirings: readonly {
    readonly name: DifferentialName;
    readonly programs: number;
    readonly differences: number;
  }[];
  /** The first of each wiring. */
  readonly examples: readonly DifferentialExample[];
}

const MACHINE_SHARE = 100;
const EXAMPLES_MAX = 5;
const PROGRESS_EVERY = 500;

/** Runs random programs in two ways each and compares what the guest sees; the same seed gives the same report. */
export function runDifferential(options: DifferentialOptions): DifferentialReport {
  const { seed, programs, only = DIFFERENTIALS, onProgress } = options;
  const { machines = Math.ceil(programs / MACHINE_SHARE) } = options;
  const comparison = new Comparison(seed, { ...SHIPPING_PARTS, ...options.make });
  for (let index = 0; only.includes("paths") && index < machines; index++) comparison.paths(index);
  for (let index = 0; index < programs; index++) {
    comparison.rings(index, only);
    if (only.includes("walkers")) comparison.walkers(index);
    if ((index + 1) % PROGRESS_EVERY === 0) onProgress?.(index + 1);
  }
  return comparison.report(only);
}

class Comparison {
  readonly #seed: number;
  readonly #make: Makers & Partial<RoleMakers>;
  readonly #wirings: Wirings;
  readonly #walkers: Walkers;
  readonly #programs = new Map<DifferentialName, number>();
  readonly #differences = new Map<DifferentialName, number>();
  readonly #examples: DifferentialExample[] = [];

  constructor(seed: number, make: Makers & Partial<RoleMakers>) {
    this.#seed = seed;
    this.#make = make;
    this.#wirings = new Wirings(make);
    this.#walkers = new Walkers(make);
  }

  rings(index: number, only: readonly DifferentialName[]): void {
    const wirings = RING_WIRINGS.filter((wiring) => only.includes(wiring));
    if (wirings.length === 0) return;
    const program = guestProgram(this.#seed, index);
    const direct = this.#wirings.run(program, "direct");
    for (const wiring of wirings) this.#note(wiring, index, program, () => this.#ring(program, direct, wiring));
  }

  walkers(index: number): void {
    const program = walkProgram(this.#seed, index);
    this.#note("walkers", index, program, () => this.#walkers.difference(program));
  }

  paths(index: number): void {
    const program = pathProgram(this.#seed, index);
    this.#note("paths", index, program, () => pathDifference(program, this.#make));
  }

  report(only: readonly DifferentialName[]): DifferentialReport {
    const count = (counts: ReadonlyMap<DifferentialName, number>, name: DifferentialName) => counts.get(name) ?? 0;
    const wirings = DIFFERENTIALS.filter((name) => only.includes(name)).map((name) => ({
      name,
      programs: count(this.#programs, name),
      differences: count(this.#differences, name),
    }));
    return {
      programs: Math.max(0, ...wirings.map((wiring) => wiring.programs)),
      differences: wirings.reduce((sum, wiring) => sum + wiring.differences, 0),
      wirings,
      examples: this.#examples,
    };
  }

  #ring(program: GuestProgram, direct: Wired, wiring: Exclude<Wiring, "direct">): string | undefined {
    return illegalDifference(program, direct, this.#wirings.run(program, wiring), wiring);
  }

  /** A part that throws anything but a fault of its peer differs as well. */
  #note(
    name: DifferentialName,
    index: number,
    program: DifferentialExample["program"],
    compare: () => string | undefined,
  ): void {
    this.#programs.set(name, (this.#programs.get(name) ?? 0) + 1);
    const what = differenceOf(compare);
    if (what === undefined) return;
    const before = this.#differences.get(name) ?? 0;
    this.#differences.set(name, before + 1);
    if (before < EXAMPLES_MAX) this.#examples.push({ seed: this.#seed, index, what: `${name}: ${what}`, program });
  }
}

const RING_WIRINGS = ["svq", "used-only", "device-half"] as const satisfies readonly Wiring[];

function differenceOf(compare: () => string | undefined): string | undefined {
  try {
    return compare();
  } catch (error) {
    return `it threw ${String(error)}`;
  }
}
