import {
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_ID_BYTES,
  VIRTIO_BLK_OUTHDR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_SECTOR_BYTES,
  VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
} from "../layout/virtio-blk.js";
import { featureBit } from "../layout/virtio-config.js";
import type { Segment } from "../ring/driver-ring.js";
import { cutSegments, poisonBuffer, type Workload, type WorkloadContext } from "./workload.js";

const HEADER_BYTES = VIRTIO_BLK_OUTHDR.size;
/** Where in a slot's meta bytes the status is. */
const STATUS_OFFSET = 32;
/** What a status byte holds before the device has written it. */
const NO_STATUS = 0xff;

type Kind = "get-id" | "out" | "flush" | "in";

/**
 * The input written to a disk and read back: get-id, every block out, flush, every block in.
 *
 * Each pass puts the blocks elsewhere on the disk, so that a write which never happened cannot hide behind the one of
 * the pass before.
 */
export class BlkWorkload implements Workload {
  readonly name = "blk";
  readonly features = featureBit(VIRTIO_BLK_F_FLUSH);
  readonly requestCount: number;
  readonly chainLength: number;
  readonly received: Uint8Array;
  readonly expected: Uint8Array;
  /** What the device calls itself. */
  identity = "";
  readonly #context: WorkloadContext;
  readonly #blocks: number;
  readonly #chains: Record<Kind, Segment[][]>;
  readonly #header = new Uint8Array(HEADER_BYTES);
  readonly #words = new DataView(this.#header.buffer);
  readonly #status = new Uint8Array([NO_STATUS]);
  readonly #block: Uint8Array;
  #pass = 0;

  /** The input is padded with zeroes to a whole number of requests. */
  constructor(context: WorkloadContext) {
    const { requestBytes, input, segments } = context;
    this.#context = context;
    this.#blocks = Math.ceil(input.length / requestBytes);
    this.requestCount = 2 * this.#blocks + 2;
    this.chainLength = segments + 2;
    this.expected = input;
    this.received = new Uint8Array(input.length);
    this.#block = new Uint8Array(requestBytes);
    this.#chains = {
      "get-id": this.#chainsOf((slot) => cutSegments(slot.in, VIRTIO_BLK_ID_BYTES, 1, true)),
      out: this.#chainsOf((slot) => cutSegments(slot.out, requestBytes, segments, false)),
      flush: this.#chainsOf(() => []),
      in: this.#chainsOf((slot) => cutSegments(slot.in, requestBytes, segments, true)),
    };
  }

  /** Bytes the disk must have for an input of this size. */
  static diskBytes(inputBytes: number, requestBytes: number): number {
    return Math.ceil(inputBytes / requestBytes) * requestBytes;
  }

  begin(pass: number): void {
    this.#pass = pass;
    this.received.fill(0);
  }

  isBarrier(number: number): boolean {
    return number === 1 + this.#blocks || number === 2 + this.#blocks;
  }

  prepare(number: number, slot: number): readonly Segment[] {
    const kind = this.#kind(number);
    const { guest, slots } = this.#context;
    const { meta, out } = slots[slot]!;
    const block = this.#blockOf(number);
    this.#writeHeader(kind, kind === "out" || kind === "in" ? this.#sector(block) : 0);
    guest.copyIn(meta, this.#header);
    guest.copyIn(meta + STATUS_OFFSET, this.#status);
    if (kind === "out") guest.copyIn(out, this.#blockBytes(block));
    if (kind === "in") poisonBuffer(this.#context, slots[slot]!.in, this.#context.requestBytes);
    return this.#chains[kind][slot]!;
  }

  finish(number: number, slot: number, usedLength: number): boolean {
    const kind = this.#kind(number);
    // The status is the last byte: behind the length that is reported it is nobody's word (VIRTIO 1.3, 2.7.8.3).
    if (usedLength <= this.#answerBytes(kind)) return false;
    const { guest, slots } = this.#context;
    const { meta, in: data } = slots[slot]!;
    const status = new Uint8Array(1);
    guest.copyOut(meta + STATUS_OFFSET, status);
    if (status[0] !== VIRTIO_BLK_S_OK) return false;
    if (kind === "in") guest.copyOut(data, this.#slice(this.received, this.#blockOf(number)));
    if (kind === "get-id") this.identity = this.#readIdentity(data);
    return true;
  }

  /** Bytes that the device writes before the status. */
  #answerBytes(kind: Kind): number {
    if (kind === "in") return this.#context.requestBytes;
    return kind === "get-id" ? VIRTIO_BLK_ID_BYTES : 0;
  }

  #kind(number: number): Kind {
    if (number === 0) return "get-id";
    if (number <= this.#blocks) return "out";
    return number === this.#blocks + 1 ? "flush" : "in";
  }

  #blockOf(number: number): number {
    return number <= this.#blocks ? number - 1 : number - this.#blocks - 2;
  }

  #sector(block: number): number {
    const place = (block + this.#pass) % this.#blocks;
    return (place * this.#context.requestBytes) / VIRTIO_BLK_SECTOR_BYTES;
  }

  #writeHeader(kind: Kind, sector: number): void {
    const { offsets } = VIRTIO_BLK_OUTHDR;
    this.#words.setUint32(offsets.type, TYPES[kind], true);
    this.#words.setUint32(offsets.sector, sector, true);
    this.#words.setUint32(offsets.sector + 4, Math.floor(sector / 2 ** 32), true);
  }

  #blockBytes(block: number): Uint8Array {
    const part = this.#slice(this.expected, block);
    if (part.length === this.#block.length) return part;
    this.#block.fill(0);
    this.#block.set(part);
    return this.#block;
  }

  #slice(of: Uint8Array, block: number): Uint8Array {
    const { requestBytes } = this.#context;
    return of.subarray(block * requestBytes, (block + 1) * requestBytes);
  }

  #readIdentity(address: number): string {
    const bytes = new Uint8Array(VIRTIO_BLK_ID_BYTES);
    this.#context.guest.copyOut(address, bytes);
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  #chainsOf(data: (slot: { out: number; in: number }) => Segment[]): Segment[][] {
    return this.#context.slots.map((slot) => [
      { address: slot.meta, bytes: HEADER_BYTES, deviceWritable: false },
      ...data(slot),
      { address: slot.meta + STATUS_OFFSET, bytes: 1, deviceWritable: true },
    ]);
  }
}

const TYPES: Record<Kind, number> = {
  "get-id": VIRTIO_BLK_T_GET_ID,
  out: VIRTIO_BLK_T_OUT,
  flush: VIRTIO_BLK_T_FLUSH,
  in: VIRTIO_BLK_T_IN,
};
