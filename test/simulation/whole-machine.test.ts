import { describe, expect, test } from "vitest";
import type { MachineConfig } from "../../src/machine/config.js";
import { type LabOptions, runLab } from "../helpers/simulated-lab.js";

/** A small machine of which every part follows from the seed. */
function smallConfig(seed: number): Partial<MachineConfig> {
  const queueSize = [1, 2, 4][seed % 3]!;
  return {
    queueSize,
    device: queueSize === 1 ? "null" : "net",
    nullRequests: 14,
    segments: 1,
    depth: Math.min(2, queueSize),
    batch: queueSize === 4 && seed % 5 === 0 ? 2 : 1,
    eventIdx: (seed >>> 1) % 2 === 0,
    indirect: (seed >>> 2) % 2 === 0 && queueSize > 1,
    order: (seed >>> 3) % 2 === 0 ? "in-order" : "out-of-order",
    dirtyLog: (seed >>> 4) % 2 === 0,
    shadowQueueSize: queueSize > 1 && seed % 7 === 0 ? 2 : 0,
    iovaPolicy: "gpa",
  };
}

function everySeed(count: number, options: (seed: number) => Omit<LabOptions, "seed">): void {
  let preemptions = 0;
  for (let seed = 1; seed <= count; seed++) {
    const result = runLab({ ...options(seed), seed });
    preemptions += result.preemptions;
    expect(result.verdict, `seed ${seed}`).toBe("fine");
  }
  expect(preemptions).toBeGreaterThan(count);
}

describe("driver, relay and device over weak memory, interrupted at any access, sleeping until a bell rings", () => {
  for (const model of ["sc", "tso", "pso"] as const) {
    test(`svq under ${model}: nothing lost, doubled, torn, unmarked or left asleep (SPLIT-11, SPLIT-12, SPLIT-15, RFB-07)`, () => {
      everySeed(100, (seed) => ({ config: { ...smallConfig(seed), path: "svq" }, model }));
    });
  }

  for (const path of ["passthrough", "notify", "used-only"] as const) {
    test(`${path} under pso`, () => {
      everySeed(60, (seed) => ({
        config: { ...smallConfig(seed), path, iovaPolicy: path === "used-only" ? "fixed" : "gpa" },
        model: "pso",
      }));
    });
  }

  test("with what JavaScript promises of publish", () => {
    everySeed(40, (seed) => ({ config: { ...smallConfig(seed), path: "svq" }, model: "pso", publish: "seq_cst" }));
  });

  test("with two queues", () => {
    everySeed(40, (seed) => ({
      config: { ...smallConfig(seed), path: "svq", queues: 2, ramBytes: 2 ** 17 },
      model: "pso",
    }));
  });

  test("while the path changes at any moment", () => {
    const paths = ["svq", "passthrough", "notify"] as const;
    everySeed(300, (seed) => ({
      config: { ...smallConfig(seed), path: paths[seed % 3]!, dirtyLog: false },
      model: "tso",
      each: ({ relay, draw }) => {
        if (!relay.switching && draw(60) === 0) relay.requestPath(paths[draw(3)]!);
      },
    }));
  });
});
