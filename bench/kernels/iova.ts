import { IovaAllocator } from "../../src/iova/iova-allocator.js";
import { type Iova, PAGE_BYTES } from "../../src/memory/address.js";
import { IOVA_HEADER as H, IOVA_HEADER_WORDS } from "../inputs/iova-input.js";
import { check, type Kernel, medianOfSlices, nowNs } from "./kernel.js";

/** Mappings freed before as many are allocated: long against the clock, few against the map. */
const BATCH = 16;
const SLICE_BATCHES = 64;

/** IovaAllocator.allocate in a map where as many were freed before; the unit is one allocation. */
export class IovaKernel implements Kernel {
  readonly #input: Int32Array;
  readonly #allocator: IovaAllocator;
  readonly #live: number;
  /** By number: where each mapping is now, in bytes. */
  readonly #iovas: Float64Array;
  #request = 0;
  #spentNs = 0;

  constructor(input: Int32Array) {
    this.#input = input;
    this.#live = input[H.live]!;
    this.#iovas = new Float64Array(this.#live);
    const last = (input[H.endPage]! * PAGE_BYTES - 1) as Iova;
    this.#allocator = new IovaAllocator({ first: 0 as Iova, last });
    for (let slot = 0; slot < this.#live; slot++) {
      const at = IOVA_HEADER_WORDS + 2 * slot;
      this.#iovas[slot] = input[at]! * PAGE_BYTES;
      const taken = this.#allocator.insert(this.#iovas[slot]! as Iova, input[at + 1]! * PAGE_BYTES);
      check(taken, "the recorded mappings are disjoint");
    }
  }

  outputs(): Uint8Array {
    for (let done = 0; done < this.#input[H.verified]!; done += BATCH) this.#batch();
    const spans = [...this.#allocator.entries()];
    return new Uint8Array(
      Int32Array.from(spans.flatMap(({ iova, bytes }) => [iova / PAGE_BYTES, bytes / PAGE_BYTES])).buffer,
    );
  }

  window(ns: number): number {
    const batches = Math.min(SLICE_BATCHES, Math.max(1, Math.floor(this.#live / BATCH)));
    const value = medianOfSlices(ns, () => {
      this.#spentNs = 0;
      for (let batch = 0; batch < batches; batch++) this.#batch();
      return this.#spentNs / (batches * BATCH);
    });
    check(this.#allocator.count === this.#live, "as many mappings live as before");
    return value;
  }

  close(): void {}

  #batch(): void {
    const requests = IOVA_HEADER_WORDS + 2 * this.#live;
    const first = this.#request;
    for (let i = first; i < first + BATCH; i++) {
      const slot = this.#input[requests + 2 * i]!;
      // A mapping named twice in one batch is gone already.
      if (this.#iovas[slot]! < 0) continue;
      this.#allocator.free(this.#iovas[slot]! as Iova);
      this.#iovas[slot] = -1;
    }
    const start = nowNs();
    for (let i = first; i < first + BATCH; i++) {
      const slot = this.#input[requests + 2 * i]!;
      if (this.#iovas[slot]! >= 0) continue;
      this.#iovas[slot] = this.#allocator.allocate(this.#input[requests + 2 * i + 1]! * PAGE_BYTES)!;
    }
    this.#spentNs += nowNs() - start;
    this.#request = (first + BATCH) % this.#input[H.requests]!;
  }
}
