/** VFIO_DEVICE_FEATURE of linux/vfio.h: flags, indices, and the structures of DMA logging. */
export const VFIO_DEVICE_FEATURE_MASK = 0xffff;
/** The caller wants data. */
export const VFIO_DEVICE_FEATURE_GET = 1 << 16;
/** The caller brings data. */
export const VFIO_DEVICE_FEATURE_SET = 1 << 17;
/** The caller asks whether GET, SET or both would be possible. */
export const VFIO_DEVICE_FEATURE_PROBE = 1 << 18;

/** SET: begins to log. */
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_START = 6;
/** SET, without data: ends. */
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP = 7;
/** GET: reads and clears; the data is input, too. */
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT = 8;

/** Bytes of `argsz` and `flags`, which stand before the data. */
export const FEATURE_HEADER_BYTES = 8;
/** Bytes of struct vfio_device_feature_dma_logging_control. */
export const LOGGING_CONTROL_BYTES = 24;
/** Bytes of struct vfio_device_feature_dma_logging_range. */
export const LOGGING_RANGE_BYTES = 16;
/** Bytes of struct vfio_device_feature_dma_logging_report. */
export const LOGGING_REPORT_BYTES = 32;
/** Ranges that one START may bring: a page of them. */
export const LOGGING_RANGES_MAX = 4096 / LOGGING_RANGE_BYTES;

/** What START is asked for. */
export interface LoggingControl {
  readonly pageSize: bigint;
  readonly rangeCount: number;
  /** Address of the ranges. */
  readonly ranges: bigint;
}

/** A range as it crosses the ABI: any 64-bit numbers. */
export interface LoggingRange {
  readonly iova: bigint;
  readonly length: bigint;
}

/** What REPORT is asked for. */
export interface LoggingReport extends LoggingRange {
  readonly pageSize: bigint;
  /** Address of the bitmap. */
  readonly bitmap: bigint;
}

/** Reads the data of a START. */
export function readControl(data: Uint8Array): LoggingControl {
  const view = viewOf(data);
  return {
    pageSize: view.getBigUint64(0, true),
    rangeCount: view.getUint32(8, true),
    ranges: view.getBigUint64(16, true),
  };
}

/** Writes the data of a START. */
export function writeControl(data: Uint8Array, { pageSize, rangeCount, ranges }: LoggingControl): void {
  const view = viewOf(data);
  view.setBigUint64(0, pageSize, true);
  view.setUint32(8, rangeCount, true);
  view.setBigUint64(16, ranges, true);
}

/** Reads one range. */
export function readRange(data: Uint8Array): LoggingRange {
  const view = viewOf(data);
  return { iova: view.getBigUint64(0, true), length: view.getBigUint64(8, true) };
}

/** Writes one range. */
export function writeRange(data: Uint8Array, { iova, length }: LoggingRange): void {
  const view = viewOf(data);
  view.setBigUint64(0, iova, true);
  view.setBigUint64(8, length, true);
}

/** Reads the data of a REPORT. */
export function readReport(data: Uint8Array): LoggingReport {
  const view = viewOf(data);
  return { ...readRange(data), pageSize: view.getBigUint64(16, true), bitmap: view.getBigUint64(24, true) };
}

/** Writes the data of a REPORT. */
export function writeReport(data: Uint8Array, report: LoggingReport): void {
  writeRange(data, report);
  viewOf(data).setBigUint64(16, report.pageSize, true);
  viewOf(data).setBigUint64(24, report.bitmap, true);
}

function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}
