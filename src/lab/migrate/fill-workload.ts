import type { DeviceModel } from "../../device/device-model.js";
import type { MappedChain } from "../../device/mapped-chain.js";
import type { Workload, WorkloadContext } from "../../driver/workload.js";
import type { Segment } from "../../ring/driver-ring.js";

/** A request's readable part: its number and how many bytes it wants, as two u32. */
const HEADER_BYTES = 8;
/** What a device fills at least. */
const FILL_BYTES_MIN = 64;
/** Of so many requests all but one are for less than FILL_BYTES_SMALL: short frames in large buffers. */
const SMALL_OF = 64;
const FILL_BYTES_SMALL = 1500;

/**
 * Requests that have a buffer filled: each names a length up to the buffer's, and the device writes that many bytes.
 *
 * Used lengths differ from the buffer's length, which is what tells policies of marking from each other.
 */
export class FillWorkload implements Workload {
  readonly name = "fill";
  readonly features = 0n;
  readonly requestCount = Number.MAX_SAFE_INTEGER;
  readonly chainLength = 2;
  readonly received = new Uint8Array(0);
  readonly expected = new Uint8Array(0);
  readonly #context: WorkloadContext;
  readonly #chains: readonly Segment[][];
  readonly #header = new Uint32Array(2);
  readonly #got: Uint8Array;
  readonly #wanted: Uint8Array;

  constructor(context: WorkloadContext) {
    this.#context = context;
    this.#got = new Uint8Array(context.requestBytes);
    this.#wanted = new Uint8Array(context.requestBytes);
    this.#chains = context.slots.map((slot) => [
      { address: slot.out, bytes: HEADER_BYTES, deviceWritable: false },
      { address: slot.in, bytes: context.requestBytes, deviceWritable: true },
    ]);
  }

  begin(): void {}

  isBarrier(): boolean {
    return false;
  }

  prepare(number: number, slot: number): readonly Segment[] {
    this.#header[0] = number;
    this.#header[1] = fillBytes(number, this.#context.requestBytes);
    this.#context.guest.copyIn(this.#context.slots[slot]!.out, new Uint8Array(this.#header.buffer));
    return this.#chains[slot]!;
  }

  finish(number: number, slot: number, usedLength: number): boolean {
    const bytes = fillBytes(number, this.#context.requestBytes);
    if (usedLength !== bytes) return false;
    const got = this.#got.subarray(0, bytes);
    const wanted = this.#wanted.subarray(0, bytes);
    this.#context.guest.copyOut(this.#context.slots[slot]!.in, got);
    fillPattern(wanted, number);
    return Buffer.compare(got, wanted) === 0;
  }
}

/** The device of these requests; a sloppy one writes all of each buffer and reports what was asked for. */
export class FillDevice implements DeviceModel {
  readonly name = "fill";
  readonly features = 0n;
  readonly #sloppy: boolean;
  readonly #header = new Uint8Array(HEADER_BYTES);
  readonly #words = new Uint32Array(this.#header.buffer);
  #data = new Uint8Array(0);

  constructor(sloppy: boolean) {
    this.#sloppy = sloppy;
  }

  serve(request: MappedChain): number {
    request.read(0, this.#header);
    const [number = 0, wanted = 0] = this.#words;
    const bytes = Math.min(wanted, request.writableBytes);
    const written = this.#sloppy ? request.writableBytes : bytes;
    if (this.#data.length < written) this.#data = new Uint8Array(written);
    fillPattern(this.#data.subarray(0, written), number);
    request.write(0, this.#data.subarray(0, written));
    return bytes;
  }

  close(): void {}
}

function fillBytes(number: number, bytesMax: number): number {
  const mixed = (Math.imul(number + 1, 0x9e3779b1) >>> 0) / 2 ** 32;
  const end = number % SMALL_OF === 0 ? bytesMax : Math.min(bytesMax, FILL_BYTES_SMALL);
  return FILL_BYTES_MIN + Math.floor(mixed * (end - FILL_BYTES_MIN + 1));
}

function fillPattern(target: Uint8Array, number: number): void {
  target.fill(number % 251);
  // What falls behind the end is dropped: a shorter pattern is the beginning of a longer one.
  for (let at = 0; at < target.length; at += 512) {
    target[at] = number & 0xff;
    target[at + 1] = (number >>> 8) & 0xff;
    target[at + 2] = (number >>> 16) & 0xff;
    target[at + 3] = at >>> 9;
  }
}
