import { AllDirty } from "../../../dirty/all-dirty.js";
import { LogTracker } from "../../../dirty/log-tracker.js";
import type { TrackerRow } from "../row.js";

/** What is there without any device that tracks: vhost's log, and no tracking at all. */
export const BASIC_ROWS: readonly TrackerRow[] = [
  {
    name: "vhost-log",
    expect: "sound",
    does: "Each device marks guest pages in one log after it has written them (VHOST_F_LOG_ALL).",
    wire: ({ guest, end, stores }) => {
      const tracker = new LogTracker("vhost-log", end);
      for (const device of guest.devices) device.markAfterWrite(tracker);
      const covers = guest.devices.map(({ writer }) => writer);
      return {
        entries: [stores, { tracker, covers }],
        config: { cpu: "store-log", devices: covers.map((name) => ({ name, trackers: ["vhost-log"] })) },
      };
    },
  },
  {
    name: "all-dirty",
    expect: "sound",
    does: "Nobody tracks anything: each sync makes all of RAM dirty.",
    wire: ({ guest }) => ({
      entries: [{ tracker: new AllDirty(), covers: guest.writers }],
      config: {
        cpu: "all-dirty",
        devices: guest.devices.map(({ writer }) => ({ name: writer, trackers: ["all-dirty"] })),
      },
    }),
  },
];
