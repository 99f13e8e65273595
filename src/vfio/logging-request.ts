import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import {
  LOGGING_RANGE_BYTES,
  LOGGING_RANGES_MAX,
  type LoggingControl,
  type LoggingRange,
  type LoggingReport,
  readRange,
} from "./feature-layout.js";
import { type IovaRange, overlaps } from "./iova-ranges.js";
import type { UserMemory } from "./user-memory.js";

/** One past the last address of 64 bits. */
const SPACE_END = 2n ** 64n;
const PAGE = BigInt(PAGE_BYTES);

/**
 * Checks what START brings, in the kernel's order (specification 3.2), and returns its ranges in pages of 4096 bytes.
 *
 * Fails with EINVAL, E2BIG, EFAULT or EOVERFLOW. Beyond the kernel's checks a page size that is no power of two from
 * 4096 on, or an empty range, is EINVAL.
 */
export function startRanges(control: LoggingControl, user: UserMemory): readonly IovaRange[] | ErrnoResult {
  if (control.rangeCount === 0) return errno("EINVAL");
  if (control.rangeCount > LOGGING_RANGES_MAX) return errno("E2BIG");
  if (!isPageSize(control.pageSize)) return errno("EINVAL");
  const ranges: IovaRange[] = [];
  for (let i = 0; i < control.rangeCount; i++) {
    const bytes = user.read(control.ranges + BigInt(i * LOGGING_RANGE_BYTES), LOGGING_RANGE_BYTES);
    if (bytes === undefined) return errno("EFAULT");
    const range = readRange(bytes);
    if (range.iova % control.pageSize !== 0n || range.length % control.pageSize !== 0n) return errno("EINVAL");
    if (range.iova + range.length >= SPACE_END) return errno("EOVERFLOW");
    if (range.length === 0n) return errno("EINVAL");
    const pages = inPages(range);
    if (ranges.some((other) => overlaps(pages, other))) return errno("EINVAL");
    ranges.push(pages);
  }
  return ranges;
}

/**
 * Checks what REPORT asks for (specification 3.4), and returns its range in pages of 4096 bytes.
 *
 * Fails with EINVAL or EOVERFLOW. Beyond the kernel's checks an empty range, or one that does not start and end at
 * multiples of 4096, is EINVAL.
 */
export function reportRange(report: LoggingReport): IovaRange | ErrnoResult {
  if (!isPageSize(report.pageSize)) return errno("EINVAL");
  if (report.iova + report.length >= SPACE_END) return errno("EOVERFLOW");
  if (report.length === 0n || report.iova % PAGE !== 0n || report.length % PAGE !== 0n) return errno("EINVAL");
  return inPages(report);
}

/** Whether a page size is a power of two from 4096 on. */
export function isPageSize(bytes: bigint): boolean {
  return bytes >= PAGE && (bytes & (bytes - 1n)) === 0n;
}

function inPages({ iova, length }: LoggingRange): IovaRange {
  return { firstPage: Number(iova / PAGE), pageCount: Number(length / PAGE) };
}
