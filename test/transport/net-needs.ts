import { hasFeature } from "../../src/transport/features.js";

/** What the bits of a network device need (VIRTIO 1.3, 5.1.3.1): one of these. */
export const NEEDS: readonly (readonly [bit: number, oneOf: readonly number[]])[] = [
  [7, [1]],
  [8, [1]],
  [9, [7, 8]],
  [10, [1]],
  [11, [0]],
  [12, [0]],
  [13, [11, 12]],
  [14, [0]],
  [18, [17]],
  [19, [17]],
  [21, [17]],
  [22, [17]],
  [23, [17]],
  [60, [17]],
  [61, [7, 8]],
];

/** Bits whose need is not met. */
export function missing(set: bigint): number[] {
  return NEEDS.filter(([bit, oneOf]) => hasFeature(set, bit) && !oneOf.some((need) => hasFeature(set, need))).map(
    ([bit]) => bit,
  );
}
