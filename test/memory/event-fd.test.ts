import { describe, expect, it } from "vitest";
import { type Bell, EVENT_FD_BYTES, EventFd, NO_WAITER } from "../../src/memory/bell.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { SimulatedMachine } from "../../src/memory/simulated/simulated-machine.js";
import { SimulatedMemory } from "../../src/memory/simulated/simulated-memory.js";
import type { MemoryModel } from "../../src/memory/simulated/store-buffer.js";
import { everyOutcome, Program } from "./every-run.js";
import { MODELS } from "./litmus.js";

const PARTIES = ["signaller", "control", "first", "second"] as const;
const SECOND = 3;
const PENDING = 0;
const WAITER = 4;

/** The EventFd as it is, or one with a fault. */
type MakeEventFd = (memory: SharedMemory, bells: readonly Bell[]) => Pick<EventFd, "signal" | "attach" | "take">;

const asItIs: MakeEventFd = (memory, bells) => new EventFd(memory, 0, bells);

/** attach() as if nothing could have come before it. */
const attachesSilently: MakeEventFd = (memory, bells) => {
  const eventFd = new EventFd(memory, 0, bells);
  return {
    signal: () => eventFd.signal(),
    take: () => eventFd.take(),
    attach: (waiter) => memory.publish16(WAITER, waiter),
  };
};

/** signal() that asks whom to wake before there is anything to wake for. */
const looksFirst: MakeEventFd = (memory, bells) => {
  const signal = () => {
    const waiter = memory.observe16(WAITER);
    memory.setBits32(PENDING, 1);
    if (waiter !== NO_WAITER) bells[waiter]?.ring();
  };
  return {
    signal,
    take: () => memory.takeBits32(PENDING) !== 0,
    attach: (waiter) => {
      memory.publish16(WAITER, waiter);
      signal();
    },
  };
};

/** attach() that signals, and only then says for whom. */
const signalsFirst: MakeEventFd = (memory, bells) => {
  const eventFd = new EventFd(memory, 0, bells);
  return {
    signal: () => eventFd.signal(),
    take: () => eventFd.take(),
    attach: (waiter) => {
      eventFd.signal();
      memory.publish16(WAITER, waiter);
    },
  };
};

/**
 * One party signals while the other moves the descriptor to a new waiter, in every order; who is woken takes.
 *
 * An outcome says whether a signal is left that nobody is woken for.
 */
function stuckSignals(model: MemoryModel, make: MakeEventFd, oldWaiter: number): string[] {
  return everyOutcome(() => {
    const machine = new SimulatedMachine({ parties: PARTIES, model });
    const memory = new SimulatedMemory(machine, EVENT_FD_BYTES, { fill: 0 });
    memory.poke16(WAITER, oldWaiter);
    const by = (party: string, wrap: <T extends object>(target: T) => T) =>
      make(wrap(memory.port(party)), machine.ringers(party).map(wrap));
    const programs = [
      new Program((wrap) => by("signaller", wrap).signal()),
      new Program((wrap) => by("control", wrap).attach(SECOND)),
      new Program((wrap) => {
        if (wrap(machine.bell("second")).take()) by("second", wrap).take();
      }),
    ];
    return { machine, programs, outcome: () => memory.peek32(PENDING) !== 0 && !machine.bell("second").pending };
  });
}

describe.each(MODELS)("EventFd in simulated memory (%s)", (model) => {
  describe.each([NO_WAITER, 2])("that moves from waiter %i to another while it is signalled", (oldWaiter) => {
    it("never leaves a signal for which nobody is woken", () => {
      expect(stuckSignals(model, asItIs, oldWaiter)).toEqual(["false"]);
    });

    it.each([
      ["attaches without a signal", attachesSilently],
      ["looks for the waiter before it sets the signal", looksFirst],
      ["signals before it says for whom", signalsFirst],
    ])("does when it %s", (_, make) => {
      expect(stuckSignals(model, make, oldWaiter)).toContain("true");
    });
  });

  it("keeps what is signalled while it has no waiter", () => {
    const machine = new SimulatedMachine({ parties: PARTIES, model });
    const memory = new SimulatedMemory(machine, EVENT_FD_BYTES, { fill: 0 });
    const by = (party: string) => new EventFd(memory.port(party), 0, machine.ringers(party));
    by("control").attach(2);
    expect([machine.bell("first").take(), by("first").take(), by("first").take()]).toEqual([true, true, false]);
    by("control").detach();
    machine.drainAll();
    by("signaller").signal();
    expect(machine.bell("first").take()).toBe(false);
    by("control").attach(SECOND);
    expect([machine.bell("second").take(), by("second").take()]).toEqual([true, true]);
  });
});

describe("SimulatedBell", () => {
  it("is pending from a ring until it is taken, and counts", () => {
    const machine = new SimulatedMachine({ parties: PARTIES, model: "tso" });
    const bell = machine.bell("first");
    expect([bell.pending, bell.take(), bell.rings]).toEqual([false, false, 0]);
    for (const ringer of [bell.ringer("control"), machine.ringers("signaller")[2]!]) ringer.ring();
    expect([bell.pending, bell.rings]).toEqual([true, 2]);
    expect([bell.take(), bell.take(), bell.rings]).toEqual([true, false, 2]);
  });
});
