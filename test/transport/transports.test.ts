import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RealMemory } from "../../src/memory/real-memory.js";
import { type Answer, DeviceTransport } from "../../src/transport/device-transport.js";
import { DRIVER_PHASES, DriverTransport } from "../../src/transport/driver-transport.js";
import { transportBytes } from "../../src/transport/registers.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";
import { BASE, DRIVER_OK, FAILED, FEATURES_OK, QUEUES, RecordingSide, type Request, SETUP } from "./transport-bench.js";

// Both transports over the same registers: a driver that does what it likes, a device that takes its time.

const FEATURES = (1n << 32n) | 3n;

class Pair {
  readonly side = new RecordingSide();
  readonly device: DeviceTransport;
  readonly driver: DriverTransport;
  /** What the device's own books say, by what its side has answered. */
  state: "none" | "agreed" | "running" | "resting" = "none";
  /** Requests that must not have come when they came. */
  readonly strange: string[] = [];
  /** The request that was answered "later". */
  #begun: Request | undefined;

  constructor(Device = DeviceTransport, Driver = DriverTransport) {
    const memory = new RealMemory(new ArrayBuffer(BASE + transportBytes(QUEUES)));
    this.device = new Device(memory, BASE, { ring: () => {} }, QUEUES);
    this.driver = new Driver(memory, BASE, { ring: () => {} });
    this.device.offer(FEATURES, 256);
    this.side.onRequest = (request) => this.#note(request);
  }

  /** The driver resets the device, and does not write over that before the device has looked. */
  reset(): void {
    this.driver.reset();
    this.device.poll(this.side);
  }

  /** One turn of each. */
  turn(): boolean {
    const advanced = this.driver.advance();
    return this.device.poll(this.side) || advanced;
  }

  /** Lets both go on until neither has anything to do. */
  settle(): void {
    for (let turns = 0; this.turn() || this.device.state.pending !== 0; turns++) {
      if (turns === 200) throw new Error("no end of turns");
    }
  }

  /** Takes the steps that a driver takes by itself, until the device is live. */
  bringUp(): void {
    const { driver } = this;
    for (let turns = 0; driver.state.phase !== DRIVER_PHASES.live; turns++) {
      if (turns === 100) throw new Error(`not live: phase ${driver.state.phase}, status ${driver.status()}`);
      if (driver.state.phase === DRIVER_PHASES.features) driver.negotiate(FEATURES);
      if (driver.state.phase === DRIVER_PHASES.agreed) {
        driver.enableQueue(0, SETUP);
        driver.start();
      }
      this.turn();
    }
  }

  #note(request: Request): void {
    const answer: Answer = this.side.answers[request]?.[0] ?? "done";
    const legal: Record<Request, boolean> = {
      reset: true,
      negotiate: this.state === "none",
      start: this.state === "agreed",
      suspend: this.state === "running",
      resume: this.state === "resting",
      resetQueue: true,
    };
    if (!legal[request]) this.strange.push(`${request} of a device that is ${this.state}`);
    const givenUp = (this.device.state.shown & FAILED) !== 0 && request !== "reset";
    if (givenUp) this.strange.push(`${request} of a device that was given up`);
    // Resets go before what is under way, of the device and of a queue.
    if (request === "resetQueue") return;
    const interrupts = this.#begun !== undefined && request !== this.#begun && request !== "reset";
    if (interrupts) this.strange.push(`${request} while ${this.#begun} is under way`);
    this.#begun = answer === "later" ? request : undefined;
    if (answer !== "done") return;
    const after = {
      reset: "none",
      negotiate: "agreed",
      start: "running",
      suspend: "resting",
      resume: "running",
    } as const;
    this.state = after[request];
  }
}

const ACTS = {
  turn: (pair: Pair) => void pair.turn(),
  poll: (pair: Pair) => void pair.device.poll(pair.side),
  advance: (pair: Pair) => void pair.driver.advance(),
  settle: (pair: Pair) => pair.settle(),
  bringUp: (pair: Pair) => {
    pair.reset();
    pair.bringUp();
  },
  reset: (pair: Pair) => pair.reset(),
  negotiate: (pair: Pair) => pair.driver.negotiate(FEATURES),
  start: (pair: Pair) => pair.driver.start(),
  suspend: (pair: Pair) => pair.driver.suspend(),
  resume: (pair: Pair) => pair.driver.resume(),
  fail: (pair: Pair) => pair.driver.fail(),
  enableQueue: (pair: Pair) => {
    // Step 7 comes after the features are agreed; its caller sees to that.
    if ((pair.driver.status() & FEATURES_OK) !== 0) pair.driver.enableQueue(1, SETUP);
  },
  resetQueue: (pair: Pair) => pair.driver.resetQueue(1),
  breakQueue: (pair: Pair) => pair.device.breakQueue(0, 1),
} as const;
type Act = keyof typeof ACTS;
const NAMES = Object.keys(ACTS) as Act[];

const acts = fc.array(fc.constantFrom(...NAMES), { maxLength: 60, size: "max" });
const patience = fc.record(
  Object.fromEntries(
    (["reset", "negotiate", "start", "suspend", "resume", "resetQueue"] as const).map((request) => [
      request,
      fc.array(fc.constantFrom<Answer>("later", "later", "done"), { maxLength: 12 }),
    ]),
  ) as Record<Request, fc.Arbitrary<Answer[]>>,
);

/** Does all acts; says what was wrong on the way or in the end. */
function wrongWalk(pair: Pair, walk: readonly Act[], answers: Record<Request, Answer[]>): string | undefined {
  for (const request of Object.keys(answers) as Request[]) pair.side.answers[request] = [...answers[request]];
  pair.reset();
  for (const act of walk) {
    ACTS[act](pair);
    if (pair.strange.length > 0) return `${act}: ${pair.strange[0]}`;
    const live = (pair.driver.status() & DRIVER_OK) !== 0;
    if (live !== pair.device.live()) return `${act}: the driver reads another status than the device shows`;
    if (live !== (pair.state === "running"))
      return `${act}: shown ${live ? "live" : "at rest"}, and it is ${pair.state}`;
  }
  pair.reset();
  pair.settle();
  pair.bringUp();
  return pair.device.queueSetup(1) === undefined ? undefined : "a queue of before is still enabled";
}

describe("a driver and a device over the same registers", () => {
  it("reach a live device", () => {
    const pair = new Pair();
    pair.bringUp();
    expect(pair.side.taken()).toEqual(["reset", `negotiate ${FEATURES}`, "start"]);
    expect([pair.device.accepted(), pair.device.queueSetup(0), pair.driver.running()]).toEqual([FEATURES, SETUP, true]);
  });

  it("suspend, take other rings, and go on", () => {
    const pair = new Pair();
    pair.bringUp();
    pair.side.answers.suspend = ["later", "later"];
    pair.driver.suspend();
    pair.settle();
    expect([pair.driver.suspended(), pair.driver.running(), pair.device.live()]).toEqual([true, false, false]);
    pair.device.storeBase(0, 77, 76);
    expect(pair.driver.queueBase(0)).toEqual({ lastAvailIdx: 77, usedIdx: 76 });
    pair.driver.resetQueue(0);
    pair.settle();
    expect(pair.driver.queueIsReset(0)).toBe(true);
    pair.driver.enableQueue(0, { ...SETUP, size: 4, lastAvailIdx: 77, usedIdx: 77 });
    pair.driver.resume();
    pair.settle();
    expect(pair.driver.running()).toBe(true);
    expect(pair.device.queueSetup(0)).toEqual({ ...SETUP, size: 4, lastAvailIdx: 77, usedIdx: 77 });
    expect(pair.side.taken().slice(-5)).toEqual(["suspend", "suspend", "suspend", "resetQueue 0", "resume"]);
  });

  it("start nothing when a step is left out (INIT-01)", () => {
    const orders: Act[][] = [
      ["negotiate", "settle", "start", "settle"],
      ["advance", "start", "settle"],
      ["start", "settle"],
      ["advance", "advance", "start", "settle"],
    ];
    for (const walk of orders) {
      const pair = new Pair();
      for (const act of walk) ACTS[act](pair);
      expect(
        pair.side.asked.filter((request) => request === "start"),
        walk.join(),
      ).toEqual([]);
      expect(pair.device.live()).toBe(false);
      expect(pair.driver.state.phase, walk.join()).not.toBe(DRIVER_PHASES.live);
    }
  });

  it("do not see a reset that is written over before the device looks: a status is a level, not a message", () => {
    const pair = new Pair();
    pair.side.answers.negotiate = ["later"];
    pair.turn();
    pair.driver.advance();
    pair.driver.negotiate(FEATURES);
    pair.device.poll(pair.side);
    // Nothing was answered so far, so a reset seems to be done as soon as it is written.
    pair.driver.reset();
    pair.driver.advance();
    expect(pair.driver.state.phase).toBe(DRIVER_PHASES.features);
    pair.device.poll(pair.side);
    expect(pair.side.taken()).toEqual(["reset", `negotiate ${FEATURES}`, `negotiate ${FEATURES}`]);
  });

  it("show a broken queue to the driver, until it resets the device", () => {
    const pair = new Pair();
    pair.bringUp();
    pair.device.breakQueue(1, 9);
    expect([pair.driver.needsReset(), pair.driver.queueFault(1), pair.driver.queueFault(0)]).toEqual([true, 9, 0]);
    pair.driver.reset();
    pair.bringUp();
    expect([pair.driver.needsReset(), pair.driver.queueFault(1)]).toEqual([false, 0]);
  });

  it("agree on where they are, whatever is done and however long it takes, and can start over", () => {
    fc.assert(
      fc.property(acts, patience, (walk, answers) => {
        expect(wrongWalk(new Pair(), walk, answers)).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });

  it("go on over a wrap of both versions", () => {
    const pair = new Pair();
    pair.bringUp();
    for (let round = 0; round < 12_000; round++) {
      pair.driver.suspend();
      pair.turn();
      pair.driver.resetQueue(0);
      pair.turn();
      pair.driver.enableQueue(0, { ...SETUP, size: 2 ** (round % 15) });
      pair.driver.resume();
      pair.settle();
      pair.driver.resetQueue(1);
      pair.driver.enableQueue(1, SETUP);
      pair.settle();
      if (!pair.driver.running() || pair.device.queueSetup(0)?.size !== 2 ** (round % 15))
        expect.fail(`round ${round}`);
      pair.side.taken();
    }
    expect(pair.strange).toEqual([]);
  });
});

const DEVICE = "transport/device-transport.ts";

describe("these walks notice that", () => {
  const faults: (readonly [what: string, patch: Patch])[] = [
    ["a request is forgotten halfway", [DEVICE, "if (!begun || written === 0) state.handling", "state.handling"]],
    ["a bit counts whenever it is there", [DEVICE, "~(state.answered | state.shown)", "0xff"]],
    ["a device starts without FEATURES_OK", [DEVICE, "return agreed && (fresh", "return (fresh"]],
    [
      "a device suspends before it is live",
      [DEVICE, "& VIRTIO_CONFIG_S_SUSPEND) !== 0 && this.live()", "& VIRTIO_CONFIG_S_SUSPEND) !== 0"],
    ],
    [
      "FAILED is passed over",
      [DEVICE, "if (((state.handling | state.shown) & VIRTIO_CONFIG_S_FAILED) !== 0)", "if (false)"],
    ],
    [
      "a queue stays enabled over a reset",
      [DEVICE, "      this.#memory.publish16(this.#queue(queue) + Q.queueEnable, 0);\n", ""],
    ],
  ];
  for (const [what, patch] of faults) {
    it(what, async () => {
      const { DeviceTransport: Faulty } = await patchedCopy<{ DeviceTransport: typeof DeviceTransport }>(DEVICE, patch);
      const walks = fc.sample(fc.tuple(acts, patience), { numRuns: 300, seed: 11 });
      const problems = new Set<string>();
      for (const [walk, answers] of walks) {
        try {
          const wrong = wrongWalk(new Pair(Faulty), walk, answers);
          if (wrong !== undefined) problems.add(wrong);
        } catch (error) {
          problems.add((error as Error).message);
        }
      }
      expect(problems.size).toBeGreaterThan(0);
    });
  }
});
