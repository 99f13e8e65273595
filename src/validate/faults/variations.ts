import { DEFAULT_CONFIG, type MachineConfig } from "../../machine/config.js";

/** A source of choices: an integer from 0 to below its argument. */
export type Choose = (below: number) => number;

/** Makes a source of choices that is the same for the same seed. */
export function choices(seed: number): Choose {
  let state = Math.imul(seed, 0x9e37_79b1) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 8) % below;
  };
}

/** A small machine for a seed: each of its sides is another one for the next, but for what `needs` settles. */
export function variation(seed: number, needs: Partial<MachineConfig>): MachineConfig {
  const choose = choices(seed);
  const pick = <T>(...of: readonly T[]): T => of[choose(of.length)]!;
  // The first choices of neighbouring seeds have much in common.
  for (let i = 0; i < 4; i++) choose(2);
  const queueSize = pick(8, 16);
  const depth = pick(2, 4);
  return {
    ...DEFAULT_CONFIG,
    placement: "inline",
    device: "net",
    ramBytes: 2 ** 18,
    queueSize,
    depth,
    shadowQueueSize: pick(0, 0, 8),
    batch: 1 + choose(depth),
    eventIdx: pick(true, false),
    indirect: pick(true, false),
    order: pick("in-order", "out-of-order"),
    delaySteps: pick(0, 0, 1, 5),
    deviceBatch: pick(1, 2, 4),
    queues: pick(1, 1, 2),
    mappings: pick(1, 3, 40),
    requestBytes: pick(600, 4096, 5000),
    segments: pick(1, 2),
    // In turn, or by chance.
    seed: pick(0, seed, seed),
    ...needs,
  };
}
