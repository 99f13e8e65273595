import { setImmediate } from "node:timers/promises";
import { type CrashReport, runCrashPoints } from "../crash/crash-points.js";
import type { ProfileName } from "../validation.js";
import { type Exploration, type ExploreOptions, explore, modelName, type Violation } from "./explore.js";
import { exploreInThreads } from "./explore-threads.js";
import { judgeTwin, replayCommand, type TwinReport, type TwinRow, twinReport } from "./judge-twins.js";
import { TWINS, type Twin } from "./twin-list.js";
import { type Comparison, compare, comparisonsOf, type UnreducedRow } from "./unreduced.js";

/** What is to be explored; what is not given is left out. */
export interface ExplorationOptions {
  readonly models: readonly ExploreOptions[];
  readonly twins?: readonly Twin[];
  readonly comparisons?: readonly Comparison[];
  /** Whether the relay is killed at each of its stores. */
  readonly crash?: boolean;
  /** Whether models are explored beside each other, on threads; none of them has a cast of its own then. */
  readonly threads?: boolean;
  /** Plays in every model, by a name that replayCommand knows; its cast is in the options of the models. */
  readonly twin?: string | undefined;
  /** Ends the run between two explorations: the report has what there is, and says aborted. */
  readonly signal?: AbortSignal;
  /** Called after each exploration, twin and comparison. */
  readonly onProgress?: (done: number, total: number, what: string) => void;
}

/** One exploration, its violations with the command that shows them again. */
interface ModelReport extends Exploration {
  readonly violations: readonly (Violation & { readonly replay: string })[];
}

/** What came of all of it; plain data. */
export interface ExplorationReport {
  readonly schema: "shadowvq.explore/1";
  readonly models: readonly ModelReport[];
  /** Of all models. */
  readonly states: number;
  readonly bytes_per_state: number | null;
  /** Null where nothing was compared, or not all of it. */
  readonly unreduced_agrees: boolean | null;
  readonly unreduced: readonly UnreducedRow[];
  readonly mutants: TwinReport;
  readonly crash_points: {
    readonly points: number;
    readonly covered: number;
    readonly failures: number;
    readonly found: CrashReport["failures"];
    readonly by: CrashReport["by"];
  } | null;
  readonly verdict: "ok" | "failed" | "aborted";
}

/** All that a profile explores beside its models: every twin, comparisons, crash points. */
export function besideModels(profile: ProfileName): Pick<ExplorationOptions, "twins" | "comparisons" | "crash"> {
  return { twins: TWINS, comparisons: comparisonsOf(profile), crash: true };
}

/**
 * Explores, and says what came of it: first whether harm is found, then whether there is any, or that beside it.
 *
 * Throws PatchError when a twin fits the build no more.
 */
export async function runExploration(options: ExplorationOptions): Promise<ExplorationReport> {
  const { signal, onProgress, models, threads = false } = options;
  const found: Found = { models: [], twins: [], unreduced: [], crash: undefined };
  const units = unitsOf(threads ? { ...options, models: [] } : options, found);
  const total = units.length + (threads ? models.length : 0);
  let done = 0;
  const onDone = (name: string) => {
    done += 1;
    onProgress?.(done, total, name);
  };
  const oneByOne = async () => {
    for (const { name, run } of units) {
      // Lets a signal in: an exploration itself does not wait for anything.
      await setImmediate();
      if (signal?.aborted) break;
      await run();
      onDone(name);
    }
  };
  const [beside] = await Promise.all([threads ? exploreInThreads(models, { signal, onDone }) : [], oneByOne()]);
  found.models.push(...beside);
  return reportOf(options, found, done === total);
}

/** What there is so far. */
interface Found {
  readonly models: Exploration[];
  readonly twins: TwinRow[];
  readonly unreduced: UnreducedRow[];
  crash: CrashReport | undefined;
}

interface Unit {
  readonly name: string;
  readonly run: () => Promise<void> | void;
}

function unitsOf({ models, twins = [], comparisons = [], crash = false }: ExplorationOptions, found: Found): Unit[] {
  return [
    ...twins.map((twin) => ({
      name: twin.name,
      run: async () => void found.twins.push(await judgeTwin(twin)),
    })),
    ...models.map((model) => ({ name: modelName(model), run: () => void found.models.push(explore(model)) })),
    ...comparisons.map((comparison) => ({
      name: `without ${comparison.reduction}`,
      run: async () => void found.unreduced.push(await compare(comparison)),
    })),
    ...(crash ? [{ name: "crash points", run: () => void (found.crash = runCrashPoints()) }] : []),
  ];
}

function reportOf(options: ExplorationOptions, found: Found, whole: boolean): ExplorationReport {
  const { unreduced, crash } = found;
  const mutants = twinReport(options.twins ?? [], found.twins);
  const failed =
    found.models.some(({ violations }) => violations.length > 0) ||
    mutants.survivors.length > 0 ||
    unreduced.some(({ agrees }) => !agrees) ||
    (crash?.failures.length ?? 0) > 0;
  const complete = whole && found.models.every((model) => model.complete);
  const states = found.models.reduce((sum, model) => sum + model.states, 0);
  const bytes = found.models.reduce((sum, model) => sum + model.bytes_per_state * model.states, 0);
  return {
    schema: "shadowvq.explore/1",
    models: found.models.map((model) => withReplay(model, options.twin)),
    states,
    bytes_per_state: states === 0 ? null : bytes / states,
    unreduced_agrees: agreement(options.comparisons ?? [], unreduced),
    unreduced,
    mutants,
    crash_points: crash === undefined ? null : { ...crash, failures: crash.failures.length, found: crash.failures },
    verdict: failed ? "failed" : complete ? "ok" : "aborted",
  };
}

function agreement(comparisons: readonly Comparison[], rows: readonly UnreducedRow[]): boolean | null {
  if (rows.some(({ agrees }) => !agrees)) return false;
  return rows.length === comparisons.length && rows.length > 0 ? true : null;
}

function withReplay(model: Exploration, twin: string | undefined): ModelReport {
  const replay = replayCommand(model.name, twin);
  return { ...model, violations: model.violations.map((violation) => ({ ...violation, replay })) };
}
