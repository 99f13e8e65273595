import { VIRTIO_BLK_SECTOR_BYTES } from "../../layout/virtio-blk.js";
import { BlkFront } from "../data/blk-front.js";

/** Bytes of a request, and of the unit in which the disk's content differs. */
export const BLOCK_BYTES = 4096;
/** Entries of the front end's ring: room for 32 requests of three descriptors. */
const QUEUE_SIZE = 128;
const TIMEOUT_MS = 5_000;
/** Milliseconds after which the thread looks after its other duties, signals among them. */
const CHUNK_MS = 100;
/** Requests between two looks at the clock. */
const LOOK_EVERY = 32;
const POISON = 0xdead_beef;

/** What is read: a disk in whose blocks each word is the block's number, or one of zeros. */
export interface DiskContent {
  readonly blocks: number;
  readonly numbered: boolean;
}

/** The bytes of such a disk. */
export function diskBytes({ blocks, numbered }: DiskContent): Uint8Array {
  const words = new Uint32Array((blocks * BLOCK_BYTES) / 4);
  if (numbered) for (let block = 0; block < blocks; block++) words.fill(block + 1, block * 1024, (block + 1) * 1024);
  return new Uint8Array(words.buffer);
}

/** How blocks are read. */
export interface ReadsOptions {
  /** Requests in flight, 1 to 32. */
  readonly depth: number;
  readonly eventIdx: boolean;
  /** What diskBytes() made. */
  readonly disk: Uint8Array;
  readonly seed: number;
}

/** A front end that reads blocks in an order of its seed, and compares every byte of each. */
export class CheckedReads {
  /** Requests whose data was not what the disk holds. */
  wrong = 0;
  readonly #front: BlkFront;
  readonly #disk: Buffer;
  readonly #blocks: number;
  readonly #slots: { readonly bytes: Buffer; readonly words: Uint32Array }[];
  readonly #blockOfSlot: Int32Array;
  #random: number;

  /** Connects and starts; throws SocketPathError, BackEndLost. */
  constructor(path: string, { depth, eventIdx, disk, seed }: ReadsOptions) {
    this.#front = new BlkFront({
      path,
      timeoutMs: TIMEOUT_MS,
      num: QUEUE_SIZE,
      depth,
      requestBytes: BLOCK_BYTES,
      eventIdx,
    });
    this.#disk = Buffer.from(disk.buffer, disk.byteOffset, disk.byteLength);
    this.#blocks = disk.byteLength / BLOCK_BYTES;
    this.#random = seed >>> 0;
    this.#blockOfSlot = new Int32Array(depth);
    this.#slots = Array.from({ length: depth }, (_, slot) => {
      const { buffer, byteOffset } = this.#front.data(slot, BLOCK_BYTES);
      const words = new Uint32Array(buffer, byteOffset, BLOCK_BYTES / 4);
      return { bytes: Buffer.from(buffer, byteOffset, BLOCK_BYTES), words };
    });
    this.#front.start();
  }

  /** Does `count` reads, fewer when they take longer than `msMax` or `signal` fires; returns nanoseconds for each. */
  async run(count: number, msMax: number, signal: AbortSignal): Promise<{ requests: number; nsPerRequest: number }> {
    let [requests, ms] = [0, 0];
    while (requests < count && ms < msMax && !signal.aborted) {
      const start = performance.now();
      requests += this.#chunk(count - requests, start + Math.min(CHUNK_MS, msMax - ms));
      ms += performance.now() - start;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { requests, nsPerRequest: (ms * 1e6) / requests };
  }

  /** Stops the queue and leaves. */
  close(): void {
    try {
      this.#front.stop();
    } finally {
      this.#front.close();
    }
  }

  #chunk(count: number, untilMs: number): number {
    let offered = 0;
    return this.#front.run(
      (slot) => {
        if (offered === count) return undefined;
        if (++offered % LOOK_EVERY === 0 && performance.now() > untilMs) return undefined;
        const block = this.#nextBlock();
        const { words } = this.#slots[slot]!;
        // What is not written by the read is not what the disk holds.
        words[0] = words[words.length - 1] = POISON;
        this.#blockOfSlot[slot] = block;
        return { write: false, sector: block * (BLOCK_BYTES / VIRTIO_BLK_SECTOR_BYTES), bytes: BLOCK_BYTES };
      },
      (slot) => {
        const at = this.#blockOfSlot[slot]! * BLOCK_BYTES;
        if (this.#slots[slot]!.bytes.compare(this.#disk, at, at + BLOCK_BYTES) !== 0) this.wrong += 1;
      },
    );
  }

  /** A 32-bit linear congruence, of which the upper bits are used. */
  #nextBlock(): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#random / 2 ** 32) * this.#blocks);
  }
}
