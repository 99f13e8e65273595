import { setImmediate } from "node:timers/promises";
import { machineFacts } from "../lab/machine-facts.js";
import { EXIT } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { Progress } from "../report/progress.js";
import { textTable, wantsColour } from "../report/table.js";
import { type CrashReport, runCrashPoints } from "../validate/crash/crash-points.js";
import { type Exploration, type ExploreOptions, explore } from "../validate/explorer/explore.js";
import type { ProfileName } from "../validate/validation.js";
import { Interruptible } from "./signals.js";

const MODELS = ["sc", "tso", "pso", "tso-seqcst"] as const;

/** Explores what a profile asks for, one exploration after the other; the exit code says whether anything is wrong. */
export async function exploreModels(profile: ProfileName, json: string | undefined): Promise<number> {
  const interruptible = new Interruptible();
  const plans = plansOf(profile);
  const bar = new Progress({ label: "explore", total: plans.length });
  const models: Exploration[] = [];
  let crash: CrashReport | undefined;
  try {
    for (const plan of plans) {
      await setImmediate();
      if (interruptible.code !== undefined) break;
      models.push(explore(plan));
      bar.update(models.length, models.at(-1)!.name);
    }
    if (interruptible.code === undefined) crash = runCrashPoints();
  } finally {
    bar.stop();
    interruptible.dispose();
  }
  const failed = models.some(({ violations }) => violations.length > 0) || (crash?.failures.length ?? 0) > 0;
  const whole = models.length === plans.length && models.every(({ complete }) => complete) && crash !== undefined;
  const verdict = failed ? "failed" : whole ? "ok" : "aborted";
  if (json === undefined) await writeText(`${tableOf(models)}\n\n${crashText(crash)}\nverdict: ${verdict}\n`);
  else await writeJson(documentOf(profile, models, crash, verdict), json);
  return interruptible.code ?? (failed ? EXIT.gateFailed : EXIT.done);
}

/** Two requests are the least that shows anything; ring 1 and 2, both ways of suppression, with and without marks. */
function plansOf(profile: ProfileName): ExploreOptions[] {
  const rings = profile === "quick" ? [1] : [1, 2];
  const requests = profile === "full" ? [2, 3] : [2];
  return MODELS.flatMap((model) =>
    rings.flatMap((ring) =>
      requests.flatMap((count) =>
        [true, false].flatMap((eventIdx) =>
          [true, false].map((log) => ({ model, ring, requests: count, eventIdx, log })),
        ),
      ),
    ),
  );
}

function documentOf(
  profile: ProfileName,
  models: readonly Exploration[],
  crash: CrashReport | undefined,
  verdict: string,
): object {
  const states = models.reduce((sum, model) => sum + model.states, 0);
  const bytes = models.reduce((sum, model) => sum + model.bytes_per_state * model.states, 0);
  return {
    schema: "shadowvq.explore/1",
    ...machineFacts(),
    profile,
    models,
    states,
    bytes_per_state: states === 0 ? null : bytes / states,
    crash_points: crash === undefined ? null : { ...crash, failures: crash.failures.length, found: crash.failures },
    verdict,
  };
}

function tableOf(models: readonly Exploration[]): string {
  const titles = [
    "memory",
    "requests",
    "ring",
    "suppression",
    "log",
    "states",
    "transitions",
    "depth",
    "seconds",
    "found",
  ];
  const rows = models.map((model) => [
    model.memory,
    model.requests,
    model.ring,
    model.event_idx ? "event idx" : "flags",
    model.log ? "on" : "off",
    model.states.toLocaleString("en"),
    model.transitions.toLocaleString("en"),
    model.depth,
    model.seconds.toFixed(1),
    model.complete ? "nothing, in every order" : (model.violations[0]?.what ?? "not all of it"),
  ]);
  const traces = models.flatMap(({ violations }) => violations.flatMap(({ what, trace }) => ["", what, ...trace]));
  return [
    textTable({ columns: titles.map((title) => ({ title })), rows }, wantsColour(process.stdout)),
    ...traces,
  ].join("\n");
}

function crashText(crash: CrashReport | undefined): string {
  if (crash === undefined) return "the relay was not killed";
  const { points, covered, failures, by } = crash;
  const lines = failures.slice(0, 5).map(({ message }) => `FAILED ${message}`);
  const what = `killed at ${covered} of ${points} points of ${by.length} scenarios and taken over from its record`;
  return [...lines, `the relay ${what}: ${failures.length} failures`].join("\n");
}
