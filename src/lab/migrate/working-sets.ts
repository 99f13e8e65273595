import { PAGE_BYTES } from "../../memory/address.js";
import { assert } from "../../memory/assert.js";

/** How vCPUs write: every 16th store is of two whole pages. */
export const VCPU_HABITS = { longEvery: 16 } as const;
/** How DMA devices write: every 8th write is of two whole pages, every 5th stays on its way for a while. */
export const DMA_HABITS = { longEvery: 8, postEvery: 5 } as const;

/** The vCPUs' working set: a quarter of RAM, in the middle of the low block. */
export function vcpuPages(ramBytes: number): { firstPage: number; pageCount: number } {
  const pageCount = ramBytes / PAGE_BYTES / 4;
  return { firstPage: pageCount, pageCount };
}

/** The working set of DMA device `number`, from 0 to 3: a 32nd of RAM, in the upper half of the high block. */
export function dmaPages(ramBytes: number, number: number): { firstPage: number; pageCount: number } {
  const pageCount = ramBytes / PAGE_BYTES / 32;
  assert(number < 4, "there is room for four DMA devices");
  return { firstPage: ramBytes / PAGE_BYTES + (4 + number) * pageCount, pageCount };
}
