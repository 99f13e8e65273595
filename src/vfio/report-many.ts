import type { ErrnoResult } from "../layout/errno.js";
import type { DmaLogger } from "./dma-logger.js";
import { IovaBitmap, type IovaBitmapParts } from "./iova-bitmap.js";

/** What a batch of reports took. */
export interface ManyReported {
  readonly result: ErrnoResult;
  /** Bytes that were copied into the user's bitmap: once, for however many devices. */
  readonly copiedBytes: number;
}

/**
 * One call for several devices into one bitmap: a variant that was discussed and not taken (inventory row A09).
 *
 * The devices' bits are joined in a buffer of the kernel's, which is copied once. A loop of REPORTs into one bitmap has
 * the same bits; it copies nothing where it sets them in place, and once for each device where it does not.
 */
export function reportMany(loggers: readonly DmaLogger[], parts: IovaBitmapParts): ManyReported {
  const joined = new Uint8Array(parts.bits.length);
  for (const logger of loggers) {
    const result = logger.report(parts, new IovaBitmap({ ...parts, bits: joined, path: "in-place" }));
    if (result < 0) return { result, copiedBytes: 0 };
  }
  for (const [at, bits] of joined.entries()) parts.bits[at]! |= bits;
  return { result: 0, copiedBytes: joined.length };
}
