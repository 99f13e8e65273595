import { EXIT } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { programToJson } from "../validate/rig/program-json.js";
import type { MakeRelay } from "../validate/rig/rig.js";
import { recordRun, traceHash } from "../validate/trace/record.js";
import { replay } from "../validate/trace/replay.js";
import { timelineJson, timelineText } from "../validate/trace/timeline.js";
import { readTraceFile } from "../validate/trace/trace-file.js";

/** Repeats the run in a trace and tells its story; the exit code says whether it still fails. */
export async function replayFile(path: string, json: string | undefined, make: MakeRelay): Promise<number> {
  const recorded = readTraceFile(path);
  const again = replay(recorded, make);
  const now = recordRun(recorded.program, make);
  const failed = again.violation !== undefined;
  if (json !== undefined) {
    const document = {
      schema: "shadowvq.replay/1",
      trace: path,
      ...again,
      program: programToJson(recorded.program),
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
