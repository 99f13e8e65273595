import { PARTIES, shadowRingPlaces } from "../../machine/arena.js";
import { doorbells } from "../../machine/views.js";
import { RealMemory } from "../../memory/real-memory.js";
import { SWITCH } from "../../relay/relay.js";
import type { RingState } from "../../ring/ring-state.js";
import { DeviceTransport } from "../../transport/device-transport.js";
import type { FaultKind } from "./fault-kind.js";
import type { WholeMachine } from "./whole-machine.js";

/** Roles that are thrown away between two steps and started anew on what is left in shared memory. */
export const RESTART_FAULTS: readonly FaultKind[] = [
  {
    name: "relay-kill",
    does: "The relay dies; a new one resets the device and forwards again from the guest's used index.",
    // The used index names the chains that are due only where they return in order (BI-95).
    needs: { order: "in-order" },
    timeouts: 0,
    positions: ({ steps }) => steps,
    inject(run, position) {
      run.at(position, () => {
        // What the next one maps, and where, is its own affair.
        run.remaps = run.choose(3);
        run.machine.replaceRelay({ ringStates: guestRingStates(run.machine) });
      });
    },
  },
  {
    name: "device-kill",
    does: "The device dies; a new one goes on at the shadow rings' used index and serves the rest again.",
    needs: { order: "in-order" },
    timeouts: 0,
    positions: ({ steps }) => steps,
    inject(run, position) {
      run.at(position, () => {
        storeBases(run.machine);
        run.machine.replaceDevice(true);
      });
    },
  },
  {
    name: "guest-reboot",
    does: "The guest dies; the next one resets the device and finds nothing of what the last one left in flight.",
    needs: {},
    timeouts: 0,
    positions: ({ steps }) => steps,
    inject(run, position) {
      run.at(position, () => {
        run.pass += 1;
        run.machine.replaceDriver();
        run.begin();
      });
    },
  },
  {
    name: "restore",
    does: "The device is suspended, relay and device are replaced, and the new ones go on from the ring states.",
    needs: {},
    timeouts: 0,
    positions: ({ steps }) => steps,
    inject(run, position) {
      const { machine } = run;
      run.at(position, () => {
        machine.relay.requestRemap();
        machine.ring("relay");
        run.when(
          () => machine.relay.state.switching === SWITCH.resetting,
          () => {
            run.remaps = run.choose(3);
            machine.replaceRelay({ ringStates: guestRingStates(machine) });
            machine.replaceDevice(false);
          },
        );
      });
    },
  },
];

/** Where each of the guest's rings stands by its used index: chains are in flight from there on. */
function guestRingStates({ arena, config, layouts }: WholeMachine): RingState[] {
  const registers = new DeviceTransport(new RealMemory(arena.guestRegisters), 0, { ring: () => {} }, config.queues);
  const memory = new RealMemory(arena.regions[0]!.buffer);
  return layouts.map(({ used }, queue) => {
    // Before it is enabled the ring holds what the guest has yet to clear.
    const usedIdx = registers.queueSetup(queue) === undefined ? 0 : memory.observe16(used + 2);
    return { lastAvailIdx: usedIdx, usedIdx };
  });
}

/** Shows the device that comes next where each shadow ring stands by its used index, as a front end does. */
function storeBases({ arena, config }: WholeMachine): void {
  const bell = doorbells(arena.bells)[PARTIES - 1]!;
  const registers = new DeviceTransport(new RealMemory(arena.deviceRegisters), 0, bell, config.queues);
  const memory = new RealMemory(arena.shadowRings);
  for (const [queue, { deviceArea }] of shadowRingPlaces(config).entries()) {
    if (registers.queueSetup(queue) === undefined) continue;
    const usedIdx = memory.observe16(deviceArea.offset + 2);
    registers.storeBase(queue, usedIdx, usedIdx);
  }
}
