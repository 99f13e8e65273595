import { Random } from "./random.js";

/** A dirty log to be taken. */
export interface BitmapCase {
  readonly bytes: number;
  /** Pages that are dirty, of a million. */
  readonly dirtyPerMillion: number;
}

/** Words of the header: bytes of the bitmap. */
export const BITMAP_HEADER_WORDS = 16;

/** Records the input of a bitmap kernel: the header, then the log as it is before each take. */
export function recordBitmap({ bytes, dirtyPerMillion }: BitmapCase): Int32Array {
  const random = new Random(dirtyPerMillion + 1);
  const words = new Int32Array(BITMAP_HEADER_WORDS + bytes / 4);
  words[0] = bytes;
  const pages = bytes * 8;
  for (let left = Math.round((pages * dirtyPerMillion) / 1e6); left > 0; ) {
    const page = random.below(pages);
    const bit = 1 << (page & 31);
    if ((words[BITMAP_HEADER_WORDS + (page >>> 5)]! & bit) !== 0) continue;
    words[BITMAP_HEADER_WORDS + (page >>> 5)]! |= bit;
    left--;
  }
  return words;
}
