import type { Doorbell } from "../memory/bell.js";
import type { Role } from "../memory/role.js";
import { COUNTERS } from "../telemetry/counters.js";
import type { ControlPort } from "./control-port.js";
import type { Command, WaitPolicy } from "./messages.js";

/** How long a thread that found work after a timeout waits for the bell, before it calls the notification lost. */
const GRACE_MS = 100;

/** What one thread runs. */
export interface Loop {
  /** Roles of this thread, stepped in turn. */
  readonly roles: readonly Role[];
  /** Counters of each role. */
  readonly counters: readonly Float64Array[];
  /** What the thread sleeps on. */
  readonly bell: Doorbell;
  readonly wait: WaitPolicy;
  readonly control: ControlPort;
  /** Carries out a command; false ends the loop. */
  readonly obey: (command: Command) => boolean;
  /** Called after each turn that had work or a command, for what has to be noticed between steps. */
  readonly notice: () => void;
}

/** Steps the roles until idle, sleeps on the doorbell, and goes on until a command ends it. */
export function runLoop(loop: Loop): void {
  const { bell, wait } = loop;
  let heard = bell.observe() - 1;
  let idleTurns = 0;
  for (;;) {
    const rung = bell.observe();
    const told = rung !== heard;
    heard = rung;
    if (told && !drain(loop)) return;
    const moved = turn(loop);
    if (moved || told) loop.notice();
    idleTurns = moved ? 0 : idleTurns + 1;
    if (moved || wait.waiting === "polled") continue;
    if (wait.waiting === "adaptive" && idleTurns <= wait.spins) continue;
    if (!arm(loop)) continue;
    idleTurns = 0;
    sleep(loop, rung);
  }
}

function drain(loop: Loop): boolean {
  for (let command = loop.control.receive(); command !== undefined; command = loop.control.receive()) {
    if (!loop.obey(command.kind === "rest" ? nextCommand(loop) : command)) return false;
  }
  return true;
}

/** Sleeps until there is another command; a thread at rest heeds nothing else. */
function nextCommand({ control, bell, wait }: Loop): Command {
  for (;;) {
    const rung = bell.observe();
    const command = control.receive();
    if (command !== undefined && command.kind !== "rest") return command;
    if (command === undefined) bell.sleep(rung, wait.timeoutMs);
  }
}

function turn({ roles, counters }: Loop): boolean {
  let moved = false;
  for (let i = 0; i < roles.length; i++) {
    if (!roles[i]!.step()) continue;
    moved = true;
    counters[i]![COUNTERS.progress]! += 1;
  }
  return moved;
}

function arm({ roles }: Loop): boolean {
  let safe = true;
  for (const role of roles) safe = role.arm() && safe;
  return safe;
}

/** A timeout hides nothing: one that finds work means that somebody forgot to ring. */
function sleep(loop: Loop, rung: number): void {
  const { bell, wait, control, counters, roles } = loop;
  counters[0]![COUNTERS.sleeps]! += 1;
  if (bell.sleep(rung, wait.timeoutMs)) return;
  counters[0]![COUNTERS.timeouts]! += 1;
  if (arm(loop) || bell.sleep(rung, GRACE_MS)) return;
  counters[0]![COUNTERS.lostNotifications]! += 1;
  control.send({ kind: "lost-notification", role: roles.map(({ name }) => name).join("+") });
}
