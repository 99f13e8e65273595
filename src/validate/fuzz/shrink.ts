import type { Violation } from "../oracles/violation.js";
import type { Action, Poke, Program, RawDescriptor } from "../rig/program.js";
import type { RunResult } from "../rig/rig.js";
import type { RigSetup } from "../rig/world.js";

const RUNS_MAX = 4000;

/** A program that fails, and how. */
export interface Failing {
  readonly program: Program;
  readonly violation: Violation;
}

/** What makes two violations one: oracle, invariant and wording, whatever the numbers in it. */
export function violationKind({ message }: Violation): string {
  return message.replaceAll(/(?:\b[rw])?-?\d[-\d]*(?: [rw]?\d[-\d]*)*/g, "#");
}

/**
 * Reduces a program to a small one that fails in the same way: fewer actions, elements and bits, rounder numbers.
 *
 * Deterministic, and done after RUNS_MAX runs at the latest. Each pass tries all smaller neighbours and keeps whichever
 * still fails, until none does.
 */
export function shrink(program: Program, violation: Violation, run: (program: Program) => RunResult): Failing {
  const kind = violationKind(violation);
  let best: Failing = { program, violation };
  let runs = 0;
  const fails = (smaller: Program): boolean => {
    if (runs >= RUNS_MAX) return false;
    runs += 1;
    const found = run(smaller).violation;
    if (found === undefined || violationKind(found) !== kind) return false;
    best = { program: smaller, violation: found };
    return true;
  };
  for (let before: Program | undefined; before !== best.program && runs < RUNS_MAX; ) {
    before = best.program;
    dropActions(() => best.program, fails);
    simplifySetup(() => best.program, fails);
    simplifyActions(() => best.program, fails);
  }
  return best;
}

type Fails = (program: Program) => boolean;
type Best = () => Program;

/** Runs of actions, halves first, then ever shorter ones. */
function dropActions(best: Best, fails: Fails): void {
  for (let length = Math.ceil(best().actions.length / 2); length >= 1; length = length === 1 ? 0 : length >>> 1) {
    for (let at = best().actions.length - length; at >= 0; at--) {
      const { setup, actions } = best();
      if (at + length <= actions.length) fails({ setup, actions: actions.toSpliced(at, length) });
    }
  }
}

function simplifySetup(best: Best, fails: Fails): void {
  const simpler: Partial<RigSetup>[] = [{ start: 0 }, { map: "flat" }];
  simpler.push({ log: false }, { eventIdx: false }, { indirect: false });
  for (const num of [1, 2, 4, 8]) {
    if (num < best().setup.num) simpler.push({ num });
    if (num < best().setup.shadowNum) simpler.push({ shadowNum: num });
  }
  for (const change of simpler) {
    const { setup, actions } = best();
    const changes = Object.entries(change).some(([name, value]) => setup[name as keyof RigSetup] !== value);
    const grows = (change.num ?? 0) > setup.num || (change.shadowNum ?? 0) > setup.shadowNum;
    if (changes && !grows) fails({ setup: { ...setup, ...change }, actions });
  }
}

function simplifyActions(best: Best, fails: Fails): void {
  for (let at = 0; at < best().actions.length; at++) {
    const tried = new Set<string>();
    for (let kept = true; kept; ) {
      kept = simplerActions(best().actions[at]!).some((simpler) => {
        const key = keyOf(simpler);
        if (tried.has(key)) return false;
        tried.add(key);
        const { setup, actions } = best();
        return fails({ setup, actions: actions.with(at, simpler) });
      });
    }
  }
}

function keyOf(action: Action): string {
  return JSON.stringify(action, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
}

/** Neighbours of an action that are simpler by one step, the greatest step first. */
function simplerActions(action: Action): Action[] {
  switch (action.op) {
    case "offer":
      return [
        ...fewer(action.elements, 1).map((elements) => ({ ...action, elements })),
        ...(action.form === "direct" ? [] : [{ ...action, form: "direct" } as const]),
        ...eachSimpler(action.elements, (element) => smallerNumbers(element, ["bytes"])).map((elements) => ({
          ...action,
          elements,
        })),
      ];
    case "offer-raw":
      return simplerRaw(action);
    case "publish":
    case "publish-used": {
      const { jump = 0, op } = action;
      return jump === 0 ? [] : [{ op }, ...[1, -1].filter((each) => each !== jump).map((each) => ({ op, jump: each }))];
    }
    case "use": {
      const { claim, ...honest } = action;
      const claims = claim === undefined ? [] : [honest, ...smallerNumbers({ ...action, claim }, ["claim"])];
      return [...claims, ...smallerNumbers(action, ["nth", "bytes"])];
    }
    case "use-raw":
      return smallerNumbers(action, ["id", "length"]);
    case "offer-head":
      return smallerNumbers(action, ["head"]);
    case "ambush-harvest":
      return smallerNumbers(action, ["access"]);
    case "ambush":
      return [...smallerNumbers(action, ["access"]), ...simplerPokes(action.poke).map((poke) => ({ ...action, poke }))];
    case "poke":
      return simplerPokes(action.poke).map((poke) => ({ ...action, poke }));
    default:
      return [];
  }
}

function simplerRaw(action: Extract<Action, { op: "offer-raw" }>): Action[] {
  const { table, ...bare } = action;
  const tables =
    table === undefined
      ? []
      : [
          bare,
          ...fewer(table, 1).map((each) => ({ ...action, table: each })),
          ...eachSimpler(table, simplerDescriptors).map((each) => ({ ...action, table: each })),
        ];
  return [
    ...tables,
    ...fewer(action.descriptors, 1).map((descriptors) => ({ ...action, descriptors })),
    ...eachSimpler(action.descriptors, simplerDescriptors).map((descriptors) => ({ ...action, descriptors })),
    ...smallerNumbers(action, ["slot"]),
  ];
}

function simplerDescriptors(descriptor: RawDescriptor): RawDescriptor[] {
  const { address, flags } = descriptor;
  const addresses = [0n, 0x3000n, address & ~0xfffn].filter((each) => each < address);
  const bits = [1, 2, 4].filter((bit) => (flags & bit) !== 0).map((bit) => flags & ~bit);
  return [
    ...addresses.map((each) => ({ ...descriptor, address: each })),
    ...[flags & 7, ...bits].filter((each) => each < flags).map((each) => ({ ...descriptor, flags: each })),
    ...smallerNumbers(descriptor, ["length", "next"]),
  ];
}

function simplerPokes(poke: Poke): Poke[] {
  return smallerNumbers(poke, ["value"]);
}

/** The object with one of its numbers replaced by 0, 1, half of it or one less. */
function smallerNumbers<T extends object>(object: T, names: readonly (keyof T)[]): T[] {
  return names.flatMap((name) => {
    const value = Number(object[name]);
    const tries = new Set([0, 1, Math.floor(value / 2), value - 1].filter((each) => each >= 0 && each < value));
    return [...tries].map((each) => ({ ...object, [name]: each }));
  });
}

/** The list without one of its entries, of which `least` stay. */
function fewer<T>(list: readonly T[], least: number): T[][] {
  return list.length <= least ? [] : list.map((_, i) => list.toSpliced(i, 1));
}

/** The list with one entry replaced by a simpler one. */
function eachSimpler<T>(list: readonly T[], simpler: (entry: T) => T[]): T[][] {
  return list.flatMap((entry, i) => simpler(entry).map((each) => list.with(i, each)));
}
