import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { RaceError } from "../../src/memory/simulated/owner-map.js";
import { type MachineOptions, SimulatedMachine } from "../../src/memory/simulated/simulated-machine.js";
import { SimulatedMemory } from "../../src/memory/simulated/simulated-memory.js";
import type { MemoryModel } from "../../src/memory/simulated/store-buffer.js";
import { everyOutcome, Program } from "./every-run.js";

/** All models, from the strongest to the weakest. */
export const MODELS: readonly MemoryModel[] = ["sc", "tso", "pso"];

/** What a litmus program does with its view of the memory; what it returns is its part of the outcome. */
export type LitmusProgram = (memory: SharedMemory) => unknown;

/** A machine of parties "a", "b" and "c" and a zeroed region of 64 bytes. */
export function smallMachine(model: MemoryModel, options: Partial<MachineOptions> = {}) {
  const machine = new SimulatedMachine({ parties: ["a", "b", "c"], model, ...options });
  return { machine, memory: new SimulatedMemory(machine, 64, { fill: 0 }) };
}

/** A litmus test: programs that run concurrently, party "a" first, and what to look at when they have ended. */
export interface Litmus {
  readonly programs: readonly LitmusProgram[];
  readonly options?: Partial<MachineOptions>;
  readonly finally?: (memory: SimulatedMemory) => unknown;
}

/** The different outcomes: JSON of what each program returned and of what `finally` saw. */
export function outcomes(model: MemoryModel, test: Litmus): string[] {
  return everyOutcome(() => {
    const { machine, memory } = smallMachine(model, test.options);
    const results: unknown[] = test.programs.map(() => null);
    const programs = test.programs.map(
      (program, i) =>
        new Program((wrap) => {
          results[i] = program(wrap(memory.port(machine.parties[i]!))) ?? null;
        }),
    );
    return { machine, programs, outcome: () => (test.finally ? [...results, test.finally(memory)] : results) };
  });
}

/** The models in which an outcome can happen. */
export function modelsAllowing(outcome: unknown[], test: Litmus): MemoryModel[] {
  return MODELS.filter((model) => outcomes(model, test).includes(JSON.stringify(outcome)));
}

/** Runs accesses of parties "a", "b" and "c" one after the other; says which race ended them. */
export function raceOf(run: (a: SharedMemory, b: SharedMemory, c: SharedMemory) => void): string | undefined {
  const { memory } = smallMachine("sc", { strictFences: false });
  try {
    run(memory.port("a"), memory.port("b"), memory.port("c"));
    return undefined;
  } catch (error) {
    if (!(error instanceof RaceError)) throw error;
    return error.message;
  }
}
