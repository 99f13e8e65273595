/** A turn's work is bounded by the queue size, whatever the guest's ring of 32768 entries says (S3, BI-12, BI-25). */
import { describe, expect, test } from "vitest";
import { VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../src/layout/virtio-ring.js";
import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import { PeerFault } from "../../src/ring/peer-fault.js";
import { HandRings } from "../helpers/hand-rings.js";

const NUM = 32_768;
const BUFFER = 0xf0000;

class Counting extends ForwardingMemory {
  accesses = 0;

  override read16(offset: number): number {
    this.accesses += 1;
    return super.read16(offset);
  }

  override read32(offset: number): number {
    this.accesses += 1;
    return super.read32(offset);
  }
}

/** One turn over the largest ring, its descriptors written by `next`: the loads it took, and how it ended. */
function turn(heads: number, next: (index: number) => { flags: number; next: number }): { loads: number; end: string } {
  let counting: Counting | undefined;
  const bench = new HandRings({
    num: NUM,
    wrapGuest: (memory) => {
      counting = new Counting(memory);
      return counting;
    },
  });
  for (let index = 0; index < NUM; index++) {
    bench.descriptor(index, { address: BUFFER, bytes: 1, ...next(index) });
  }
  bench.offer(...Array.from({ length: heads }, (_, i) => i));
  let end = "goes on";
  try {
    bench.relay.step();
  } catch (error) {
    if (!(error instanceof PeerFault)) throw error;
    end = error.reason;
  }
  return { loads: counting!.accesses, end };
}

const link = (to: number) => ({ flags: VRING_DESC_F_NEXT, next: to });
const alone = { flags: VRING_DESC_F_WRITE, next: 0 };

describe("one turn over a ring of 32768", () => {
  test.each<[string, number, (index: number) => { flags: number; next: number }, string]>([
    ["full of chains of one", NUM, () => alone, "goes on"],
    ["with one chain of all descriptors", 1, (i) => (i === NUM - 1 ? alone : link(i + 1)), "goes on"],
    ["with a descriptor that is its own next", 1, () => link(0), "chain-too-long"],
    ["with a loop over all descriptors", 1, (i) => link((i + 1) % NUM), "chain-too-long"],
    ["with every head in one loop", NUM, (i) => link((i + 1) % NUM), "chain-too-long"],
  ])("%s takes at most five loads an entry", (_, heads, next, due) => {
    const { loads, end } = turn(heads, next);
    expect(end).toBe(due);
    expect(loads).toBeGreaterThanOrEqual(4 * NUM);
    expect(loads).toBeLessThanOrEqual(5 * NUM + 16);
  });

  test("grows with the entries: a tenth of the chains takes a tenth of the loads", () => {
    const [all, some] = [turn(NUM, () => alone).loads, turn(NUM / 8, () => alone).loads];
    expect(Math.abs(all / some - 8)).toBeLessThan(0.1);
  });
});
