import { CATALOGUE } from "../catalogue/catalogue.js";
import { runCatalogue } from "../catalogue/run-catalogue.js";
import { runDifferential } from "../differential/run-differential.js";
import type { FaultKind } from "../faults/fault-kind.js";
import type { Verdict } from "../faults/fault-run.js";
import { FAULT_KINDS } from "../faults/kinds.js";
import { dryRun, replayFault } from "../faults/run-faults.js";
import { runFuzz } from "../fuzz/fuzz.js";
import type { MakeRelay } from "../rig/rig.js";
import { MACHINE_CHECKS } from "./machine-checks.js";

/** What one thread is to do; plain data. */
export interface KillJob {
  readonly seed: number;
  /** Rows of the catalogue and kinds of faults that go before all else; other names are passed over. */
  readonly first: readonly string[];
}

/** Who noticed that a relay is wrong, and after how many executions. */
export interface Kill {
  readonly killed_by: string | null;
  readonly executions: number;
}

interface Check {
  readonly name: string;
  readonly run: (relay: MakeRelay, seed: number) => Kill;
}

/** Programs of the fuzzer, in slices that grow: most are noticed within the first. */
const FUZZ_SLICES = [400, 2_000, 12_000] as const;
const DIFFERENTIAL_PROGRAMS = 200;
/** Machines for a kind of fault that is tried first, and for every other; each fault at every position of each. */
const MACHINES_FIRST = 16;
const MACHINES_AFTER = 1;

/** Holds a relay against all checks up to the first that it fails (see KillJob). */
export function killOf(relay: MakeRelay, seed: number, first: readonly string[]): Kill {
  let executions = 0;
  for (const check of checksFor(first)) {
    const kill = tried(check, relay, seed);
    executions += kill.executions;
    if (kill.killed_by !== null) return { killed_by: kill.killed_by, executions };
  }
  return { killed_by: null, executions };
}

function checksFor(first: readonly string[]): Check[] {
  const named = (name: string) => first.includes(name);
  const rows = CATALOGUE.map(({ id }) => id);
  const kinds = FAULT_KINDS.map(({ name }) => name);
  const [slice, ...slices] = FUZZ_SLICES;
  return [
    ...rows.filter(named).map(rowCheck),
    ...kinds.filter(named).map((name) => faultCheck(name, MACHINES_FIRST)),
    fuzzCheck(slice, 0),
    ...Object.keys(MACHINE_CHECKS).map(machineCheck),
    ...rows.filter((id) => !named(id)).map(rowCheck),
    ...slices.map((count, i) => fuzzCheck(count, i + 1)),
    differentialCheck(),
    ...kinds.filter((name) => !named(name)).map((name) => faultCheck(name, MACHINES_AFTER)),
  ];
}

/** Whatever is thrown where nothing may be was noticed as well. */
function tried({ name, run }: Check, relay: MakeRelay, seed: number): Kill {
  try {
    return run(relay, seed);
  } catch (error) {
    return { killed_by: `${name}, threw ${String(error)}`, executions: 1 };
  }
}

function rowCheck(id: string): Check {
  const name = `catalogue ${id}`;
  return {
    name,
    run(relay) {
      const { cases, failed } = runCatalogue({ rows: [id], make: relay });
      return { killed_by: failed > 0 ? name : null, executions: cases };
    },
  };
}

function fuzzCheck(count: number, slice: number): Check {
  return {
    name: "fuzz",
    run(relay, seed) {
      const options = { executions: count, make: relay, stopAfterFailures: 1, now: () => 0 };
      const { executions, examples } = runFuzz({ ...options, seed: (seed + slice) >>> 0 });
      const [example] = examples;
      if (example === undefined) return { killed_by: null, executions };
      const { mode, violation } = example;
      return { killed_by: `fuzz ${mode} ${violation.oracle} (invariant ${violation.invariant})`, executions };
    },
  };
}

function differentialCheck(): Check {
  return {
    name: "differential",
    run(relay, seed) {
      const options = { seed, programs: DIFFERENTIAL_PROGRAMS, only: ["svq", "walkers"] as const };
      const { programs, wirings } = runDifferential({ ...options, make: { svq: relay } });
      const found = wirings.find(({ differences }) => differences > 0);
      return { killed_by: found === undefined ? null : `differential ${found.name}`, executions: programs };
    },
  };
}

function machineCheck(name: string): Check {
  return {
    name,
    run: () => ({ killed_by: MACHINE_CHECKS[name]!() ? null : name, executions: 1 }),
  };
}

function faultCheck(name: string, machines: number): Check {
  const kind = FAULT_KINDS.find((each) => each.name === name)!;
  return {
    name: `fault ${name}`,
    run(_, seed) {
      let executions = 0;
      for (const verdict of verdicts(kind, seed, machines)) {
        executions += 1;
        if (verdict.what.length > 0) return { killed_by: `fault ${name}`, executions };
      }
      return { killed_by: null, executions };
    },
  };
}

/** One after the other, so that a machine that hangs is waited for once. */
function* verdicts(kind: FaultKind, seed: number, machines: number): Iterable<Verdict> {
  for (let machine = 0; machine < machines; machine++) {
    const { counts, verdict } = dryRun(kind, seed + machine);
    yield verdict;
    for (let position = 0; position < kind.positions(counts); position++) {
      yield replayFault(kind, seed + machine, position);
    }
  }
}
