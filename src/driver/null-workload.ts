import type { Segment } from "../ring/driver-ring.js";
import { cutSegments, type Workload, type WorkloadContext } from "./workload.js";

/** Requests whose bytes nobody looks at: one device-writable segment, or readable ones before it. */
export class NullWorkload implements Workload {
  readonly name = "null";
  readonly features = 0n;
  readonly requestCount: number;
  readonly chainLength: number;
  readonly received = new Uint8Array(0);
  readonly expected = new Uint8Array(0);
  readonly #chains: Segment[][];

  /** `requestCount` requests a pass. */
  constructor(context: WorkloadContext, requestCount: number) {
    this.requestCount = requestCount;
    this.chainLength = context.segments;
    this.#chains = context.slots.map((slot) => [
      ...(context.segments > 1 ? cutSegments(slot.out, context.requestBytes, context.segments - 1, false) : []),
      { address: slot.in, bytes: context.requestBytes, deviceWritable: true },
    ]);
  }

  begin(): void {}

  isBarrier(): boolean {
    return false;
  }

  prepare(_number: number, slot: number): readonly Segment[] {
    return this.#chains[slot]!;
  }

  finish(): boolean {
    return true;
  }
}
