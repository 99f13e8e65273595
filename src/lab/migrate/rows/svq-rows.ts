import { LogTracker } from "../../../dirty/log-tracker.js";
import type { MarkPolicy } from "../../../relay/guest-marks.js";
import type { RowGround, RowWiring, TrackerRow } from "../row.js";

/**
 * The shadow virtqueue as a tracker: in the way while the migration runs, it marks what it returns (RFC of 2020).
 *
 * The shadow virtqueue sees one device's queues only; the other DMA devices log their own writes.
 */
export const SVQ_ROWS: readonly TrackerRow[] = [
  row("svq-all-writable", "all-writable", "The relay marks every page of each returned buffer."),
  row("svq-hybrid", "hybrid", "The relay marks what used.len says, and all of what is in flight when it stops."),
  {
    ...row("svq-used-len+sloppy-device", "used-len", "A device writes past used.len, and the relay believes used.len."),
    expect: "unsound",
    guest: { markPolicy: "used-len", sloppy: true },
  },
];

function row(name: string, markPolicy: MarkPolicy, does: string): TrackerRow {
  return { name, expect: "sound", does, guest: { markPolicy }, wire: (ground) => wire(name, ground) };
}

function wire(name: string, { guest, end, storesOf, shadow }: RowGround): RowWiring {
  const [virtio, ...others] = guest.devices;
  const relayed = new LogTracker(name, end, shadow.log);
  const logged = new LogTracker("vhost-log", end);
  for (const device of others) device.markAfterWrite(logged);
  return {
    entries: [
      storesOf("vcpu"),
      { tracker: relayed, covers: [virtio!.writer, "vmm"] },
      { tracker: logged, covers: others.map(({ writer }) => writer) },
    ],
    config: {
      cpu: "store-log",
      shadow: shadow.refusals(),
      devices: [
        { name: virtio!.writer, trackers: ["svq"] },
        ...others.map(({ writer }) => ({ name: writer, trackers: ["vhost-log"] as const })),
      ],
    },
    hooks: shadow.hooks,
  };
}
