import { VIRTIO_NET_HDR_V1 } from "../layout/virtio-net.js";
import type { Segment } from "../ring/driver-ring.js";
import { cutSegments, poisonBuffer, type Workload, type WorkloadContext } from "./workload.js";

const HEADER_BYTES = VIRTIO_NET_HDR_V1.size;
/** Payload of every second packet: an Ethernet frame of minimum size, as acknowledgements are. */
const SMALL_PACKET_BYTES = 64;

/** Packets that come back: header and payload, small and large in turn; every byte is compared. */
export class NetWorkload implements Workload {
  readonly name = "net";
  readonly features = 0n;
  readonly requestCount: number;
  readonly chainLength: number;
  readonly received: Uint8Array;
  readonly expected: Uint8Array;
  readonly #context: WorkloadContext;
  readonly #starts: number[] = [];
  readonly #small: Segment[][];
  readonly #large: Segment[][];
  readonly #packet: Uint8Array;

  constructor(context: WorkloadContext) {
    this.#context = context;
    this.expected = context.input;
    this.received = new Uint8Array(context.input.length);
    let start = 0;
    for (let number = 0; start < context.input.length; number++) {
      this.#starts.push(start);
      start += this.#payloadBytes(number);
    }
    this.#starts.push(context.input.length);
    this.requestCount = this.#starts.length - 1;
    this.chainLength = 2 * context.segments;
    this.#packet = new Uint8Array(HEADER_BYTES + context.requestBytes);
    const chain = (bytes: number) =>
      context.slots.map((slot) => [
        ...cutSegments(slot.out, HEADER_BYTES + bytes, context.segments, false),
        ...cutSegments(slot.in, HEADER_BYTES + bytes, context.segments, true),
      ]);
    this.#small = chain(Math.min(SMALL_PACKET_BYTES, context.requestBytes));
    this.#large = chain(context.requestBytes);
  }

  begin(pass: number): void {
    this.received.fill(0);
    this.#packet[0] = pass & 0xff;
  }

  isBarrier(): boolean {
    return false;
  }

  prepare(number: number, slot: number): readonly Segment[] {
    const payload = this.#payload(number);
    poisonBuffer(this.#context, this.#context.slots[slot]!.in, HEADER_BYTES + payload.end - payload.start);
    this.#packet.set(this.expected.subarray(payload.start, payload.end), HEADER_BYTES);
    this.#context.guest.copyIn(
      this.#context.slots[slot]!.out,
      this.#packet.subarray(0, HEADER_BYTES + payload.end - payload.start),
    );
    return (number % 2 === 0 ? this.#small : this.#large)[slot]!;
  }

  finish(number: number, slot: number, usedLength: number): boolean {
    const { start, end } = this.#payload(number);
    const from = this.#context.slots[slot]!.in + HEADER_BYTES;
    // What lies behind the length that is reported is not the device's word (VIRTIO 1.3, 2.7.8.3).
    const bytes = Math.min(Math.max(usedLength - HEADER_BYTES, 0), end - start);
    this.#context.guest.copyOut(from, this.received.subarray(start, start + bytes));
    return usedLength >= HEADER_BYTES + end - start;
  }

  #payload(number: number): { start: number; end: number } {
    return { start: this.#starts[number]!, end: this.#starts[number + 1]! };
  }

  #payloadBytes(number: number): number {
    const { requestBytes } = this.#context;
    return number % 2 === 0 ? Math.min(SMALL_PACKET_BYTES, requestBytes) : requestBytes;
  }
}
