import { describe, expect, it } from "vitest";
import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import { type Answer, DeviceTransport } from "../../src/transport/device-transport.js";
import { QUEUE_REGISTERS as Q, queueRegisters, DEVICE_REGISTERS as R } from "../../src/transport/registers.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";
import {
  ACKNOWLEDGE,
  BASE,
  DeviceBench,
  DRIVER,
  DRIVER_OK,
  FAILED,
  FEATURES_OK,
  LIVE,
  NEEDS_RESET,
  SETUP,
  SUSPEND,
  SUSPENDED,
} from "./transport-bench.js";

type Transport = typeof DeviceTransport;

const FILE = "transport/device-transport.ts";

async function patched(...patches: readonly Patch[]): Promise<Transport> {
  return (await patchedCopy<{ DeviceTransport: Transport }>(FILE, ...patches)).DeviceTransport;
}

const AGREED = ACKNOWLEDGE | DRIVER | FEATURES_OK;

/** The eight steps of VIRTIO 1.3, 3.1.1, as a driver that sets one bit after the other. */
const STEPS = [
  "reset",
  "ACKNOWLEDGE",
  "DRIVER",
  "features",
  "FEATURES_OK",
  "read back",
  "queues",
  "DRIVER_OK",
] as const;
type Step = (typeof STEPS)[number];

/** Takes steps in an order; true when the device is live and has started with a queue. */
function runs(Device: Transport, order: readonly Step[]): boolean {
  const bench = new DeviceBench(Device);
  let status = 0;
  let startedQueue = false;
  let givenUp = false;
  bench.side.onRequest = (request) => {
    if (request === "reset") startedQueue = false;
    if (request === "start") startedQueue = bench.device.queueSetup(0) !== undefined;
  };
  bench.side.negotiate = (features) => (features === 1n << 32n ? "done" : "refused");
  const set = (bit: number) => bench.write((status |= bit));
  const act: Record<Step, () => void> = {
    reset: () => bench.write((status = 0)),
    ACKNOWLEDGE: () => set(ACKNOWLEDGE),
    DRIVER: () => set(DRIVER),
    features: () => bench.writeFeatures(1n << 32n),
    FEATURES_OK: () => set(FEATURES_OK),
    "read back": () => {
      if ((bench.shown & FEATURES_OK) === 0) givenUp = true;
    },
    queues: () => bench.enable(0),
    DRIVER_OK: () => set(DRIVER_OK),
  };
  for (const step of order) {
    if (givenUp) return false;
    act[step]();
    bench.settle();
  }
  return bench.device.live() && startedQueue && !givenUp;
}

/** Pairs of steps that can change places, and the device runs all the same. */
function harmlessSwaps(Device: Transport): string[] {
  return STEPS.flatMap((one, i) =>
    STEPS.slice(i + 1).flatMap((other) => {
      const order = STEPS.map((step) => (step === one ? other : step === other ? one : step));
      return runs(Device, order) ? [`${one} and ${other}`] : [];
    }),
  );
}

describe("the eight steps of initialisation", () => {
  it("lead to a live device in their order", () => {
    expect(runs(DeviceTransport, STEPS)).toBe(true);
  });

  it("lead nowhere with two of them swapped, but for two swaps that leave nothing else behind (INIT-01)", () => {
    expect(harmlessSwaps(DeviceTransport)).toEqual(["DRIVER and features", "read back and queues"]);
  });

  it("lead on with more of them swapped where a bit counts whenever it is there", async () => {
    const anyTime: Patch = [FILE, "state.handling & ~(state.answered | state.shown)", "state.handling & ~state.shown"];
    const begun = "(this.#withSteps(fresh) & BEGUN_BITS) === BEGUN_BITS";
    const late = harmlessSwaps(await patched(anyTime));
    expect(late).toContain("ACKNOWLEDGE and DRIVER");
    const early = harmlessSwaps(await patched(anyTime, [FILE, begun, "true"]));
    expect(early).toContain("reset and ACKNOWLEDGE");
    expect(early.length).toBeGreaterThan(late.length);
  });

  it("lead nowhere without FEATURES_OK, and start nothing (STAT-05)", () => {
    const bench = new DeviceBench();
    for (const status of [0, ACKNOWLEDGE, 3, 3 | DRIVER_OK, 3 | DRIVER_OK | SUSPEND]) bench.step(status);
    expect([bench.device.live(), bench.shown]).toEqual([false, 3]);
  });

  it("count FEATURES_OK and DRIVER_OK that are set at once as FEATURES_OK alone", () => {
    const bench = new DeviceBench();
    expect([...bench.step(0), ...bench.step(LIVE)]).toEqual(["reset", "negotiate 0"]);
    expect([bench.shown, bench.answered, bench.device.live()]).toEqual([AGREED, LIVE, false]);
  });
});

describe("features that are refused", () => {
  function refused(): DeviceBench {
    const bench = new DeviceBench();
    bench.side.answers.negotiate = ["refused"];
    bench.step(0);
    bench.step(3);
    bench.writeFeatures(1n << 40n);
    expect(bench.step(AGREED)).toEqual([`negotiate ${1n << 40n}`]);
    return bench;
  }

  it("leave FEATURES_OK clear, and say so (FEAT-11)", () => {
    const bench = refused();
    expect([bench.shown, bench.answered]).toEqual([3, AGREED]);
  });

  it("cannot be mended without a reset, nor passed over (INIT-05)", () => {
    const bench = refused();
    bench.writeFeatures(1n << 32n);
    expect([...bench.step(AGREED), ...bench.step(LIVE), ...bench.step(AGREED)]).toEqual([]);
    expect(bench.shown).toBe(3);
    expect([...bench.step(0), ...bench.step(3), ...bench.step(AGREED)]).toEqual(["reset", `negotiate ${1n << 32n}`]);
    expect(bench.shown).toBe(AGREED);
  });
});

describe("features that are agreed", () => {
  it("are what was written when FEATURES_OK was set, whatever is written later (INIT-03)", async () => {
    const change = (Device: Transport) => {
      const bench = new DeviceBench(Device).bringUp(0xdead_beef_8000_0001n);
      bench.writeFeatures(0xffff_ffff_ffff_ffffn);
      bench.settle();
      return bench.device.accepted();
    };
    expect(change(DeviceTransport)).toBe(0xdead_beef_8000_0001n);
    const rereads: Patch = [
      FILE,
      "const { featuresLow, featuresHigh } = this.state;",
      "this.#keepFeatures(); const { featuresLow, featuresHigh } = this.state;",
    ];
    expect(change(await patched(rereads))).toBe(0xffff_ffff_ffff_ffffn);
  });

  it("are judged as they were first read, however long that takes", () => {
    const bench = new DeviceBench();
    bench.side.answers.negotiate = ["later", "later"];
    for (const status of [0, 3]) bench.step(status);
    bench.writeFeatures(5n);
    bench.write(AGREED);
    expect(bench.pollOnce()).toEqual(["negotiate 5"]);
    bench.writeFeatures(7n);
    expect([bench.pollOnce(), bench.shown, bench.pollOnce()]).toEqual([["negotiate 5"], 3, ["negotiate 5"]]);
    expect([bench.shown, bench.device.accepted()]).toEqual([AGREED, 5n]);
  });

  it("are none before, and none after a reset", () => {
    const bench = new DeviceBench();
    bench.writeFeatures(9n);
    bench.settle();
    expect(bench.device.accepted()).toBe(0n);
    expect(new DeviceBench().bringUp(9n).device.accepted()).toBe(9n);
    const again = new DeviceBench().bringUp(9n);
    again.step(0);
    expect(again.device.accepted()).toBe(0n);
  });

  it("are agreed again after each of 1 000 resets (FEAT-13)", () => {
    const bench = new DeviceBench();
    for (let i = 0; i < 1000; i++) expect(bench.bringUp(BigInt(i)).device.live()).toBe(true);
  });
});

describe("the status of a device", () => {
  it("loses no bit while its driver writes anything but 0 and SUSPEND (STAT-02)", () => {
    for (let status = 1; status < 256; status++) {
      if ((status & SUSPEND) !== 0) continue;
      const bench = new DeviceBench().bringUp();
      expect(bench.step(status), `${status}`).toEqual([]);
      expect(bench.shown & LIVE).toBe(LIVE);
      expect(bench.step(LIVE)).toEqual([]);
    }
  });

  it("loses bits where what is written is what is shown", async () => {
    const Faulty = await patched([
      FILE,
      "const status = this.state.shown | (fresh & STEP_BITS);",
      "const status = this.state.handling;",
    ]);
    const bench = new DeviceBench(Faulty).bringUp();
    bench.step(ACKNOWLEDGE);
    expect(bench.shown & LIVE).not.toBe(LIVE);
  });

  it("stays as it is after FAILED, until a reset (STAT-03)", () => {
    const bench = new DeviceBench();
    for (const status of [0, 3, AGREED, AGREED | FAILED]) bench.step(status);
    expect(bench.shown).toBe(AGREED | FAILED);
    expect([...bench.step(LIVE | FAILED), ...bench.step(LIVE), ...bench.step(LIVE | SUSPEND)]).toEqual([]);
    expect([bench.shown, bench.device.live()]).toEqual([AGREED | FAILED, false]);
    expect(bench.bringUp().device.live()).toBe(true);
  });

  it("starts after FAILED where nobody looks at it", async () => {
    const blind: Patch = [FILE, "if (((state.handling | state.shown) & VIRTIO_CONFIG_S_FAILED) !== 0)", "if (false)"];
    const bench = new DeviceBench(await patched(blind));
    for (const status of [0, 3, AGREED, AGREED | FAILED, LIVE | FAILED]) bench.step(status);
    expect(bench.device.live()).toBe(true);
  });
});

/** A live device whose reset takes three steps, and a driver that does not wait for it. */
function resetWhileLive(Device: Transport, meanwhile: number): { asked: string[]; shown: number[] } {
  const bench = new DeviceBench(Device).bringUp();
  bench.side.taken();
  bench.side.answers.reset = ["later", "later", "later"];
  bench.write(0);
  const shown: number[] = [];
  for (let step = 0; step < 6; step++) {
    bench.device.poll(bench.side);
    shown.push(bench.shown);
    if (step === 1 && meanwhile !== 0) bench.write(meanwhile);
  }
  return { asked: bench.side.taken(), shown };
}

describe("a reset of a live device", () => {
  it("shows 0 when it is done, and not before (RESET-01)", () => {
    const { asked, shown } = resetWhileLive(DeviceTransport, 0);
    expect(asked).toEqual(["reset", "reset", "reset", "reset"]);
    expect(shown).toEqual([LIVE, LIVE, LIVE, 0, 0, 0]);
  });

  it("is carried to its end, whatever the driver writes meanwhile (RESET-01)", () => {
    for (const meanwhile of [ACKNOWLEDGE, LIVE, LIVE | SUSPEND, 0xff]) {
      const { asked, shown } = resetWhileLive(DeviceTransport, meanwhile);
      expect(asked.slice(0, 4)).toEqual(["reset", "reset", "reset", "reset"]);
      expect(shown.slice(0, 4)).toEqual([LIVE, LIVE, LIVE, 0]);
      expect(asked).not.toContain("start");
    }
  });

  it("is forgotten halfway where only the last word counts", async () => {
    const Faulty = await patched([FILE, "if (!begun || written === 0) state.handling", "state.handling"]);
    const { asked, shown } = resetWhileLive(Faulty, LIVE);
    expect([asked, shown.at(-1)]).toEqual([["reset", "reset"], LIVE]);
  });

  it("goes before a request that waits", () => {
    const bench = new DeviceBench().bringUp();
    bench.side.answers.suspend = ["later", "later", "later"];
    bench.write(LIVE | SUSPEND);
    expect([bench.pollOnce(), bench.pollOnce(), bench.step(0)]).toEqual([["suspend"], ["suspend"], ["reset"]]);
    expect([bench.shown, bench.device.poll(bench.side)]).toEqual([0, false]);
  });

  it("leaves no queue enabled, reset or broken (VQR-02)", () => {
    const bench = new DeviceBench().bringUp();
    bench.enable(1);
    bench.device.breakQueue(0, 3);
    bench.side.answers.resetQueue = ["refused"];
    bench.writeQueue(1, "queueReset", 1);
    bench.settle();
    bench.step(0);
    for (const queue of [0, 1]) {
      expect(bench.device.queueSetup(queue)).toBeUndefined();
      expect([bench.readQueue(queue, "fault"), bench.readQueue(queue, "queueReset")]).toEqual([0, 0]);
    }
    expect(bench.shown).toBe(0);
  });
});

describe("a suspension", () => {
  it("exchanges DRIVER_OK for SUSPEND, and back (SUSP-12, SUSP-13)", () => {
    const bench = new DeviceBench().bringUp();
    expect([bench.step(LIVE | SUSPEND), bench.shown, bench.device.live()]).toEqual([["suspend"], SUSPENDED, false]);
    expect([bench.step(LIVE), bench.shown, bench.device.live()]).toEqual([["resume"], LIVE, true]);
    expect([bench.step(LIVE | SUSPEND), bench.shown]).toEqual([["suspend"], SUSPENDED]);
  });

  it("is asked for again until it is done, and nothing shows before (SUSP-14)", () => {
    const bench = new DeviceBench().bringUp();
    bench.side.answers.suspend = ["later", "later"];
    bench.write(LIVE | SUSPEND);
    const shown = [1, 2, 3, 4].map(() => {
      bench.device.poll(bench.side);
      return bench.shown;
    });
    expect(shown).toEqual([LIVE, LIVE, SUSPENDED, SUSPENDED]);
    expect(bench.side.taken()).toEqual(["suspend", "suspend", "suspend"]);
  });

  it("is carried to its end, and then ended, when the driver takes it back too early", async () => {
    const takenBack = (Device: Transport) => {
      const bench = new DeviceBench(Device).bringUp();
      bench.side.answers.suspend = ["later", "later"];
      bench.write(LIVE | SUSPEND);
      const first = bench.pollOnce();
      bench.write(LIVE);
      for (let i = 0; i < 6; i++) bench.device.poll(bench.side);
      return { asked: [...first, ...bench.side.taken()], shown: bench.shown };
    };
    expect(takenBack(DeviceTransport)).toEqual({ asked: ["suspend", "suspend", "suspend", "resume"], shown: LIVE });
    const Faulty = await patched([FILE, "if (!begun || written === 0) state.handling", "state.handling"]);
    // Shown as running, and nobody has told the device to go on.
    expect(takenBack(Faulty)).toEqual({ asked: ["suspend"], shown: LIVE });
  });

  it("is ignored before the device is live, and is then not made up for (SUSP-01, SUSP-07)", () => {
    const bench = new DeviceBench();
    for (const status of [0, SUSPEND | 1, SUSPEND | 3]) bench.step(status);
    bench.writeFeatures(1n << 32n);
    expect(bench.step(SUSPEND | AGREED)).toEqual([`negotiate ${1n << 32n}`]);
    expect(bench.step(SUSPEND | LIVE)).toEqual(["start"]);
    expect([bench.shown, bench.settle()]).toEqual([LIVE, []]);
  });

  it("changes nothing when the device does not know it", () => {
    const bench = new DeviceBench().bringUp();
    bench.side.answers.suspend = ["refused"];
    expect([bench.step(LIVE | SUSPEND), bench.shown, bench.settle()]).toEqual([["suspend"], LIVE, []]);
  });

  it("ends in NEEDS_RESET when the device cannot go on (SUSP-13)", () => {
    const bench = new DeviceBench().bringUp();
    bench.step(LIVE | SUSPEND);
    bench.side.answers.resume = ["refused"];
    expect([bench.step(LIVE), bench.shown]).toEqual([["resume"], SUSPENDED | NEEDS_RESET]);
  });

  it("lets the driver read where each queue stands", () => {
    const bench = new DeviceBench().bringUp();
    bench.device.storeBase(1, 0xfffe, 0x8001);
    expect([bench.readQueue(1, "lastAvailIdx"), bench.readQueue(1, "usedIdx")]).toEqual([0xfffe, 0x8001]);
    expect(bench.readQueue(0, "lastAvailIdx")).toBe(0);
  });
});

describe("a queue reset", () => {
  it("reads as done when it is done, and not before (VQR-01, VQR-03)", () => {
    const bench = new DeviceBench().bringUp();
    bench.side.answers.resetQueue = ["later", "later"];
    bench.writeQueue(0, "queueReset", 1);
    const pending = [1, 2, 3].map(() => {
      bench.device.poll(bench.side);
      return bench.readQueue(0, "queueReset");
    });
    expect([pending, bench.side.taken()]).toEqual([
      [1, 1, 0],
      ["resetQueue 0", "resetQueue 0", "resetQueue 0"],
    ]);
    expect(bench.shown).toBe(LIVE);
  });

  it("never reads as done when the device refuses it: the queue goes on", async () => {
    const refused = (Device: Transport) => {
      const bench = new DeviceBench(Device).bringUp();
      bench.side.answers.resetQueue = ["refused"];
      bench.writeQueue(1, "queueReset", 1);
      bench.settle();
      return bench.readQueue(1, "queueReset");
    };
    expect(refused(DeviceTransport)).toBe(1);
    expect(refused(await patched([FILE, 'if (answer === "refused") continue;', ""]))).toBe(0);
  });

  it("is not forgotten beside a suspension", async () => {
    const both = (Device: Transport, ...answers: Answer[]) => {
      const bench = new DeviceBench(Device).bringUp();
      bench.side.taken();
      bench.side.answers.suspend = answers;
      bench.writeQueue(0, "queueReset", 1);
      bench.write(LIVE | SUSPEND);
      for (let i = 0; i < 5; i++) bench.device.poll(bench.side);
      return bench.side.taken();
    };
    expect(both(DeviceTransport)).toEqual(["suspend", "resetQueue 0"]);
    expect(both(DeviceTransport, "later")).toEqual(["suspend", "suspend", "resetQueue 0"]);
    const noSecondLook = await patched([FILE, "this.state.pending = OWED.look;\n    } else", "} else"]);
    expect(both(noSecondLook)).toEqual(["suspend"]);
  });

  it("that takes long leaves nothing behind that was written meanwhile", async () => {
    const meanwhile = (Device: Transport) => {
      const bench = new DeviceBench(Device).bringUp();
      bench.side.taken();
      bench.side.answers.resetQueue = ["later", "later"];
      bench.writeQueue(0, "queueReset", 1);
      bench.device.poll(bench.side);
      bench.write(LIVE | SUSPEND);
      for (let i = 0; i < 5; i++) bench.device.poll(bench.side);
      return bench.side.taken();
    };
    expect(meanwhile(DeviceTransport)).toEqual(["resetQueue 0", "resetQueue 0", "resetQueue 0", "suspend"]);
    const noSecondLook = await patched([FILE, "begun ? OWED.look : OWED.nothing", "OWED.nothing"]);
    expect(meanwhile(noSecondLook)).toEqual(["resetQueue 0", "resetQueue 0", "resetQueue 0"]);
  });

  it("lets the queue come back with another size, and other rings (VQR-04)", () => {
    const bench = new DeviceBench().bringUp();
    bench.step(LIVE | SUSPEND);
    bench.writeQueue(0, "queueEnable", 0);
    bench.writeQueue(0, "queueReset", 1);
    expect([bench.settle(), bench.device.queueSetup(0)]).toEqual([["resetQueue 0"], undefined]);
    const other = { ...SETUP, size: 256, desc: 0x7000, avail: 0x8002, used: 0x9004 };
    bench.enable(0, other);
    let atResume: unknown;
    bench.side.onRequest = () => {
      atResume = bench.device.queueSetup(0);
    };
    expect(bench.step(LIVE)).toEqual(["resume"]);
    expect(atResume).toEqual(other);
  });

  it("concerns no other queue", () => {
    const bench = new DeviceBench().bringUp();
    bench.enable(1);
    bench.writeQueue(1, "queueReset", 1);
    expect(bench.settle()).toEqual(["resetQueue 1"]);
    expect(bench.device.queueSetup(0)).toEqual(SETUP);
  });
});

describe("a queue that breaks", () => {
  it("shows its fault and NEEDS_RESET, and tells the driver once (STAT-06, STAT-07)", () => {
    const bench = new DeviceBench().bringUp();
    const before = { rings: bench.rings, version: bench.deviceVersion };
    bench.device.breakQueue(1, 7);
    expect([bench.readQueue(1, "fault"), bench.readQueue(0, "fault")]).toEqual([7, 0]);
    expect([bench.shown, bench.answered]).toEqual([LIVE | NEEDS_RESET, LIVE]);
    expect([bench.rings - before.rings, bench.deviceVersion - before.version]).toEqual([1, 1]);
    expect(bench.device.live()).toBe(true);
  });

  it("keeps showing it, whatever is written, until a reset", () => {
    const bench = new DeviceBench().bringUp();
    bench.device.breakQueue(0, 1);
    for (const status of [LIVE | SUSPEND, LIVE, AGREED, LIVE]) {
      bench.step(status);
      expect(bench.shown & NEEDS_RESET).toBe(NEEDS_RESET);
    }
    bench.step(0);
    expect(bench.shown).toBe(0);
  });

  it("shows it too when it breaks while it starts", () => {
    const bench = new DeviceBench();
    bench.side.onRequest = (request) => {
      if (request === "start") bench.device.breakQueue(0, 5);
    };
    bench.bringUp();
    expect([bench.shown, bench.readQueue(0, "fault")]).toEqual([LIVE | NEEDS_RESET, 5]);
  });
});

describe("DeviceTransport.poll()", () => {
  it("looks at one word when there is nothing new", () => {
    const { memory, side } = new DeviceBench();
    const offsets: number[] = [];
    class Watched extends ForwardingMemory {
      override observe16(offset: number): number {
        offsets.push(offset);
        return super.observe16(offset);
      }
    }
    const device = new DeviceTransport(new Watched(memory), BASE, { ring: () => {} }, 2);
    for (let i = 0; i < 3; i++) expect(device.poll(side)).toBe(false);
    expect(offsets).toEqual([1, 2, 3].map(() => BASE + R.driverVersion));
  });

  it("notices each of 70 000 changes, over the wrap of the driver's version", () => {
    const bench = new DeviceBench().bringUp();
    for (let change = 0; change < 70_000; change++) {
      bench.writeQueue(change % 2, "queueReset", 1);
      bench.device.poll(bench.side);
      if (bench.side.asked.length !== change + 1) expect.fail(`change ${change}`);
    }
  });

  it("never shows version 0, by which a driver knows that nobody is there", () => {
    const bench = new DeviceBench();
    for (let i = 0; i < 66_000; i++) {
      bench.device.breakQueue(0, 1);
      if (bench.deviceVersion === 0) expect.fail(`after ${i} changes`);
    }
    expect(bench.rings).toBeGreaterThan(66_000);
  });
});

describe("DeviceTransport.offer()", () => {
  it("shows all 64 features, the number of queues and the largest size, and tells the driver", () => {
    const bench = new DeviceBench();
    bench.device.offer(0x8000_0001_ffff_fffen, 32_768);
    const halves = [0, 4].map((at) => bench.memory.read32(BASE + R.deviceFeatures + at) >>> 0);
    expect(halves).toEqual([0xffff_fffe, 0x8000_0001]);
    expect([bench.memory.read16(BASE + R.numQueues), bench.rings]).toEqual([2, 2]);
    expect([0, 1].map((queue) => bench.readQueue(queue, "queueSizeMax"))).toEqual([32_768, 32_768]);
  });
});

describe("DeviceTransport.queueSetup()", () => {
  it("is undefined until the queue is enabled, and has all that the driver wrote then", () => {
    const bench = new DeviceBench();
    expect(bench.device.queueSetup(1)).toBeUndefined();
    bench.enable(1, { ...SETUP, size: 32_768 });
    for (const [register, value] of [
      ["lastAvailIdx", 0xffff],
      ["usedIdx", 0x8000],
      ["call", 3],
      ["alwaysCall", 1],
    ] as const) {
      bench.writeQueue(1, register, value);
    }
    const written = { ...SETUP, size: 32_768, lastAvailIdx: 0xffff, usedIdx: 0x8000, call: 3, alwaysCall: true };
    expect(bench.device.queueSetup(1)).toEqual(written);
    expect(bench.device.queueSetup(0)).toBeUndefined();
  });

  it("gives addresses up to 2^53 - 1, and NaN from there on", () => {
    const bench = new DeviceBench();
    bench.enable(0);
    const at = BASE + queueRegisters(0);
    for (const [area, high] of [
      ["desc", 0x1f_ffff],
      ["avail", 0x20_0000],
      ["used", -1],
    ] as const) {
      bench.memory.write32(at + Q[area], -1);
      bench.memory.write32(at + Q[area] + 4, high);
    }
    expect(bench.device.queueSetup(0)).toMatchObject({ desc: 2 ** 53 - 1, avail: Number.NaN, used: Number.NaN });
  });
});
