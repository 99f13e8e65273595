import { VRING_AVAIL } from "../../layout/virtio-ring.js";
import { DEFAULT_CONFIG, type MachineConfig } from "../../machine/config.js";
import { WholeMachine } from "../faults/whole-machine.js";

const CONFIG: MachineConfig = {
  ...DEFAULT_CONFIG,
  placement: "inline",
  device: "net",
  ramBytes: 2 ** 20,
  queueSize: 8,
  depth: 2,
  batch: 1,
};

/** The smallest ring of which the used entries fill a page, so that all around them lies on the next. */
const TWO_PAGES = 512;

/** What no rig and no kind of fault asks: by name, whether the relay of a machine does well. */
export const MACHINE_CHECKS: Readonly<Record<string, () => boolean>> = {
  "machine with a broken queue": survivesFault,
  "machine with a used ring of two pages": servesLargeRing,
};

/** Gives up the queue whose guest lies and goes on with the other; throws nothing. */
function survivesFault(): boolean {
  const machine = new WholeMachine({ ...CONFIG, queues: 2 });
  machine.pass();
  const { buffer } = machine.arena.regions[0]!;
  const idx = new DataView(buffer, machine.layouts[0]!.avail + VRING_AVAIL.offsets.idx);
  idx.setUint16(0, idx.getUint16(0, true) + CONFIG.queueSize + 1, true);
  machine.relay.step();
  const { faults } = machine.relay;
  return faults.length === 1 && faults[0]!.reason === "avail-idx-overrun" && machine.relay.accounting().length === 1;
}

function servesLargeRing(): boolean {
  const machine = new WholeMachine({ ...CONFIG, queueSize: TWO_PAGES });
  machine.pass();
  const received = machine.received();
  return machine.relay.faults.length === 0 && machine.sent.every((byte, i) => byte === received[i]);
}
