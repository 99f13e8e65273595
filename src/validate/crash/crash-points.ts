import { Bench } from "../rig/ground.js";
import { type CrashRelays, SHIPPING_CRASH } from "./crash-relays.js";
import { type CrashRun, runCrash } from "./crash-run.js";
import { type CrashPoint, type Scenario, scenariosOf } from "./scenario.js";

/** What is to be run. */
export interface CrashOptions {
  /** Chains in flight; 1 to 4 unless given. */
  readonly chains?: readonly number[];
  /** Entries of the shadow ring; 16, with room for all, and 4, for one chain at a time, unless given. */
  readonly shadowNums?: readonly number[];
  /** Deaths in one run: 2 also kills the relay that takes over, at each store of its recovery and first turn. */
  readonly depth?: 1 | 2;
  /** Stands in for the shipping relays. */
  readonly make?: CrashRelays;
  /** Hears of each scenario that is done. */
  readonly onProgress?: (done: number, scenarios: number) => void;
}

/** A run in which something was lost, doubled or missed. */
interface CrashFailure extends Scenario {
  /** Where each relay died; none: it went wrong without that. */
  readonly kills: readonly CrashPoint[];
  readonly message: string;
}

/** What came of all points. */
export interface CrashReport {
  /** Places at which a relay was to die, and those at which one did. */
  readonly points: number;
  readonly covered: number;
  readonly failures: readonly CrashFailure[];
  /** The same points by scenario. */
  readonly by: readonly (Scenario & { readonly points: number })[];
}

/** Kills the relay before and after every store to shared memory, in every scenario, and has another take over. */
export function runCrashPoints(options: CrashOptions = {}): CrashReport {
  const { chains = [1, 2, 3, 4], shadowNums = [16, 4], depth = 1, make = SHIPPING_CRASH, onProgress } = options;
  const scenarios = scenariosOf(chains, shadowNums);
  const tally = new Tally(make);
  const by = scenarios.map((scenario, i) => {
    const before = tally.points;
    tally.scenario(scenario, depth);
    onProgress?.(i + 1, scenarios.length);
    return { ...scenario, points: tally.points - before };
  });
  return { points: tally.points, covered: tally.covered, failures: tally.failures, by };
}

class Tally {
  points = 0;
  covered = 0;
  readonly failures: CrashFailure[] = [];
  readonly #make: CrashRelays;
  readonly #bench = new Bench();

  constructor(make: CrashRelays) {
    this.#make = make;
  }

  scenario(scenario: Scenario, depth: number): void {
    this.#below(scenario, [], this.#run(scenario, []).stores, depth);
  }

  /** All that begins with these deaths, the last relay of which made `stores` stores. */
  #below(scenario: Scenario, kills: readonly CrashPoint[], stores: number, depth: number): void {
    for (let store = 1; store <= stores; store++) {
      // Of deaths in one run only the first is on both sides: what lies between two stores are notifications.
      const sides = kills.length === 0 ? (["before", "after"] as const) : (["after"] as const);
      for (const side of sides) {
        const all = [...kills, { store, side }];
        const run = this.#run(scenario, all);
        this.points += 1;
        if (run.deaths === all.length) this.covered += 1;
        if (depth > 1 && side === "after") this.#below(scenario, all, run.stores, depth - 1);
      }
    }
  }

  #run(scenario: Scenario, kills: readonly CrashPoint[]): CrashRun {
    const run = runCrash(scenario, kills, this.#make, this.#bench);
    if (run.violation !== undefined) this.failures.push({ ...scenario, kills, message: run.violation.message });
    return run;
  }
}
