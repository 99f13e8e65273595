import type { DrainPolicy } from "./access.js";
import type { SimulatedMachine } from "./simulated-machine.js";

/**
 * Lets stores become visible at random, the same ones for the same seed.
 *
 * Before each access it drains one store after another, of any party and in any order the model allows, until it
 * draws otherwise. A chance of one half makes that one store an access in the mean: buffers stay short, not empty.
 */
export function randomDrains(seed: number, chance = 0.5): DrainPolicy {
  const draw = generator(seed);
  return (machine) => {
    while (draw() < chance && drainSome(machine, draw)) {}
  };
}

/** Drains one store of one party; false when nothing is pending anywhere. */
function drainSome(machine: SimulatedMachine, draw: () => number): boolean {
  const parties = machine.parties.filter((party) => machine.pending(party).length > 0);
  const party = parties[Math.floor(draw() * parties.length)];
  if (party === undefined) return false;
  const positions = machine.drainable(party);
  machine.drainOne(party, positions[Math.floor(draw() * positions.length)]!);
  return true;
}

/** Numbers in [0, 1): xorshift32 behind a multiplication, whose low bits alone would be poor. */
function generator(seed: number): () => number {
  let state = Math.imul(seed | 0, 0x9e3779b1) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (Math.imul(state, 0x85ebca6b) >>> 0) / 2 ** 32;
  };
}
