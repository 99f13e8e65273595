/** Loads a relay module and judges it, on a thread of its own: it may do anything, and never end. */
import { parentPort, workerData } from "node:worker_threads";
import { Heartbeat } from "../../memory/heartbeat.js";
import { runProgram } from "../rig/rig.js";
import { recordRun } from "../trace/record.js";
import { replay } from "../trace/replay.js";
import { readTrace, writeTrace } from "../trace/trace-format.js";
import { adapt, lacks } from "./adapt.js";
import type { Again } from "./again.js";
import { coverageOf } from "./coverage.js";
import type { CreateRelay, OwnRelay } from "./interface.js";
import { type Broken, firsts, judge, STAGES } from "./judge.js";
import { leak } from "./leak-check.js";
import { loadModule } from "./load.js";
import type { BrokenMessage, OwnJob, OwnMessage } from "./messages.js";
import { crashOne, crashOwn } from "./own-crash.js";
import { exploreOne, exploreOwn } from "./own-explore.js";
import { forgets } from "./save-check.js";

const { url, seed, profile, only, trace, again, heart: buffer } = workerData as OwnJob;
const heart = new Heartbeat(buffer);
/** What it can do beside what every relay can. */
let offers = { save: false, recover: false };

function say(message: OwnMessage): void {
  parentPort!.postMessage(message);
}

/** What makes a module unusable before anything is asked of it. */
function unusable(createRelay: unknown): string | undefined {
  if (typeof createRelay !== "function") return "it does not export a function createRelay";
  let why: string | undefined;
  const probe: CreateRelay = (parts) => {
    let relay: unknown;
    try {
      relay = (createRelay as CreateRelay)(parts);
    } catch (error) {
      why = `createRelay() threw ${String(error)}`;
      throw error;
    }
    why = lacks(relay);
    if (why === undefined) {
      const { save, recover } = relay as OwnRelay;
      offers = { save: save !== undefined, recover: recover !== undefined };
      // From here on it is a relay: one that hangs or grows has broken an oracle.
      say({ kind: "stage", stage: "first run" });
    }
    return relay as ReturnType<CreateRelay>;
  };
  const setup = { num: 4, shadowNum: 4, eventIdx: false, indirect: false, log: false, map: "flat", start: 0 } as const;
  runProgram({ setup, actions: [] }, adapt(probe, heart));
  return why;
}

function toMessage({ program, ...rest }: Broken, createRelay: CreateRelay): BrokenMessage {
  if (program === undefined) return rest;
  return { ...rest, trace: writeTrace(recordRun(program, adapt(createRelay, heart))) };
}

async function main(): Promise<void> {
  let createRelay: unknown;
  try {
    ({ createRelay } = await loadModule(url));
  } catch (error) {
    say({ kind: "unusable", why: `it does not load: ${String(error)}` });
    return;
  }
  const why = unusable(createRelay);
  if (why !== undefined) {
    say({ kind: "unusable", why });
    return;
  }
  const create = createRelay as CreateRelay;
  if (trace !== undefined) repeat(create, trace);
  else if (again !== undefined) once(create, again);
  else {
    if (only !== "explore") throughTheRig(create);
    if (only !== "rig") beyondTheRig(create);
  }
  say({ kind: "done" });
}

function repeat(create: CreateRelay, bytes: Uint8Array): void {
  say({ kind: "stage", stage: "trace" });
  const recorded = readTrace(bytes);
  const make = adapt(create, heart);
  const now = writeTrace(recordRun(recorded.program, make));
  say({ kind: "replayed", again: replay(recorded, make), now });
}

function throughTheRig(create: CreateRelay): void {
  const make = adapt(create, heart);
  for (const stage of STAGES) {
    say({ kind: "stage", stage });
    const broken = judge(make, stage, seed, profile, () => heart.beat());
    say({ kind: "found", broken: broken.map((each) => toMessage(each, create)) });
  }
  say({ kind: "stage", stage: "heap" });
  const leaked = leak(make);
  say({ kind: "found", broken: leaked === undefined ? [] : [leaked] });
}

/** Every order, and every death. */
function beyondTheRig(createRelay: CreateRelay): void {
  const { save, recover } = offers;
  say({ kind: "stage", stage: "explorer" });
  const { broken, explorations } = exploreOwn({ createRelay, saves: save, seed, profile, heart });
  const forgotten = save ? forgets(createRelay, seed, heart) : undefined;
  say({ kind: "found", broken: firsts([...broken, ...(forgotten === undefined ? [] : [forgotten])]) });
  say({ kind: "stage", stage: "crash points" });
  const crash = recover ? crashOwn(createRelay, profile, heart) : undefined;
  say({ kind: "found", broken: crash?.broken ?? [] });
  say({ kind: "covered", coverage: coverageOf(explorations, crash) });
}

function once(createRelay: CreateRelay, again: Again): void {
  say({ kind: "stage", stage: again.kind === "crash" ? "crash points" : "explorer" });
  const options = { createRelay, saves: offers.save, seed, profile, heart };
  const found = again.kind === "crash" ? crashOne(createRelay, again, heart) : exploreOne(options, again).found;
  say({ kind: "found", broken: found === undefined ? [] : [found] });
}

await main();
