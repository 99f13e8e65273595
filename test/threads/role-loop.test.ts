/** How a thread sleeps: never through work, never over a fault. Roles, bell and commands are the test's own. */
import { describe, expect, test } from "vitest";
import { BELL_BYTES, Doorbell } from "../../src/memory/bell.js";
import { COUNTER_BLOCK_BYTES, COUNTERS, counterBlock } from "../../src/telemetry/counters.js";
import type { ControlPort } from "../../src/workers/control-port.js";
import type { Command, Report, WaitPolicy } from "../../src/workers/messages.js";
import { runLoop } from "../../src/workers/role-loop.js";

/** What happened in a loop, in order: s = step, a = arm, o = obey. */
class Thread {
  readonly log: string[] = [];
  readonly sent: Report[] = [];
  readonly bell = new Doorbell(new SharedArrayBuffer(BELL_BYTES), 0);
  readonly commands: (Command | undefined)[] = [];
  readonly counters = counterBlock(new SharedArrayBuffer(COUNTER_BLOCK_BYTES), 0);
  step = () => false;
  arm = () => true;
  notice = () => {};

  /** Posts a command as main does. */
  tell(...commands: (Command | undefined)[]): void {
    this.commands.push(...commands);
    this.bell.ring();
  }

  /** Runs until a "stop" comes; throws when the log grows out of bounds. */
  run(waiting: WaitPolicy["waiting"], spins = 0, timeoutMs = 5): void {
    const control = { receive: () => this.commands.shift(), send: (report: Report) => void this.sent.push(report) };
    runLoop({
      roles: [
        {
          name: "one",
          step: () => this.#did("s", this.step()),
          arm: () => this.#did("a", this.arm()),
        },
      ],
      counters: [this.counters],
      bell: this.bell,
      wait: { waiting, spins, timeoutMs },
      control: control as unknown as ControlPort,
      obey: (command) => this.#did("o", command.kind !== "stop"),
      notice: () => this.notice(),
    });
  }

  /** How often each thing happened. */
  count(what: "s" | "a" | "o"): number {
    return this.log.filter((entry) => entry === what).length;
  }

  /** One counter. */
  counter(name: keyof typeof COUNTERS): number {
    return this.counters[COUNTERS[name]]!;
  }

  #did(what: string, outcome: boolean): boolean {
    if (this.log.push(what) > 100_000) throw new Error("the loop does not end");
    return outcome;
  }
}

const STOP: Command = { kind: "stop" };

/** A function that returns these in turn, and does something at the end. */
function inTurn(values: readonly boolean[], last: () => boolean): () => boolean {
  let i = 0;
  return () => (i < values.length ? values[i++]! : last());
}

describe("runLoop()", () => {
  test("a timeout that finds nothing is not a lost notification", () => {
    const thread = new Thread();
    // Each sleep is armed once before and once after its timeout.
    thread.arm = inTurn([true, true, true, true, true], () => {
      thread.tell(STOP);
      return true;
    });
    thread.run("notified");
    expect(thread.counter("timeouts")).toBe(3);
    expect(thread.counter("sleeps")).toBeGreaterThanOrEqual(3);
    expect(thread.counter("lostNotifications")).toBe(0);
    expect(thread.sent).toEqual([]);
  });

  test("one that finds work nobody rings for is, and the work is done", () => {
    const thread = new Thread();
    thread.arm = inTurn([true, false], () => true);
    let left = 1;
    thread.step = () => {
      if (thread.counter("timeouts") === 0 || left === 0) return false;
      left -= 1;
      thread.tell(STOP);
      return true;
    };
    thread.run("notified");
    expect(thread.counter("lostNotifications")).toBe(1);
    expect(thread.sent).toEqual([{ kind: "lost-notification", role: "one" }]);
    expect(left).toBe(0);
  });

  test("one that finds work whose bell rings within 100 ms is not", () => {
    const thread = new Thread();
    thread.arm = inTurn([true], () => {
      // The bell is on its way when the timeout strikes.
      thread.tell(STOP);
      return false;
    });
    thread.run("notified");
    expect(thread.counter("timeouts")).toBe(1);
    expect(thread.counter("lostNotifications")).toBe(0);
  });

  test("arms, then looks again: does not sleep on work that came meanwhile", () => {
    const thread = new Thread();
    thread.arm = inTurn([false], () => {
      thread.tell(STOP);
      return true;
    });
    thread.run("notified", 0, 60_000);
    expect(thread.log.slice(0, 4)).toEqual(["s", "a", "s", "a"]);
    expect(thread.counter("timeouts")).toBe(0);
  });

  test("a ring between looking and sleeping keeps it awake", () => {
    const thread = new Thread();
    thread.step = inTurn([false], () => {
      thread.tell(STOP);
      return false;
    });
    thread.arm = inTurn([], () => {
      thread.bell.ring();
      return true;
    });
    thread.run("notified", 0, 60_000);
    expect(thread.counter("sleeps")).toBeGreaterThan(0);
    expect(thread.counter("timeouts")).toBe(0);
  });

  test("polled: neither arms nor sleeps", () => {
    const thread = new Thread();
    thread.step = inTurn(Array(500).fill(false), () => {
      thread.tell(STOP);
      return false;
    });
    thread.run("polled");
    expect([thread.count("a"), thread.counter("sleeps")]).toEqual([0, 0]);
  });

  test("adaptive: looks as often as it may before it arms, and counts anew after work", () => {
    const thread = new Thread();
    thread.step = inTurn([false, false, true], () => false);
    thread.arm = () => {
      thread.tell(STOP);
      return true;
    };
    thread.run("adaptive", 10);
    expect(thread.log.indexOf("a")).toBe(3 + 11);
  });

  test("looks for commands only when its bell rang, and takes all of them", () => {
    const thread = new Thread();
    thread.commands.push({ kind: "sync", token: 1 }, { kind: "sync", token: 2 });
    let steps = 0;
    thread.step = () => {
      steps += 1;
      if (steps === 1) expect(thread.count("o")).toBe(2);
      // Posted without a ring: not seen until somebody rings.
      if (steps === 1) thread.commands.push(STOP);
      if (steps === 50) thread.bell.ring();
      return true;
    };
    thread.run("polled");
    expect([steps, thread.count("o")]).toEqual([50, 3]);
  });

  test("notices after each turn with work or a command, and only then", () => {
    const thread = new Thread();
    let noticed = 0;
    thread.notice = () => {
      noticed += 1;
    };
    thread.step = inTurn([false, true, false, false], () => {
      thread.tell(STOP);
      return false;
    });
    thread.run("polled");
    // The first turn counts as rung: a command may have come before the thread was there.
    expect(noticed).toBe(2);
    expect(thread.counter("progress")).toBe(1);
  });

  test("rest: sleeps until the next command although it polls, whatever else rings", () => {
    const thread = new Thread();
    const rest: Command = { kind: "rest" };
    // undefined: the bell rings, and it was no command.
    thread.tell(rest, undefined, rest, undefined, { kind: "sync", token: 1 }, STOP);
    thread.run("polled", 0, 1);
    expect(thread.log).toEqual(["o", "o"]);
  });
});
