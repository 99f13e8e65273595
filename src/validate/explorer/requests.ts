import { GpaMap } from "../../iova/gpa-map.js";
import { VHOST_ACCESS_RW } from "../../layout/vhost.js";
import { type Gpa, type Iova, PAGE_BYTES } from "../../memory/address.js";
import { assert } from "../../memory/assert.js";
import type { Chain } from "../../ring/chain.js";
import type { Segment } from "../../ring/driver-ring.js";

/** Page 0 holds the rings. */
const FIRST_PAGE = 1;
const LENGTH = 0x300;
const READABLE_LENGTH = 0x20;
const WITHIN_PAGE = 0x40;
/** A buffer that is written across the edge of a page. */
const BEFORE_EDGE = 0xf00;
const PAGES_MAX = 31;

/**
 * What a driver asks for in a play: each request has pages and a length of its own, so that none is taken for another.
 *
 * A chain of one is a writable buffer in a page; a chain of two has a readable buffer before a writable one that lies
 * in two pages.
 */
export class Requests {
  readonly count: number;
  /** Where the pages lie in the device's address space. */
  readonly map = new GpaMap(0);
  readonly #chain: 1 | 2;
  readonly #pagesEach: number;
  readonly #bytesUp: number;

  constructor(count: number, chain: 1 | 2) {
    this.count = count;
    this.#chain = chain;
    this.#pagesEach = chain === 1 ? 1 : 3;
    const pages = count * this.#pagesEach;
    assert(count >= 1 && pages < PAGES_MAX, "each request has its pages in one word of the log");
    this.#bytesUp = Math.max(8, pages) * PAGE_BYTES;
    const gpa = FIRST_PAGE * PAGE_BYTES;
    this.map.add({
      gpa: gpa as Gpa,
      bytes: pages * PAGE_BYTES,
      iova: (gpa + this.#bytesUp) as Iova,
      perm: VHOST_ACCESS_RW,
    });
  }

  /** Bytes that the device writes for a request. */
  length(request: number): number {
    return LENGTH + request;
  }

  /** The request of which a used length tells; -1 when there is none. */
  ofLength(length: number): number {
    return length >= LENGTH && length < LENGTH + this.count ? length - LENGTH : -1;
  }

  /** A request's buffers at guest addresses. */
  segments(request: number): Segment[] {
    const at = this.#page(request) * PAGE_BYTES;
    const bytes = this.length(request);
    if (this.#chain === 1) return [{ address: at + WITHIN_PAGE, bytes, deviceWritable: true }];
    return [
      { address: at + WITHIN_PAGE, bytes: READABLE_LENGTH, deviceWritable: false },
      { address: at + PAGE_BYTES + BEFORE_EDGE, bytes, deviceWritable: true },
    ];
  }

  /** The pages that the device writes for a request. */
  writtenPages(request: number): number[] {
    const page = this.#page(request);
    return this.#chain === 1 ? [page] : [page + 1, page + 2];
  }

  /** Whether a device was handed just this request, at translated addresses or at the guest's own. */
  isHandedOut(request: number, chain: Chain, translated: boolean): boolean {
    const segments = this.segments(request);
    const up = translated ? this.#bytesUp : 0;
    return (
      chain.count === segments.length &&
      chain.readableCount === segments.length - 1 &&
      segments.every(({ address, bytes }, i) => chain.addresses[i] === address + up && chain.lengths[i] === bytes)
    );
  }

  #page(request: number): number {
    return FIRST_PAGE + request * this.#pagesEach;
  }
}
