import { describe, expect, it } from "vitest";
import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { DRIVER_PHASES, DriverTransport } from "../../src/transport/driver-transport.js";
import {
  QUEUE_REGISTERS as Q,
  queueRegisters,
  DEVICE_REGISTERS as R,
  transportBytes,
} from "../../src/transport/registers.js";
import { patchedCopy } from "../helpers/patched-copy.js";
import {
  ACKNOWLEDGE,
  BASE,
  DRIVER,
  FAILED,
  FEATURES_OK,
  LIVE,
  NEEDS_RESET,
  QUEUES,
  SETUP,
  SUSPEND,
  SUSPENDED,
} from "./transport-bench.js";

const AGREED = ACKNOWLEDGE | DRIVER | FEATURES_OK;
const VERSION_1 = 1n << 32n;

/** A driver transport over registers that a test answers, one word at a time. */
class DriverBench {
  /** Every status the driver wrote. */
  readonly written: number[] = [];
  readonly memory: RealMemory;
  readonly driver: DriverTransport;
  /** How often the device's bell rang. */
  rings = 0;

  constructor(Transport = DriverTransport) {
    const { written } = this;
    class Watched extends ForwardingMemory {
      override publish16(offset: number, value: number): void {
        if (offset === BASE + R.statusWritten) written.push(value);
        super.publish16(offset, value);
      }
    }
    this.memory = new RealMemory(new ArrayBuffer(BASE + transportBytes(QUEUES) + 64));
    this.driver = new Transport(new Watched(this.memory), BASE, { ring: () => void this.rings++ });
  }

  /** A device is there, and offers features. */
  offer(features = VERSION_1): this {
    this.memory.write32(BASE + R.deviceFeatures, Number(BigInt.asIntN(32, features)));
    this.memory.write32(BASE + R.deviceFeatures + 4, Number(BigInt.asIntN(32, features >> 32n)));
    this.memory.write16(BASE + R.deviceVersion, 1);
    return this;
  }

  /** The device shows a status, as the answer to what was written last unless said. */
  show(status: number, answered = this.written.at(-1)!): void {
    this.memory.write16(BASE + R.statusShown, (answered << 8) | status);
  }

  get phase(): string {
    return Object.entries(DRIVER_PHASES).find(([, phase]) => phase === this.driver.state.phase)![0];
  }

  /** Advances until it waits; gives the phase it then waits in. */
  advance(): string {
    for (let steps = 0; this.driver.advance(); steps++) if (steps === 10) throw new Error("advances without an end");
    return this.phase;
  }

  /** Goes to a live device, the answers being as they should be. */
  bringUp(): this {
    this.offer();
    this.advance();
    this.driver.negotiate(VERSION_1);
    this.show(AGREED);
    this.advance();
    this.driver.enableQueue(0, SETUP);
    this.driver.start();
    this.show(LIVE);
    expect(this.advance()).toBe("live");
    return this;
  }
}

describe("DriverTransport.advance()", () => {
  it("takes the eight steps in order, each when the one before is answered (STAT-01, INIT-01)", () => {
    const bench = new DriverBench();
    const { driver } = bench;
    expect([bench.advance(), bench.written]).toEqual(["reset", [0]]);
    bench.offer(VERSION_1 | 7n);
    expect([bench.advance(), bench.written]).toEqual(["features", [0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER]]);
    expect(driver.offered()).toBe(VERSION_1 | 7n);
    driver.negotiate(VERSION_1 | 5n);
    expect([bench.advance(), bench.written.at(-1)]).toEqual(["negotiating", AGREED]);
    bench.show(AGREED);
    expect(bench.advance()).toBe("agreed");
    driver.start();
    expect([bench.advance(), bench.written.at(-1)]).toEqual(["starting", LIVE]);
    bench.show(LIVE);
    expect([bench.advance(), driver.running()]).toEqual(["live", true]);
    expect(bench.written).toEqual([0, 1, 3, AGREED, LIVE]);
  });

  it("waits for a device to be there", () => {
    const bench = new DriverBench();
    bench.advance();
    for (let i = 0; i < 100; i++) expect(bench.driver.advance()).toBe(false);
    expect(bench.written).toEqual([0]);
  });

  it("goes on from a reset when the status reads 0, and not before (RESET-03)", async () => {
    const waits = (Transport: typeof DriverTransport) => {
      const bench = new DriverBench(Transport).bringUp();
      bench.driver.reset();
      const phases = [bench.advance()];
      for (const [status, answered] of [
        [LIVE, LIVE],
        [LIVE, 0],
        [NEEDS_RESET, 0],
        [0, 0],
      ] as const) {
        bench.show(status, answered);
        phases.push(bench.advance());
      }
      return phases;
    };
    expect(waits(DriverTransport)).toEqual(["reset", "reset", "reset", "reset", "features"]);
    const { DriverTransport: Faulty } = await patchedCopy<{ DriverTransport: typeof DriverTransport }>(FILE, [
      FILE,
      "this.status() === 0 &&",
      "",
    ]);
    expect(waits(Faulty)).toEqual(["reset", "reset", "features", "features", "features"]);
  });

  it("waits for an answer to what it wrote, whatever the status shows", () => {
    const bench = new DriverBench().offer();
    bench.advance();
    bench.driver.negotiate(VERSION_1);
    bench.show(AGREED, ACKNOWLEDGE | DRIVER);
    expect(bench.advance()).toBe("negotiating");
    bench.show(AGREED);
    expect(bench.advance()).toBe("agreed");
  });

  it("gives up when the features are refused: FAILED, and nothing more but a reset (INIT-04, INIT-05)", () => {
    const bench = new DriverBench().offer();
    bench.advance();
    bench.driver.negotiate(VERSION_1);
    bench.show(ACKNOWLEDGE | DRIVER);
    expect([bench.advance(), bench.written.at(-1)]).toEqual(["failed", AGREED | FAILED]);
    const { length } = bench.written;
    bench.show(AGREED | FAILED);
    for (let i = 0; i < 100; i++) expect(bench.driver.advance()).toBe(false);
    expect(bench.written).toHaveLength(length);
    bench.driver.reset();
    bench.show(0);
    expect([bench.advance(), bench.written.slice(length)]).toEqual(["features", [0, 1, 3]]);
  });

  it("gives up when the device does not start", () => {
    const bench = new DriverBench().offer();
    bench.advance();
    bench.driver.negotiate(VERSION_1);
    bench.show(AGREED);
    bench.advance();
    bench.driver.start();
    bench.show(AGREED);
    expect([bench.advance(), bench.written.at(-1)]).toEqual(["failed", LIVE | FAILED]);
  });

  it("moves its version and rings with each change, over the wrap of the version", () => {
    const bench = new DriverBench();
    for (let change = 1; change <= 70_000; change++) {
      bench.driver.reset();
      if (bench.memory.read16(BASE + R.driverVersion) !== change % 65_536) expect.fail(`change ${change}`);
    }
    expect(bench.rings).toBe(70_000);
  });
});

const FILE = "transport/driver-transport.ts";

/** Statuses in which a bit is gone that was there before, other than by a reset or the end of a suspension. */
function lostBits(written: readonly number[]): string[] {
  return written.flatMap((status, i) => {
    const lost = (written[i - 1] ?? 0) & ~status & ~SUSPEND;
    return status === 0 || lost === 0 ? [] : [`${status} after ${written[i - 1]}`];
  });
}

describe("the status that a driver writes", () => {
  it("never loses a bit but by a reset (STAT-02)", async () => {
    const life = (Transport: typeof DriverTransport) => {
      const bench = new DriverBench(Transport).bringUp();
      bench.driver.suspend();
      bench.driver.resume();
      bench.driver.fail();
      bench.driver.reset();
      bench.show(0);
      bench.bringUp();
      return lostBits(bench.written);
    };
    expect(life(DriverTransport)).toEqual([]);
    const patch = [FILE, "this.state.written | VIRTIO_CONFIG_S_DRIVER_OK", "VIRTIO_CONFIG_S_DRIVER_OK"] as const;
    const { DriverTransport: Faulty } = await patchedCopy<{ DriverTransport: typeof DriverTransport }>(FILE, patch);
    expect(lostBits([0, 1, 3, 4])).toEqual(["4 after 3"]);
    expect(life(Faulty)).toContain(`4 after ${AGREED}`);
  });
});

describe("DriverTransport.negotiate() and offered()", () => {
  it("carry all 64 bits", () => {
    const all = 0x8000_0001_ffff_fffen;
    const bench = new DriverBench().offer(all);
    expect(bench.driver.offered()).toBe(all);
    bench.driver.negotiate(all);
    const halves = [0, 4].map((at) => bench.memory.read32(BASE + R.driverFeatures + at) >>> 0);
    expect(halves).toEqual([0xffff_fffe, 0x8000_0001]);
  });
});

describe("a suspension", () => {
  it("is there when SUSPEND reads 1 and DRIVER_OK 0, as the answer to it (SUSP-02)", () => {
    const bench = new DriverBench().bringUp();
    bench.driver.suspend();
    const lies = [LIVE, LIVE | SUSPEND, LIVE & ~4, 0].map((status) => {
      bench.show(status);
      return bench.driver.suspended();
    });
    bench.show(SUSPENDED, LIVE);
    expect([...lies, bench.driver.suspended()]).toEqual([false, false, false, false, false]);
    bench.show(SUSPENDED);
    expect([bench.driver.suspended(), bench.driver.running()]).toEqual([true, false]);
  });

  it("is over when SUSPEND reads 0 and DRIVER_OK 1, as the answer to that (SUSP-06)", () => {
    const bench = new DriverBench().bringUp();
    bench.driver.suspend();
    bench.show(SUSPENDED);
    bench.driver.resume();
    expect(bench.written.slice(-2)).toEqual([LIVE | SUSPEND, LIVE]);
    const lies = [SUSPENDED, LIVE | SUSPEND, LIVE & ~4, 0].map((status) => {
      bench.show(status);
      return bench.driver.running();
    });
    bench.show(LIVE, LIVE | SUSPEND);
    expect([...lies, bench.driver.running()]).toEqual([false, false, false, false, false]);
    bench.show(LIVE);
    expect([bench.driver.running(), bench.driver.suspended()]).toEqual([true, false]);
  });
});

describe("the queues of a driver", () => {
  const at = BASE + queueRegisters(1);

  it("are written whole before they are enabled, and the device is told (VQR-05)", () => {
    const bench = new DriverBench();
    const setup = {
      size: 32_768,
      desc: 2 ** 53 - 16,
      avail: 2 ** 40 + 2,
      used: 2 ** 31 + 4,
      lastAvailIdx: 0xffff,
      usedIdx: 0x8000,
      call: 9,
      alwaysCall: true,
    };
    const order: number[] = [];
    class Watched extends ForwardingMemory {
      override publish16(offset: number, value: number): void {
        order.push(offset);
        super.publish16(offset, value);
      }
    }
    new DriverTransport(new Watched(bench.memory), BASE, { ring: () => order.push(-1) }).enableQueue(1, setup);
    expect(order.slice(-3)).toEqual([at + Q.queueEnable, BASE + R.driverVersion, -1]);
    const word = (register: keyof typeof Q) => bench.memory.read16(at + Q[register]);
    expect([word("queueSize"), word("lastAvailIdx"), word("usedIdx"), word("call"), word("alwaysCall")]).toEqual([
      32_768, 0xffff, 0x8000, 9, 1,
    ]);
    const halves = (register: "desc" | "avail" | "used") =>
      [0, 4].map((half) => bench.memory.read32(at + Q[register] + half) >>> 0);
    expect([halves("desc"), halves("avail"), halves("used")]).toEqual([
      [0xffff_fff0, 0x1f_ffff],
      [2, 256],
      [0x8000_0004, 0],
    ]);
    expect(bench.memory.read16(BASE + queueRegisters(0) + Q.queueEnable)).toBe(0);
  });

  it("are reset when the device says so, and disabled from then on (VQR-03)", () => {
    const bench = new DriverBench().bringUp();
    bench.driver.enableQueue(1, SETUP);
    expect(bench.driver.queueIsReset(1)).toBe(true);
    bench.driver.resetQueue(1);
    expect([bench.driver.queueIsReset(1), bench.driver.queueIsReset(0)]).toEqual([false, true]);
    expect(bench.memory.read16(at + Q.queueEnable)).toBe(0);
    bench.memory.write16(at + Q.queueReset, 0);
    expect(bench.driver.queueIsReset(1)).toBe(true);
  });

  it("say where they stand, what broke them, and how large they may be", () => {
    const bench = new DriverBench();
    for (const [register, value] of [
      ["lastAvailIdx", 0xfffe],
      ["usedIdx", 3],
      ["fault", 11],
      ["queueSizeMax", 0x8000],
    ] as const) {
      bench.memory.write16(at + Q[register], value);
    }
    const { driver } = bench;
    expect(driver.queueBase(1)).toEqual({ lastAvailIdx: 0xfffe, usedIdx: 3 });
    expect([driver.queueFault(1), driver.queueSizeMax(1), driver.queueFault(0), driver.queueSizeMax(0)]).toEqual([
      11, 0x8000, 0, 0,
    ]);
  });
});

describe("DriverTransport.needsReset()", () => {
  it("reads one bit of the status", () => {
    const bench = new DriverBench().bringUp();
    bench.show(0xff & ~NEEDS_RESET);
    expect(bench.driver.needsReset()).toBe(false);
    bench.show(NEEDS_RESET, 0);
    expect(bench.driver.needsReset()).toBe(true);
  });
});
