import {
  FEATURE_HEADER_BYTES,
  LOGGING_CONTROL_BYTES,
  LOGGING_RANGE_BYTES,
  LOGGING_REPORT_BYTES,
  type LoggingRange,
  readControl,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_SET,
  writeControl,
  writeRange,
  writeReport,
} from "../../src/vfio/feature-layout.js";
import type { LoggingDevice } from "../../src/vfio/logging-device.js";
import { UserMemory } from "../../src/vfio/user-memory.js";

/** How a START is asked, with what can be wrong about it. */
export interface StartCall {
  readonly pageSize?: bigint;
  readonly rangeCount?: number;
  readonly ranges?: readonly LoggingRange[];
  /** Address of the ranges, where they are not to be found. */
  readonly at?: bigint;
  /** Whether the answer can be copied out. */
  readonly writable?: boolean;
}

/** Calls START as a process would; the answer and the page size that was chosen. */
export function start(device: LoggingDevice, call: StartCall = {}): { result: number; pageSize: bigint } {
  const user = new UserMemory();
  const ranges = call.ranges ?? [{ iova: 0n, length: 0x10_0000n }];
  const list = new Uint8Array(Math.max(ranges.length, 1) * LOGGING_RANGE_BYTES);
  for (const [i, range] of ranges.entries()) writeRange(list.subarray(i * LOGGING_RANGE_BYTES), range);
  const data = new Uint8Array(LOGGING_CONTROL_BYTES);
  const rangeCount = call.rangeCount ?? ranges.length;
  writeControl(data, { pageSize: call.pageSize ?? 4096n, rangeCount, ranges: call.at ?? user.place(list) });
  const argument = featureArgument(VFIO_DEVICE_FEATURE_DMA_LOGGING_START | VFIO_DEVICE_FEATURE_SET, data);
  const result = device.feature(user, user.place(argument, call.writable ?? true));
  return { result, pageSize: readControl(argument.subarray(FEATURE_HEADER_BYTES)).pageSize };
}

/** Calls REPORT as a process would. */
export function report(
  device: LoggingDevice,
  { iova, length, pageSize = 4096n, bits }: LoggingRange & { pageSize?: bigint; bits?: Uint8Array },
): number {
  const user = new UserMemory();
  const bitmap = bits === undefined ? 0n : user.place(bits);
  const data = new Uint8Array(LOGGING_REPORT_BYTES);
  writeReport(data, { iova, length, pageSize, bitmap });
  return feature(device, VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT | VFIO_DEVICE_FEATURE_GET, { data, user });
}

/** Calls VFIO_DEVICE_FEATURE with any flags; `argsz` is the argument's size unless it is to be another. */
export function feature(
  device: LoggingDevice,
  flags: number,
  {
    data = new Uint8Array(0),
    argsz,
    user = new UserMemory(),
  }: { data?: Uint8Array; argsz?: number; user?: UserMemory } = {},
): number {
  return device.feature(user, user.place(featureArgument(flags, data, argsz)));
}

function featureArgument(flags: number, data: Uint8Array, argsz = FEATURE_HEADER_BYTES + data.length): Uint8Array {
  const argument = new Uint8Array(FEATURE_HEADER_BYTES + data.length);
  const view = new DataView(argument.buffer);
  view.setUint32(0, argsz, true);
  view.setUint32(4, flags, true);
  argument.set(data, FEATURE_HEADER_BYTES);
  return argument;
}
