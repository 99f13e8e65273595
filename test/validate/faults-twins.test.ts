/** Relays, devices and recoveries that are wrong in one place: each has to be told from the shipping ones. */
import { describe, expect, test } from "vitest";
import * as shipping from "../../src/machine/assemble.js";
import { DoubledUsed } from "../../src/machine/faults.js";
import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { FAULT_KINDS } from "../../src/validate/faults/kinds.js";
import { type FaultOptions, type KindReport, runFaults } from "../../src/validate/faults/run-faults.js";
import type { RoleMakers } from "../../src/validate/faults/whole-machine.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

type Wrong = Pick<FaultOptions, "make" | "config">;

/** A report on one kind with something wrong in the machine. */
function reported(name: string, wrong: Wrong, injections = 150): KindReport {
  const kind = FAULT_KINDS.find((each) => each.name === name)!;
  return runFaults({ seed: 1, injections, kinds: [kind], ...wrong }).kinds[0]!;
}

/** Passages that every file on the way from assemble.ts to a role has, so that its copy is used. */
const LINKS: readonly (readonly [file: string, passage: string])[] = [
  ["relay/relay.ts", "export class Relay "],
  ["relay/relay-queues.ts", "export class RelayQueues "],
  ["device/device.ts", "export class Device "],
  ["device/completions.ts", "export class Completions "],
  ["transport/device-transport.ts", "export class DeviceTransport "],
  ["iova/iotlb-ring.ts", "export class IotlbRing "],
];

async function patched(...patches: readonly Patch[]): Promise<Wrong> {
  const links = LINKS.map(([file, passage]): Patch => [file, passage, passage]);
  return { make: await patchedCopy<RoleMakers>("machine/assemble.ts", ...links, ...patches) };
}

/** A shipping relay with something between it and its memory. */
function wrapping(outside: shipping.RelayOutside): Wrong {
  return { make: { makeRelay: (config, views, inner) => shipping.makeRelay(config, views, { ...inner, ...outside }) } };
}

test("copies in which nothing is wrong are survived like the originals", async () => {
  const copies = await patched();
  for (const kind of ["remap", "restore", "clock-jump"]) {
    expect(reported(kind, copies)).toEqual(reported(kind, {}));
  }
});

describe("a request that is lost", () => {
  test("is reported: a relay that goes on behind one that the device never fetched", async () => {
    const stop = "this.#bases[queue] = path.stop(checkedRingState(deviceSide.queueBase(queue), size));";
    const further = `${stop}
        const { lastAvailIdx, usedIdx } = this.#bases[queue]!;
        this.#bases[queue] = { lastAvailIdx: (lastAvailIdx + 1) & 0xffff, usedIdx };`;
    expect(reported("remap", await patched(["relay/relay-queues.ts", stop, further])).lost).toBeGreaterThan(0);
  });

  test("is reported: a relay's death behind a device out of order, made good by counting (BI-95, invariant 31)", () => {
    const kind = FAULT_KINDS.find(({ name }) => name === "relay-kill")!;
    const overtaken: typeof kind = {
      ...kind,
      needs: { order: "out-of-order", delaySteps: 1, depth: 4, queues: 1 },
      inject(run, position) {
        run.onRequest = (number) => {
          run.behaviour.delaySteps = number % 3 === 0 ? 40 : 1;
        };
        kind.inject(run, position);
      },
    };
    const report = runFaults({ seed: 1, injections: 300, kinds: [overtaken] });
    expect([report.lost > 0, report.duplicated > 0]).toEqual([true, true]);
  });
});

describe("a translation that is stale", () => {
  test("is reported: a reset after which the device knows where its last driver had mapped things", async () => {
    const wrong = await patched(["device/device.ts", "this.#parts.iotlb.clear();", ""]);
    for (const kind of ["relay-kill", "restore"]) {
      const { lost, missed_dirty_pages, failures } = reported(kind, wrong, 300);
      // Only a relay that dies leaves a device behind that remembers anything.
      if (kind === "relay-kill") expect([failures.length > 0, lost + missed_dirty_pages > 0]).toEqual([true, true]);
      else expect(failures).toEqual([]);
    }
  });
});

test("a remap without an invalidation is reported", async () => {
  const invalidate = 'assert(iotlb.invalidateAll(), "the IOTLB channel is empty while the device rests");';
  const { failures } = reported("remap", await patched(["relay/relay.ts", invalidate, ""]));
  expect(failures.length).toBeGreaterThan(0);
});

describe("a request that is doubled", () => {
  test("is reported: a relay that returns one entry twice", () => {
    const make: Wrong["make"] = {
      makeRelay: (config, views, outside) => {
        const { used, avail } = shipping.guestLayout(config)[0]!;
        const wrapGuest = (memory: SharedMemory, region: number) =>
          region === 0 ? new DoubledUsed(memory, used, avail, config.queueSize, 1) : memory;
        return shipping.makeRelay(config, views, { ...outside, wrapGuest });
      },
    };
    expect(reported("spurious-kick", { make }).duplicated).toBeGreaterThan(0);
  });

  test("is reported: a relay that goes back behind one that was returned", async () => {
    const stop = "this.#bases[queue] = path.stop(checkedRingState(deviceSide.queueBase(queue), size));";
    const back = `${stop}
        const { lastAvailIdx, usedIdx } = this.#bases[queue]!;
        this.#bases[queue] = { lastAvailIdx: (lastAvailIdx - (usedIdx === 0 ? 0 : 1)) & 0xffff, usedIdx };`;
    expect(reported("remap", await patched(["relay/relay-queues.ts", stop, back])).duplicated).toBeGreaterThan(0);
  });
});

describe("a page that is missed", () => {
  test("is reported: marks of pages that were marked once before", () => {
    class Once extends ForwardingMemory {
      readonly #marked = new Map<number, number>();

      override setBits32(offset: number, bits: number): void {
        const before = this.#marked.get(offset) ?? 0;
        this.#marked.set(offset, before | bits);
        if ((bits & ~before) !== 0) super.setBits32(offset, bits & ~before);
      }
    }
    const make: Wrong["make"] = {
      makeRelay: (config, views, outside) =>
        shipping.makeRelay(config, views, { ...outside, wrapLog: () => new Once(outside!.wrapLog!(views.log)) }),
    };
    expect(reported("log-take", { make })).toMatchObject({ lost: 0, duplicated: 0, hung: 0 });
    expect(reported("log-take", { make }).missed_dirty_pages).toBeGreaterThan(0);
  });

  test("is reported: a log that takes no more than twelve marks", () => {
    class Tired extends ForwardingMemory {
      #left = 12;

      override setBits32(offset: number, bits: number): void {
        if (this.#left-- > 0) super.setBits32(offset, bits);
      }
    }
    const make: Wrong["make"] = {
      makeRelay: (config, views, outside) =>
        shipping.makeRelay(config, views, { ...outside, wrapLog: () => new Tired(outside!.wrapLog!(views.log)) }),
    };
    expect(reported("log-swap", { make }).missed_dirty_pages).toBeGreaterThan(0);
  });

  test("is reported: a reset that forgets what the device wrote to chains in flight", async () => {
    const abandon = "for (const path of [...this.#paths, ...this.#dying]) path?.abandon();";
    const report = reported("guest-reboot", await patched(["relay/relay-queues.ts", abandon, ""]), 400);
    expect(report).toMatchObject({ lost: 0, duplicated: 0, hung: 0 });
    expect(report.missed_dirty_pages).toBeGreaterThan(0);
  });
});

describe("a run that never ends", () => {
  test("is reported: a relay that sleeps without having asked to be told", () => {
    const make: Wrong["make"] = {
      makeRelay: (...args) => Object.assign(shipping.makeRelay(...args), { arm: () => true }),
    };
    const report = reported("late-notification", { make });
    expect(report.hung).toBeGreaterThan(0);
    expect(report.lost).toBe(0);
  });

  test("is reported as lost besides where waking everybody does not help", () => {
    const report = reported("late-notification", {
      make: {
        makeDevice: (...args) => Object.assign(shipping.makeDevice(...args), { step: () => false, arm: () => true }),
      },
    });
    expect([report.hung > 0, report.lost > 0]).toEqual([true, true]);
  });

  test("is reported: a device whose completions are due by a clock that only runs ahead", async () => {
    const due = "((this.state.step - this.#rows[row * COLUMNS + DUE]!) | 0) >= 0";
    const exact = "this.state.step === this.#rows[row * COLUMNS + DUE]!";
    expect(reported("clock-jump", await patched(["device/completions.ts", due, exact])).hung).toBeGreaterThan(0);
  });

  test("is reported: an end of an IOTLB channel that begins at 0 where another left off", async () => {
    const sent = "this.state.sent = memory.observe16(base + SENT);";
    expect(reported("device-kill", await patched(["iova/iotlb-ring.ts", sent, ""])).hung).toBeGreaterThan(0);
  });

  test("is reported: a new device that leaves the status of the one before it on show", async () => {
    const show = "if (this.state.takingOver === 0) this.#memory.publish16(this.#base + R.statusShown, 0);";
    expect(reported("restore", await patched(["transport/device-transport.ts", show, ""])).hung).toBeGreaterThan(0);
  });

  test("is reported: a device that takes over and takes DRIVER_OK for answered", async () => {
    const hold = "if (state.takingOver === 1) state.handling &= ~VIRTIO_CONFIG_S_DRIVER_OK;";
    const wrong = await patched(["transport/device-transport.ts", hold, ""]);
    for (const kind of ["relay-kill", "device-kill"]) expect(reported(kind, wrong).hung, kind).toBeGreaterThan(0);
  });
});

test("a machine that fails without any fault is reported at position −1", () => {
  const report = reported("spurious-call", wrapping({ wrapCall: (inner) => ({ ...inner, signal: () => {} }) }), 1);
  expect(report.failures[0]).toMatchObject({ position: -1, seed: 1 });
});
