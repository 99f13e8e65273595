import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import {
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_ID_BYTES,
  VIRTIO_BLK_OUTHDR,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_S_UNSUPP,
  VIRTIO_BLK_SECTOR_BYTES,
  VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
} from "../layout/virtio-blk.js";
import { featureBit } from "../layout/virtio-config.js";
import type { DeviceModel } from "./device-model.js";
import type { MappedChain } from "./mapped-chain.js";

/** What VIRTIO_BLK_T_GET_ID answers. */
export const BLK_ID = "shadowvq-image";
/** Largest transfer of one request; more is refused with IOERR on the way out, and returned untouched on the way in. */
export const BLK_TRANSFER_BYTES_MAX = 1 << 20;

/** A disk on a file: reads and writes go to it as they come (VIRTIO 1.3, 5.2). */
export class BlkDevice implements DeviceModel {
  readonly name = "blk";
  readonly features = featureBit(VIRTIO_BLK_F_FLUSH);
  /** The first error of the file underneath, which the guest sees as IOERR. */
  hostError: Error | undefined;
  readonly #fd: number;
  readonly #capacityBytes: number;
  readonly #header = new Uint8Array(VIRTIO_BLK_OUTHDR.size);
  readonly #words = new DataView(this.#header.buffer);
  readonly #data = new Uint8Array(BLK_TRANSFER_BYTES_MAX);
  readonly #status = new Uint8Array(1);

  /** Opens the image at `path`, `capacityBytes` long whatever its length is now; throws what the file system says. */
  constructor(path: string, capacityBytes: number) {
    this.#fd = openSync(path, "r+");
    this.#capacityBytes = capacityBytes;
    if (fstatSync(this.#fd).isFile()) ftruncateSync(this.#fd, capacityBytes);
  }

  serve(request: MappedChain): number {
    if (request.read(0, this.#header) < this.#header.length || request.writableBytes < 1) return 0;
    const { offsets } = VIRTIO_BLK_OUTHDR;
    const type = this.#words.getUint32(offsets.type, true);
    const sector =
      this.#words.getUint32(offsets.sector, true) + this.#words.getUint32(offsets.sector + 4, true) * 2 ** 32;
    const dataBytes = request.writableBytes - 1;
    if (dataBytes > BLK_TRANSFER_BYTES_MAX) return 0;
    this.#status[0] = this.#perform(type, sector * VIRTIO_BLK_SECTOR_BYTES, request, dataBytes);
    // What is reported counts from the first writable byte (2.7.8.2): a failed read leaves zeroes before the status.
    if (this.#status[0] !== VIRTIO_BLK_S_OK) request.write(0, new Uint8Array(dataBytes));
    request.write(dataBytes, this.#status);
    return dataBytes + 1;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #perform(type: number, position: number, request: MappedChain, inBytes: number): number {
    try {
      switch (type) {
        case VIRTIO_BLK_T_IN:
          return this.#in(position, request, inBytes);
        case VIRTIO_BLK_T_OUT:
          return this.#out(position, request);
        case VIRTIO_BLK_T_FLUSH:
          fdatasyncSync(this.#fd);
          return VIRTIO_BLK_S_OK;
        case VIRTIO_BLK_T_GET_ID:
          request.write(0, identity(Math.min(inBytes, VIRTIO_BLK_ID_BYTES)));
          return VIRTIO_BLK_S_OK;
        default:
          return VIRTIO_BLK_S_UNSUPP;
      }
    } catch (error) {
      this.hostError ??= error as Error;
      return VIRTIO_BLK_S_IOERR;
    }
  }

  #in(position: number, request: MappedChain, bytes: number): number {
    if (!this.#inside(position, bytes)) return VIRTIO_BLK_S_IOERR;
    const data = this.#data.subarray(0, bytes);
    let done = 0;
    while (done < bytes) {
      const got = readSync(this.#fd, data, done, bytes - done, position + done);
      if (got === 0) return VIRTIO_BLK_S_IOERR;
      done += got;
    }
    request.write(0, data);
    return VIRTIO_BLK_S_OK;
  }

  #out(position: number, request: MappedChain): number {
    const bytes = request.readableBytes - VIRTIO_BLK_OUTHDR.size;
    if (!this.#inside(position, bytes)) return VIRTIO_BLK_S_IOERR;
    const data = this.#data.subarray(0, bytes);
    request.read(VIRTIO_BLK_OUTHDR.size, data);
    let done = 0;
    while (done < bytes) done += writeSync(this.#fd, data, done, bytes - done, position + done);
    return VIRTIO_BLK_S_OK;
  }

  #inside(position: number, bytes: number): boolean {
    const whole = bytes % VIRTIO_BLK_SECTOR_BYTES === 0;
    return whole && bytes <= BLK_TRANSFER_BYTES_MAX && position + bytes <= this.#capacityBytes;
  }
}

function identity(bytes: number): Uint8Array {
  const id = new Uint8Array(bytes);
  id.set(new TextEncoder().encode(BLK_ID).subarray(0, bytes));
  return id;
}
