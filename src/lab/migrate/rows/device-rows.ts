import { BitmapBackend } from "../../../vfio/bitmap-backend.js";
import { DeviceTracker } from "../../../vfio/device-tracker.js";
import { DmaLogger } from "../../../vfio/dma-logger.js";
import type { LogBackend } from "../../../vfio/log-backend.js";
import { LoggingDevice } from "../../../vfio/logging-device.js";
import { QueueBackend } from "../../../vfio/queue-backend.js";
import { SeqAckBackend } from "../../../vfio/seqack-backend.js";
import type { RowGround, RowWiring, TrackerRow } from "../row.js";

/** Devices that log their own DMA, each by itself, in the three ways that devices have (VFIO_DEVICE_FEATURE 6 to 8). */
export const DEVICE_ROWS: readonly TrackerRow[] = [
  row(
    "device-bitmap",
    () => new BitmapBackend(),
    "Each device keeps one bitmap; a report exchanges its words for zero.",
  ),
  row(
    "device-seqack",
    () => new SeqAckBackend(),
    "Each device has two bitmaps, written by one side each: dirty is where they differ.",
  ),
  row(
    "device-queue",
    () => new QueueBackend(),
    "Each device streams addresses into buffers of the host when it is asked.",
  ),
];

function row(name: string, backend: () => LogBackend, does: string): TrackerRow {
  return { name, expect: "sound", does, wire: (ground) => wire(name, backend, ground) };
}

function wire(name: string, backend: () => LogBackend, { guest, stores }: RowGround): RowWiring {
  const entries = guest.devices.map((port) => {
    const device = new LoggingDevice({ logger: new DmaLogger(backend()) });
    const tracker = new DeviceTracker(`${name}:${port.writer}`, device);
    port.markAfterWrite(tracker);
    return { tracker, covers: [port.writer] };
  });
  return {
    entries: [stores, ...entries],
    config: { cpu: "store-log", devices: guest.devices.map(({ writer }) => ({ name: writer, trackers: ["device"] })) },
  };
}
