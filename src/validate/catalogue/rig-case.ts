import type { Notifier } from "../../memory/bell.js";
import { PeerFault } from "../../ring/peer-fault.js";
import { Bench } from "../rig/ground.js";
import type { Action, Program } from "../rig/program.js";
import { type MakeRelay, type OnAccess, Rig } from "../rig/rig.js";
import type { RigSetup } from "../rig/world.js";
import type { Case, Outcome, Verdict } from "./case.js";
import { type Form, type Link, laid, offer, offered, PUBLISH, ROUNDS, SETUP, STARTS, writable } from "./programs.js";

/** Rigs stand on the same ground, one after the other. */
const BENCH = new Bench();

/** Accesses of the relay at most, for each action of a program. */
const ACCESSES_PER_ACTION = 100;

/** What a case asks for beside its outcome. */
export interface Asks {
  /** Chains that the device got, where not all that were offered. */
  readonly forwarded?: number;
  /** Chains that the device keeps; 0 unless said. */
  readonly kept?: number;
  /** Looks at the rig once the program has run; returns what is wrong. */
  readonly look?: (rig: Rig, told: Readonly<Told>) => string | undefined;
}

/** How often the relay has notified its peers. */
export interface Told {
  kicks: number;
  calls: number;
}

/** A program that a rig runs, and how it is to end. */
export function rigCase(
  name: string,
  expected: Outcome,
  setup: Partial<RigSetup>,
  actions: readonly Action[],
  asks: Asks = {},
): Case {
  const program = { setup: { ...SETUP, ...setup }, actions };
  const run = (make: MakeRelay) => runInRig(program, make, asks);
  return { name, kind: "case", expected, program, budget: ACCESSES_PER_ACTION * (actions.length + 1), run };
}

/** The legal neighbour of such a program. */
export function neighbour(name: string, setup: Partial<RigSetup>, actions: readonly Action[], asks: Asks = {}): Case {
  return { ...rigCase(name, "forward", setup, actions, asks), kind: "neighbour" };
}

/** The same case as a neighbour of the others. */
export function asNeighbour(cases: readonly Case[]): Case[] {
  return cases.map((each) => ({ ...each, kind: "neighbour" }));
}

/** Runs a program under every oracle and says how it ended. */
export function runInRig(program: Program, make: MakeRelay, asks: Asks = {}, onAccess?: OnAccess): Verdict {
  const told: Told = { kicks: 0, calls: 0 };
  const rig = new Rig(program, asks.look === undefined ? make : counting(make, told), onAccess, BENCH);
  const { violation, accesses } = rig.run();
  const outcome = violation?.message ?? asks.look?.(rig, told) ?? endOf(rig, asks);
  return { outcome, accesses };
}

function counting(make: MakeRelay, told: Told): MakeRelay {
  return (parts) =>
    make({
      ...parts,
      deviceKick: counted(parts.deviceKick, () => told.kicks++),
      guestCall: counted(parts.guestCall, () => told.calls++),
    });
}

function counted(inner: Pick<Notifier, "signal">, count: () => void): Pick<Notifier, "signal"> {
  return {
    signal() {
      count();
      inner.signal();
    },
  };
}

/** How a rig has ended that no oracle complained of. */
function endOf({ ledger, guest, broken }: Rig, { forwarded, kept = 0 }: Asks): string {
  const inFlight = ledger.inFlight.size;
  const got = ledger.returned + inFlight;
  if (forwarded !== undefined && got !== forwarded) return `the device got ${got} chains, not ${forwarded}`;
  if (broken !== undefined) return `break-queue ${broken}`;
  const { refused } = ledger;
  const back = ledger.returned + refused.length;
  if (inFlight !== kept || back + kept !== guest.offered) {
    return `${guest.offered} chains were offered, ${back} came back, ${inFlight} are with the device`;
  }
  const reasons = new Set(refused);
  return reasons.size === 0 ? "forward" : `quarantine ${[...reasons].join(" and ")}`;
}

/** What a function ends in: the fault that it throws, or all is well. */
export function faultOf(act: () => void): string {
  try {
    act();
  } catch (error) {
    if (error instanceof PeerFault) return `${error.outcome} ${error.reason}`;
    throw error;
  }
  return "forward";
}

/** A case that needs no rig; `act` throws PeerFault, or returns what else is wrong. */
export function plainCase(name: string, expected: Outcome, act: () => string | undefined): Case {
  const run = (): Verdict => {
    let wrong: string | undefined;
    const outcome = faultOf(() => {
      wrong = act();
    });
    return { outcome: wrong ?? outcome, accesses: 0 };
  };
  return { name, kind: expected === "forward" ? "neighbour" : "case", expected, budget: 0, run };
}

/** What stands around a chain: where the indices are, who is told how, and what is in the same batch before it. */
interface Surroundings {
  readonly eventIdx: boolean;
  readonly log: boolean;
  readonly start: number;
  readonly before: number;
}

const SURROUNDINGS: readonly Surroundings[] = [
  { eventIdx: true, log: true, start: STARTS[0], before: 0 },
  { eventIdx: false, log: true, start: STARTS[4], before: 2 },
  { eventIdx: true, log: false, start: STARTS[2], before: 1 },
  { eventIdx: false, log: false, start: STARTS[3], before: 3 },
  { eventIdx: true, log: true, start: STARTS[4], before: 3 },
  { eventIdx: false, log: true, start: STARTS[1], before: 0 },
];

/** A chain to be offered, in the forms and set-ups that are asked for. */
export interface ChainSpec {
  readonly links: readonly Link[];
  readonly forms: readonly Form[];
  readonly setup?: Partial<RigSetup>;
  /** Of the six surroundings, how many; which ones follows from the name. */
  readonly spread?: number;
  /** What the guest stores before it offers the chain. */
  readonly first?: readonly Action[];
}

/**
 * One chain by itself and behind good ones, in several forms and surroundings.
 *
 * A chain that is quarantined has a good one behind it, which goes through; before one that breaks the queue, all do.
 */
export function chainCases(name: string, expected: Outcome, spec: ChainSpec): Case[] {
  const { links, forms, setup = {}, spread = 2, first = [] } = spec;
  const num = setup.num ?? SETUP.num;
  return forms.flatMap((form, f) => {
    return Array.from({ length: spread }, (_, i) => {
      const { before: wanted, ...around } = SURROUNDINGS[(chance(name) + f + i) % SURROUNDINGS.length]!;
      const before = Math.min(wanted, Math.max(0, num - links.length - 1));
      const chain = offered(laid(form, links, before, num), before);
      const good = offer([{ gpa: Number(writable().address), bytes: 8, writable: true }]);
      const after = expected.startsWith("quarantine") ? [good, PUBLISH, ...ROUNDS] : [];
      const actions = [...first, ...Array<Action>(before).fill(good), chain, PUBLISH, ...ROUNDS, ...after];
      const asks = expected.startsWith("break-queue") ? { forwarded: before } : {};
      const where = `${form}, ${before} before, ${around.eventIdx ? "event index" : "flags"} from ${around.start}`;
      return rigCase(`${name}; ${where}`, expected, { ...around, ...setup }, actions, asks);
    });
  });
}

/** A number that follows from a name, so that a case stays what it is when others come and go. */
function chance(name: string): number {
  let sum = 0;
  for (let i = 0; i < name.length; i++) sum = (sum * 31 + name.charCodeAt(i)) % 65_521;
  return sum;
}
