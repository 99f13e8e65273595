import { EXIT } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { programToJson } from "../validate/rig/program-json.js";
import type { MakeRelay } from "../validate/rig/rig.js";
import { recordRun, traceHash } from "../validate/trace/record.js";
import { type Replay, replay } from "../validate/trace/replay.js";
import { timelineJson, timelineText } from "../validate/trace/timeline.js";
import type { Trace } from "../validate/trace/trace.js";
import { readTraceFile } from "../validate/trace/trace-file.js";

/** Repeats the run in a trace and tells its story; the exit code says whether it still fails. */
export async function replayFile(path: string, json: string | undefined, make: MakeRelay): Promise<number> {
  const recorded = readTraceFile(path);
  return tellReplay(path, json, replay(recorded, make), recordRun(recorded.program, make));
}

/** Tells what came of repeating the run in a trace; `now` is that run. */
export async function tellReplay(path: string, json: string | undefined, again: Replay, now: Trace): Promise<number> {
  const failed = again.violation !== undefined;
  if (json !== undefined) {
    const document = {
      schema: "shadowvq.replay/1",
      trace: path,
      ...again,
      program: programToJson(now.program),
      timeline: timelineJson(now),
      hash_now: traceHash(now),
      verdict: failed ? "failed" : "ok",
    };
    await writeJson(document, json);
    return failed ? EXIT.gateFailed : EXIT.done;
  }
  const same = again.same
    ? `the same trace as recorded (${again.hash.slice(0, 16)})`
    : `another trace than recorded, from step ${again.firstDifference!.index} on: ${again.firstDifference!.text}`;
  const end = again.violation === undefined ? "no oracle found anything" : again.violation.message;
  await writeText(`${timelineText(now)}\n\n${end}\n${same}\n`);
  return failed ? EXIT.gateFailed : EXIT.done;
}
