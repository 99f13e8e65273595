import { DEFAULT_CONFIG, type MachineConfig } from "../../src/machine/config.js";
import { type MachineOutside, WholeMachine } from "../../src/validate/faults/whole-machine.js";

export {
  isLogged,
  type MachineOutside as TestOutside,
  type WholeMachine as TestMachine,
  watchCompletions,
} from "../../src/validate/faults/whole-machine.js";

/** Smaller than the product's default, so that a test takes milliseconds. */
export const SMALL: MachineConfig = {
  ...DEFAULT_CONFIG,
  placement: "inline",
  device: "net",
  ramBytes: 2 ** 20,
  queueSize: 16,
  depth: 8,
  batch: 4,
  requestBytes: 600,
};

/** Builds a machine; `outside` injects faults. */
export function testMachine(change: Partial<MachineConfig>, outside: MachineOutside = {}): WholeMachine {
  return new WholeMachine({ ...SMALL, ...change }, outside);
}
