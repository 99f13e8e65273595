import { describe, expect, it } from "vitest";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { FenceError } from "../../src/memory/simulated/fence-rule.js";
import { SimulatedMemory } from "../../src/memory/simulated/simulated-memory.js";
import { smallMachine } from "./litmus.js";

const X = 0;
const Y = 8;

describe("fence()", () => {
  const portOf = (strictFences: boolean) => smallMachine("tso", { strictFences }).memory.port("a");

  it.each<[string, (memory: SharedMemory) => void]>([
    ["with nothing before it", (m) => m.fence()],
    ["after a plain write", (m) => [m.write16(X, 1), m.fence()]],
    ["twice after one publish", (m) => [m.publish16(X, 1), m.fence(), m.observe16(Y), m.fence()]],
    ["after a publish and a read-modify-write", (m) => [m.publish16(X, 1), m.setBits32(Y, 1), m.fence()]],
    ["before a plain read", (m) => [m.publish16(X, 1), m.fence(), m.read16(Y)]],
    ["before a copy", (m) => [m.publish16(X, 1), m.fence(), m.copyOut(Y, new Uint8Array(1))]],
    ["before a write and a plain read", (m) => [m.publish16(X, 1), m.fence(), m.write16(Y, 1), m.read32(Y)]],
  ])("%s is refused", (_, run) => {
    expect(() => run(portOf(true))).toThrow(FenceError);
    expect(() => run(portOf(false))).not.toThrow();
  });

  it.each<[string, (memory: SharedMemory) => void]>([
    ["between publish and observe", (m) => [m.publish16(X, 1), m.fence(), m.observe16(Y), m.read16(Y)]],
    ["with a write in between", (m) => [m.publish16(X, 1), m.write16(4, 1), m.fence(), m.observe16(Y)]],
    ["before a read-modify-write", (m) => [m.publish16(X, 1), m.fence(), m.takeBits32(Y), m.read16(X)]],
    ["for each of two publishes", (m) => [m.publish16(X, 1), m.fence(), m.publish16(2, 1), m.fence(), m.observe16(Y)]],
  ])("%s is right", (_, run) => {
    expect(() => run(portOf(true))).not.toThrow();
  });

  it("is a matter of one party in all regions", () => {
    const { machine, memory } = smallMachine("tso");
    const other = new SimulatedMemory(machine, 64);
    memory.port("a").publish16(X, 1);
    expect(() => memory.port("b").fence()).toThrow(FenceError);
    other.port("a").fence();
    memory.port("b").read16(Y);
    expect(() => other.port("a").read16(Y)).toThrow(FenceError);
  });
});
