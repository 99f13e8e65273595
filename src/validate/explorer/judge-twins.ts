import { castWith } from "./cast.js";
import { type Exploration, type ExploreOptions, explore, modelName } from "./explore.js";
import type { StoreOrder } from "./store-order.js";
import { SIGNATURES, type Signature, type Twin, type TwinKind } from "./twin-list.js";

/** What came of one twin: whether each order of stores finds it; null where neither fault nor end was reached. */
export interface TwinRow {
  readonly name: string;
  readonly kind: TwinKind;
  readonly sc: boolean | null;
  readonly tso: boolean | null;
  readonly pso: boolean | null;
}

/** A twin that is not found where it should be, or is where it should not. */
interface Survivor {
  readonly name: string;
  readonly kind: TwinKind;
  readonly what: string;
  readonly expected: Signature;
  readonly seen: Pick<TwinRow, StoreOrder>;
  /** Commands that show each answer that was not expected. */
  readonly replay: readonly string[];
}

/** What came of all twins. */
export interface TwinReport {
  readonly total: number;
  readonly killed: number;
  readonly survivors: readonly Survivor[];
  readonly list: readonly TwinRow[];
}

const ORDERS = ["sc", "tso", "pso"] as const;

/** Explores a play with the twin under each order of stores; throws PatchError when it fits the build no more. */
export async function judgeTwin(twin: Twin): Promise<TwinRow> {
  const make = await castWith(twin);
  const [sc, tso, pso] = ORDERS.map((model) => foundBy(explore({ ...optionsFor(twin, model), make })));
  return { name: twin.name, kind: twin.kind, sc: sc!, tso: tso!, pso: pso! };
}

/** What is played with a twin, but for the twin: a ring of one and two requests, the least in which all show. */
export function optionsFor({ log }: Twin, model: StoreOrder): ExploreOptions {
  return { model, ring: 1, requests: 2, eventIdx: true, log };
}

/** Holds what was seen against what each twin's kind is to show. */
export function twinReport(twins: readonly Twin[], list: readonly TwinRow[]): TwinReport {
  const survivors = list.flatMap((row) => {
    const twin = twins.find(({ name }) => name === row.name)!;
    const expected = SIGNATURES[twin.kind];
    const wrong = ORDERS.filter((order) => row[order] !== expected[order]);
    if (wrong.length === 0) return [];
    const { sc, tso, pso } = row;
    const replay = wrong.map((order) => replayCommand(modelName(optionsFor(twin, order)), twin.name));
    return [{ name: row.name, kind: row.kind, what: twin.what, expected, seen: { sc, tso, pso }, replay }];
  });
  return { total: list.length, killed: list.length - survivors.length, survivors, list };
}

/** The command that explores one model again, with a twin or without, and prints the shortest trace. */
export function replayCommand(model: string, twin?: string): string {
  return `svq validate --explore --only "${model}"${twin === undefined ? "" : ` --twin ${twin}`}`;
}

function foundBy({ complete, violations }: Exploration): boolean | null {
  if (violations.length > 0) return true;
  return complete ? false : null;
}
