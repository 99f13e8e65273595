import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Action, Program } from "../rig/program.js";
import { type MakeRelay, runProgram } from "../rig/rig.js";
import { BUFFERS_GPA } from "../rig/world.js";
import type { Broken } from "./judge.js";

/** Requests before the heap is looked at first, and between that look and the second. */
const WARM_UP = 2_000;
const REQUESTS = 10_000;
/** Bytes by which the heap may have grown: some 200 a request. */
const GROWTH_MAX = 2 ** 21;

/** Sends 10^4 requests through one relay and sees what of them stays in its heap; undefined when little does. */
export function leak(make: MakeRelay): Broken | undefined {
  const heap: number[] = [];
  let turns = 0;
  const watched: MakeRelay = (parts) => {
    const relay = make(parts);
    return {
      step() {
        turns += 1;
        if (turns === 2 * WARM_UP || turns === 2 * (WARM_UP + REQUESTS)) heap.push(heapBytes());
        return relay.step();
      },
      arm: () => relay.arm(),
      abandon: () => relay.abandon(),
    };
  };
  const { violation } = runProgram(requests(WARM_UP + REQUESTS), watched);
  const [before, after] = heap;
  if (violation !== undefined || before === undefined || after === undefined) return undefined;
  if (after - before <= GROWTH_MAX) return undefined;
  const each = Math.round((after - before) / REQUESTS);
  const what = `it leaks: its heap grew by ${after - before} bytes over ${REQUESTS} requests, ${each} each`;
  return { id: "O7", invariant: 0, where: "heap", what };
}

/** One request after the other, forwarded in one turn and returned in the next. */
function requests(count: number): Program {
  const elements = [
    { gpa: BUFFERS_GPA, bytes: 16, writable: false },
    { gpa: BUFFERS_GPA + 64, bytes: 64, writable: true },
  ];
  const round: Action[] = [
    { op: "offer", elements, form: "direct" },
    { op: "publish" },
    { op: "relay" },
    { op: "take" },
    { op: "use", nth: 0, bytes: 64 },
    { op: "publish-used" },
    { op: "relay" },
    { op: "reap" },
  ];
  const setup = {
    num: 8,
    shadowNum: 8,
    eventIdx: true,
    indirect: true,
    log: false,
    map: "flat" as const,
    start: 0,
  };
  return { setup, actions: Array.from({ length: count }, () => round).flat() };
}

/** What is in use once all garbage is gone; array buffers included. */
function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}
