/**
 * One of two threads that hand a number to and fro, each through a word on a cache line of its own.
 *
 *     main                ping                                  pong
 *      | <---- ready ----- | <-------------- ready -------------- |
 *      | ------ go ------> | ---------------- go ---------------> |
 *                          | PING = n   ------------------------> |   1000 rounds are a window
 *                          | <------------------------ PONG = n   |
 *      | <---- done ------ | PING = STOP ------------> done        |
 *
 * Both also end at the deadline, whatever the other does.
 */
import { parentPort, workerData } from "node:worker_threads";
import { RealMemory } from "../memory/real-memory.js";
import { osThreadId } from "../telemetry/os-thread.js";

/** What a ping-pong worker is started with. */
export interface PingPongStart {
  readonly role: "ping" | "pong";
  /** PING_PONG_BYTES of zeroed memory, the same for both. */
  readonly buffer: SharedArrayBuffer;
  /** Round trips of a window. */
  readonly roundsPerWindow: number;
}

/** Main → worker: spin now. Moments of process.hrtime, which all threads share. */
export interface PingPongGo {
  /** Windows that begin earlier are played, not counted: the loops are still being compiled. */
  readonly warmUntilNs: number;
  /** The end of it, at the latest. */
  readonly deadlineNs: number;
}

/** Worker → main; `windowsNs` is the mean round trip of each whole window after the warm-up, empty from pong. */
export type PingPongReport =
  | { readonly type: "ready"; readonly tid: number | null }
  | { readonly type: "done"; readonly windowsNs: readonly number[] };

const PING = 0;
const PONG = 128;
/** Never a number of a round: those have 15 bits. */
const STOP = 0xffff;
/** Spins between two looks at the clock, which costs as much as some twenty of them. */
const SPINS_PER_LOOK = 1024;

const start = workerData as PingPongStart;
const memory = new RealMemory(start.buffer);
const port = parentPort!;

port.once("message", (go: PingPongGo) => {
  report({ type: "done", windowsNs: start.role === "ping" ? ping(go) : pong(go) });
});
report({ type: "ready", tid: osThreadId() });

function ping({ warmUntilNs, deadlineNs }: PingPongGo): number[] {
  const windowsNs: number[] = [];
  let round = 0;
  for (let startNs = nowNs(); startNs < deadlineNs; ) {
    const next = playWindow(round, deadlineNs);
    if (next === STOP) break;
    const endNs = nowNs();
    if (startNs >= warmUntilNs) windowsNs.push((endNs - startNs) / start.roundsPerWindow);
    startNs = endNs;
    round = next;
  }
  memory.publish16(PING, STOP);
  return windowsNs;
}

function playWindow(first: number, deadlineNs: number): number {
  let round = first;
  for (let played = 0; played < start.roundsPerWindow; played++) {
    memory.publish16(PING, (round + 1) & 0x7fff);
    round = awaitChange(PONG, round, deadlineNs);
    if (round === STOP) break;
  }
  return round;
}

function pong({ deadlineNs }: PingPongGo): number[] {
  let round = 0;
  while ((round = awaitChange(PING, round, deadlineNs)) !== STOP) memory.publish16(PONG, round);
  return [];
}

/** Spins until the word is no longer `seen` and gives what it is then; STOP after the deadline. */
function awaitChange(offset: number, seen: number, deadlineNs: number): number {
  for (let spins = 1; ; spins++) {
    const value = memory.observe16(offset);
    if (value !== seen) return value;
    if (spins % SPINS_PER_LOOK === 0 && nowNs() >= deadlineNs) return STOP;
  }
}

function nowNs(): number {
  return Number(process.hrtime.bigint());
}

function report(message: PingPongReport): void {
  port.postMessage(message);
}
