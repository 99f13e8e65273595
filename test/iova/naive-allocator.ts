import type { Iova } from "../../src/memory/address.js";

/** What the oracle and the real allocator have in common. */
export interface Allocator {
  allocate(bytes: number): Iova | undefined;
  insert(at: Iova, bytes: number): boolean;
  free(at: Iova): boolean;
  find(at: Iova): { iova: number; bytes: number } | undefined;
}

const PAGE = 4096;

/** First fit over a sorted list, one element after the other: slow, and too simple to be wrong. */
export class NaiveAllocator implements Allocator {
  readonly spans: { iova: number; end: number }[] = [];
  readonly #floor: number;
  readonly #end: number;

  constructor(first: number, last: number, pageZero = false) {
    this.#floor = Math.max(pageZero ? 0 : PAGE, roundUp(first));
    this.#end = last + 1 - ((last + 1) % PAGE);
  }

  allocate(bytes: number): Iova | undefined {
    let at = this.#floor;
    for (const span of this.spans) {
      if (span.iova - at >= roundUp(bytes)) break;
      at = span.end;
    }
    return this.insert(at as Iova, bytes) ? (at as Iova) : undefined;
  }

  insert(at: Iova, bytes: number): boolean {
    const end = at + roundUp(bytes);
    if (at % PAGE !== 0 || at < this.#floor || end > this.#end) return false;
    if (this.spans.some((span) => at < span.end && span.iova < end)) return false;
    const index = this.spans.findIndex((span) => span.iova > at);
    this.spans.splice(index < 0 ? this.spans.length : index, 0, { iova: at, end });
    return true;
  }

  free(at: Iova): boolean {
    const index = this.spans.findIndex((span) => span.iova === at);
    if (index >= 0) this.spans.splice(index, 1);
    return index >= 0;
  }

  find(at: Iova): { iova: number; bytes: number } | undefined {
    const span = this.spans.find(({ iova, end }) => iova <= at && at < end);
    return span && { iova: span.iova, bytes: span.end - span.iova };
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE;
}
