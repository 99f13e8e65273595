/**
 * Addresses as branded numbers below 2^53; the brand keeps the two spaces apart.
 *
 * A ring carries 64-bit addresses as two 32-bit halves. Nothing in JavaScript's numbers can hold all of them, so
 * whoever reads an address from a ring either makes a Number of it here, refusing 2^53 and above, or works on int32
 * page frames below `FRAME_SPAN_BYTES` from a base.
 */

declare const space: unique symbol;

/** Guest physical address. */
export type Gpa = number & { readonly [space]: "gpa" };
/** I/O virtual address, as the device sees it. */
export type Iova = number & { readonly [space]: "iova" };

/** Bytes of a page, of the IOVA granule and of a bit in the vhost log (VHOST_PAGE_SIZE). */
export const PAGE_BYTES = 4096;
/** log2 of PAGE_BYTES. */
export const PAGE_SHIFT = 12;
/** What int32 page frames can cover from their base: 2^31 pages, 8 TiB. */
export const FRAME_SPAN_BYTES = 2 ** 43;

/** Names a guest physical address; throws RangeError when it is no integer in [0, 2^53). */
export function gpa(value: number): Gpa {
  return checked(value, "guest physical address") as Gpa;
}

/** Names an I/O virtual address; throws RangeError when it is no integer in [0, 2^53). */
export function iova(value: number): Iova {
  return checked(value, "I/O virtual address") as Iova;
}

/** Joins two 32-bit halves, given as int32 or u32; NaN when the address is 2^53 or above. */
export function joinHalves(low: number, high: number): number {
  const upper = high >>> 0;
  return upper < 0x20_0000 ? upper * 0x1_0000_0000 + (low >>> 0) : Number.NaN;
}

/** The low 32 bits of an address, as int32. */
export function lowHalf(address: number): number {
  return address | 0;
}

/** The bits of an address from 32 up, as int32. */
export function highHalf(address: number): number {
  return (address / 0x1_0000_0000) | 0;
}

function checked(value: number, what: string): number {
  if (!(Number.isSafeInteger(value) && value >= 0))
    throw new RangeError(`${what} ${value} is not an integer below 2^53`);
  return value;
}
