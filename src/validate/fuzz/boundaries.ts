import { FRAME_SPAN_BYTES, PAGE_BYTES } from "../../memory/address.js";
import {
  BUFFERS_GPA,
  GUEST_RING,
  READ_ONLY_GPA,
  RIG_END,
  RIG_REGIONS,
  TABLES_GPA,
  UNMAPPED_GPA,
  WIDE_BYTES,
  WIDE_GPA,
  WIDE_TOP_GPA,
} from "../rig/world.js";

const [LOW, HIGH] = RIG_REGIONS;

const EDGES = [
  ...[0, GUEST_RING, TABLES_GPA, BUFFERS_GPA, BUFFERS_GPA + 2 * PAGE_BYTES],
  ...[READ_ONLY_GPA, UNMAPPED_GPA, LOW.bytes, HIGH.gpa, HIGH.gpa + 2 * PAGE_BYTES, RIG_END],
  ...[2 ** 31, 2 ** 32, WIDE_GPA, WIDE_GPA + WIDE_BYTES, WIDE_TOP_GPA, FRAME_SPAN_BYTES, 2 ** 44, 2 ** 45],
];
const BEYOND = [
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
  2n ** 63n,
  2n ** 64n - 4096n,
  2n ** 64n - 16n,
  2n ** 64n - 1n,
];

/** Addresses at which something ends: pages, mappings, regions, what a Number or a page frame can hold, and 2^64. */
export const ADDRESSES: readonly bigint[] = [
  ...EDGES.flatMap((edge) => [edge, edge - 16, edge - 1, edge + 1].filter((at) => at >= 0).map(BigInt)),
  ...BEYOND,
];

/** Lengths at which something ends. */
export const LENGTHS: readonly number[] = [
  ...[0, 1, 2, 15, 16, 17, 32, 64, 255, PAGE_BYTES - 1, PAGE_BYTES, PAGE_BYTES + 1, 2 * PAGE_BYTES, 4 * PAGE_BYTES],
  ...[LOW.bytes, 2 ** 31 - PAGE_BYTES, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - PAGE_BYTES, 2 ** 32 - 1],
];

/** Lengths of which two or three together are about all that a chain may hold. */
export const HUGE_LENGTHS: readonly number[] = [
  ...[2 ** 31 - PAGE_BYTES, 2 ** 31, 2 ** 32 - 1, 2 ** 31 - 1, 0x5555_5556, 2 ** 30, 4096, 1],
];

/** Where a guest may say that an indirect table is: where it keeps them, odd, over its own ring, at edges, nowhere. */
export const TABLE_PLACES: readonly bigint[] = [
  ...[TABLES_GPA, TABLES_GPA, TABLES_GPA, TABLES_GPA + 16, TABLES_GPA + 8, TABLES_GPA + 1, GUEST_RING, GUEST_RING + 16],
  ...[READ_ONLY_GPA, UNMAPPED_GPA, LOW.bytes - 16, LOW.bytes - 8, LOW.bytes, HIGH.gpa, RIG_END - 16, RIG_END - 1],
].map(BigInt);
