import { PAGE_BYTES } from "../../../memory/address.js";
import { ReportedTracker } from "../../../vfio/reported-tracker.js";
import type { RowGround, RowWiring, TrackerRow } from "../row.js";

/** Report buffers of each device's queue. */
const BUFFERS = 16;
/** Entries that a device keeps free: a turn of four requests of three pages in two buffers, and their used entries. */
const RESERVE = 64;

/** Dirty pages that devices report through a virtqueue (RFC of 2020); vCPUs and relay by a store barrier's log. */
export const VQ_ROWS: readonly TrackerRow[] = [
  row("vq-push", "push", "Each device fills report buffers of the host's and gives them back when they are full."),
  row("vq-pull", "pull", "Each device fills report buffers of the host's and gives them back when it is asked."),
];

function row(name: string, mode: "push" | "pull", does: string): TrackerRow {
  return { name, expect: "sound", does, wire: (ground) => wire(name, mode, ground) };
}

function wire(name: string, mode: "push" | "pull", { guest, end, stores }: RowGround): RowWiring {
  const entries = guest.devices.map((device) => {
    const tracker = new ReportedTracker({
      name: `${name}-${device.writer}`,
      endPage: end / PAGE_BYTES,
      bufferCount: BUFFERS,
      reserve: RESERVE,
      mode,
    });
    device.markAfterWrite(tracker);
    device.addGate(tracker.ready);
    return { tracker, covers: [device.writer] };
  });
  return {
    entries: [stores, ...entries],
    config: { cpu: "store-log", devices: guest.devices.map(({ writer }) => ({ name: writer, trackers: ["vq"] })) },
  };
}
