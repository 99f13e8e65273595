import { LogTracker } from "../../../dirty/log-tracker.js";
import { runMarkForm } from "../check-first.js";
import type { RowGround, TrackerRow } from "../row.js";

/** Rows that have to lose pages, and rows that have to be refused: they tell whether a comparison can fail. */
export const CONTROL_ROWS: readonly TrackerRow[] = [
  {
    name: "or-instead-of-and",
    expect: "unsound",
    does: "One of two DMA devices is not tracked, and the set is content that the other is.",
    guest: { dmaDevices: 2 },
    wire: ({ guest, end, stores }) => {
      const tracker = new LogTracker("vhost-log", end);
      const tracked = guest.devices.slice(0, -1);
      for (const device of tracked) device.markAfterWrite(tracker);
      const covers = tracked.map(({ writer }) => writer);
      return {
        entries: [stores, { tracker, covers }],
        config: { cpu: "store-log", devices: covers.map((name) => ({ name, trackers: ["vhost-log"] })) },
        policy: "or",
      };
    },
  },
  {
    name: "check-first",
    expect: "unsound",
    does: "A mark is tested before it is set, while the page still waits in the store buffer.",
    run: ({ seed }) => {
      const { lost, sha256 } = runMarkForm("check-first", seed);
      return { misses: lost, memory_equal: lost === 0, image_sha256: sha256 };
    },
  },
  {
    name: "device+viommu",
    expect: "blocked",
    does: "A device that logs its DMA by ranges, behind an IOMMU that the guest maps as it goes.",
    wire: (ground) => ({ ...untracked(ground), config: { ...devicesBy(ground, "device"), viommu: true } }),
  },
  {
    name: "ring+kvm-centric-pass",
    expect: "blocked",
    does: "DMA bits are to go into the CPU's tracker, which is a dirty ring.",
    wire: (ground) => ({
      ...untracked(ground),
      config: { ...devicesBy(ground, "iommu"), cpu: "kvm-ring", kvmCentricPass: true },
    }),
  },
];

/** Nothing is wired: these are refused by their configuration alone. */
function untracked({ stores }: RowGround) {
  return { entries: [stores] };
}

function devicesBy({ guest }: RowGround, tracker: "device" | "iommu") {
  return {
    cpu: "store-log" as const,
    devices: guest.devices.map(({ writer }) => ({ name: writer, trackers: [tracker] })),
  };
}
