import type { AfterWriteHook } from "../dirty/discipline.js";
import type { AddressRange, ReportOptions, Tracker } from "../dirty/tracker.js";
import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import {
  FEATURE_HEADER_BYTES,
  LOGGING_CONTROL_BYTES,
  LOGGING_RANGE_BYTES,
  LOGGING_REPORT_BYTES,
  readControl,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
  writeControl,
  writeRange,
  writeReport,
} from "./feature-layout.js";
import type { LoggingDevice } from "./logging-device.js";
import { UserMemory } from "./user-memory.js";

/** Whether a device can log its DMA: features 6, 7 and 8 are probed, and all of them have to be there. */
export function canLogDma(device: LoggingDevice): boolean {
  const probes = [
    VFIO_DEVICE_FEATURE_DMA_LOGGING_START | VFIO_DEVICE_FEATURE_SET,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP | VFIO_DEVICE_FEATURE_SET,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT | VFIO_DEVICE_FEATURE_GET,
  ];
  return probes.every((flags) => callFeature(device, new UserMemory(), flags | VFIO_DEVICE_FEATURE_PROBE) === 0);
}

/** A device that logs its DMA, as a tracker: the VMM's half, which speaks to it through ioctls only. */
export class DeviceTracker implements Tracker, AfterWriteHook {
  readonly name: string;
  readonly space = "iova";
  readonly discipline = "mark-after-write";
  readonly device: LoggingDevice;

  constructor(name: string, device: LoggingDevice) {
    this.name = name;
    this.device = device;
  }

  get counters() {
    return this.device.logger!.backend.counters;
  }

  start(ranges: readonly AddressRange[], pageHint: number): ErrnoResult {
    const user = new UserMemory();
    const list = new Uint8Array(ranges.length * LOGGING_RANGE_BYTES);
    for (const [i, { address, bytes }] of ranges.entries()) {
      const range = { iova: BigInt(address), length: BigInt(bytes) };
      writeRange(list.subarray(i * LOGGING_RANGE_BYTES), range);
    }
    const data = new Uint8Array(LOGGING_CONTROL_BYTES);
    writeControl(data, { pageSize: BigInt(pageHint), rangeCount: ranges.length, ranges: user.place(list) });
    const flags = VFIO_DEVICE_FEATURE_DMA_LOGGING_START | VFIO_DEVICE_FEATURE_SET;
    const argument = argumentOf(flags, data);
    const result = this.device.feature(user, user.place(argument));
    return result < 0 ? result : Number(readControl(argument.subarray(FEATURE_HEADER_BYTES)).pageSize);
  }

  stop(): ErrnoResult {
    const flags = VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP | VFIO_DEVICE_FEATURE_SET;
    return callFeature(this.device, new UserMemory(), flags);
  }

  markAfterWrite(address: number, bytes: number): void {
    const { logger } = this.device;
    if (bytes === 0 || logger === undefined || !logger.active) return;
    this.counters.marks += 1;
    const firstPage = Math.floor(address / PAGE_BYTES);
    logger.mark(firstPage, Math.floor((address + bytes - 1) / PAGE_BYTES) - firstPage + 1);
  }

  /** As Tracker says; EOPNOTSUPP for `noClear`, which VFIO does not have. */
  report(
    address: number,
    bytes: number,
    pageBytes: number,
    bitmap: Uint32Array,
    options: ReportOptions = {},
  ): ErrnoResult {
    if (options.noClear === true) return errno("EOPNOTSUPP");
    const user = new UserMemory();
    const data = new Uint8Array(LOGGING_REPORT_BYTES);
    const bits = new Uint8Array(bitmap.buffer, bitmap.byteOffset, bitmap.byteLength);
    const range = { iova: BigInt(address), length: BigInt(bytes) };
    writeReport(data, { ...range, pageSize: BigInt(pageBytes), bitmap: user.place(bits) });
    const { reported } = this.device;
    const before = { ...reported };
    const result = callFeature(
      this.device,
      user,
      VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT | VFIO_DEVICE_FEATURE_GET,
      data,
    );
    this.counters.harvests += 1;
    this.counters.pagesReported += ((reported.bitsSet - before.bitsSet) * pageBytes) / PAGE_BYTES;
    this.counters.bytesMarshalled += reported.copiedBytes - before.copiedBytes;
    return result;
  }

  footprintBytes(): number {
    return this.device.logger?.backend.footprintBytes() ?? 0;
  }
}

/** Calls a feature with its data in a piece of memory of its own. */
function callFeature(
  device: LoggingDevice,
  user: UserMemory,
  flags: number,
  data: Uint8Array = new Uint8Array(0),
): ErrnoResult {
  return device.feature(user, user.place(argumentOf(flags, data)));
}

function argumentOf(flags: number, data: Uint8Array): Uint8Array {
  const argument = new Uint8Array(FEATURE_HEADER_BYTES + data.length);
  const view = new DataView(argument.buffer);
  view.setUint32(0, argument.length, true);
  view.setUint32(4, flags, true);
  argument.set(data, FEATURE_HEADER_BYTES);
  return argument;
}
