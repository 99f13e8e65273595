import { assert } from "../memory/assert.js";
import { ConfigError } from "../memory/config-error.js";
import { type SharedMemory, u16 } from "../memory/shared-memory.js";

/** What a back end keeps of a split queue in VHOST_USER_GET_INFLIGHT_FD's memory: `QueueRegionSplit`. */
export const INFLIGHT_QUEUE = {
  size: 16,
  offsets: { features: 0, version: 8, descNum: 10, lastBatchHead: 12, usedIdx: 14 },
} as const;

/** What it keeps of each head: `DescStateSplit`; five bytes of padding follow `inflight`. */
export const INFLIGHT_HEAD = { size: 16, offsets: { inflight: 0, next: 6, counter: 8 } } as const;

const VERSION = 1;
const { version: QUEUE_VERSION, descNum: QUEUE_DESC_NUM } = INFLIGHT_QUEUE.offsets;
const { lastBatchHead: QUEUE_LAST_BATCH_HEAD, usedIdx: QUEUE_USED_IDX } = INFLIGHT_QUEUE.offsets;
const { next: HEAD_NEXT, counter: HEAD_COUNTER } = INFLIGHT_HEAD.offsets;

/** Bytes of the record of a queue of `num` entries. */
export function inflightRecordBytes(num: number): number {
  return INFLIGHT_QUEUE.size + num * INFLIGHT_HEAD.size;
}

/**
 * Which heads of a guest's ring are in flight, kept where it outlives the relay (vhost-user, Inflight I/O tracking).
 *
 * A head is recorded before the device can see its chain, and struck out after the guest can see that it is used; the
 * batch in between is told by the used index that the record has and the one that the ring has.
 */
export class InflightRecord {
  readonly #memory: SharedMemory;
  readonly #offset: number;
  readonly #num: number;
  #counter = 1;

  /** Of a ring of `num` entries, in `inflightRecordBytes(num)` bytes at `offset`, a multiple of 8. */
  constructor(memory: SharedMemory, offset: number, num: number) {
    assert(offset % 8 === 0 && offset + inflightRecordBytes(num) <= memory.byteLength, "the record lies in its memory");
    this.#memory = memory;
    this.#offset = offset;
    this.#num = num;
  }

  /** Starts anew with nothing in flight, behind a ring that stands at `usedIdx`: also after a reset of the device. */
  begin(usedIdx: number): void {
    const memory = this.#memory;
    // Whoever finds no version finds a record that was never begun.
    memory.publish16(this.#offset + QUEUE_VERSION, 0);
    for (let at = INFLIGHT_QUEUE.size; at < inflightRecordBytes(this.#num); at += 4) {
      memory.write32(this.#offset + at, 0);
    }
    memory.write32(this.#offset + INFLIGHT_QUEUE.offsets.features, 0);
    memory.write32(this.#offset + INFLIGHT_QUEUE.offsets.features + 4, 0);
    memory.write16(this.#offset + QUEUE_DESC_NUM, this.#num);
    memory.write16(this.#offset + QUEUE_LAST_BATCH_HEAD, 0);
    memory.write16(this.#offset + QUEUE_USED_IDX, usedIdx);
    memory.publish16(this.#offset + QUEUE_VERSION, VERSION);
  }

  /** The device is about to see the chains of these heads. */
  forwarding(heads: readonly number[]): void {
    for (const head of heads) {
      const at = this.#headAt(head);
      this.#memory.write32(at + HEAD_COUNTER, this.#counter | 0);
      this.#memory.write32(at + HEAD_COUNTER + 4, Math.floor(this.#counter / 2 ** 32));
      this.#memory.publish16(at, 1);
      this.#counter += 1;
    }
  }

  /** The guest is about to see these heads as used, all at once. */
  returning(heads: readonly number[]): void {
    const last = this.#offset + QUEUE_LAST_BATCH_HEAD;
    let before = this.#memory.read16(last);
    for (const head of heads) {
      this.#memory.write16(this.#headAt(head) + HEAD_NEXT, before);
      this.#memory.publish16(last, head);
      before = head;
    }
  }

  /** The guest can see them: its used index is `usedIdx`. */
  returned(heads: readonly number[], usedIdx: number): void {
    for (const head of heads) this.#memory.publish16(this.#headAt(head), 0);
    this.#memory.publish16(this.#offset + QUEUE_USED_IDX, usedIdx);
  }

  /**
   * Takes up what another relay left, with the guest's used index at `usedIdx`; returns the heads that are in flight,
   * in the order in which they were forwarded.
   *
   * Finishes the batch that the other one may have died in. Every byte is read once and then judged; throws ConfigError
   * where it is no record of this ring.
   */
  recover(usedIdx: number): readonly number[] {
    const left = this.#snapshot();
    if (left.version === 0) {
      this.begin(usedIdx);
      return [];
    }
    if (left.version !== VERSION || left.descNum !== this.#num) {
      throw new ConfigError(`in-flight record: version ${left.version} for ${left.descNum} entries, not ${this.#num}`);
    }
    const batch = this.#lastBatch(left, u16(usedIdx - left.usedIdx));
    this.returned(batch, usedIdx);
    const heads: number[] = [];
    for (let head = 0; head < this.#num; head++) {
      const flag = left.inflight(head);
      if (flag > 1) throw new ConfigError(`in-flight record: head ${head} is ${flag}, neither 0 nor 1`);
      if (flag === 1 && !batch.includes(head)) heads.push(head);
    }
    heads.sort((a, b) => left.counter(a) - left.counter(b));
    for (let head = 0; head < this.#num; head++) this.#counter = Math.max(this.#counter, left.counter(head) + 1);
    return heads;
  }

  /** The last `count` heads that were returned, newest first. */
  #lastBatch(left: Snapshot, count: number): number[] {
    if (count > this.#num) throw new ConfigError(`in-flight record: ${count} used in a ring of ${this.#num}`);
    const batch: number[] = [];
    for (let head = left.lastBatchHead; batch.length < count; head = left.next(head)) {
      if (head >= this.#num) throw new ConfigError(`in-flight record: a batch names head ${head}`);
      batch.push(head);
    }
    return batch;
  }

  #headAt(head: number): number {
    return this.#offset + INFLIGHT_QUEUE.size + head * INFLIGHT_HEAD.size;
  }

  #snapshot(): Snapshot {
    const bytes = new Uint8Array(inflightRecordBytes(this.#num));
    this.#memory.copyOut(this.#offset, bytes);
    return new Snapshot(new DataView(bytes.buffer));
  }
}

/** A private copy of a record. */
class Snapshot {
  readonly version: number;
  readonly descNum: number;
  readonly lastBatchHead: number;
  readonly usedIdx: number;
  readonly #view: DataView;

  constructor(view: DataView) {
    this.#view = view;
    this.version = view.getUint16(QUEUE_VERSION, true);
    this.descNum = view.getUint16(QUEUE_DESC_NUM, true);
    this.lastBatchHead = view.getUint16(QUEUE_LAST_BATCH_HEAD, true);
    this.usedIdx = view.getUint16(QUEUE_USED_IDX, true);
  }

  inflight(head: number): number {
    return this.#view.getUint8(headAt(head));
  }

  next(head: number): number {
    return this.#view.getUint16(headAt(head) + HEAD_NEXT, true);
  }

  counter(head: number): number {
    return Number(this.#view.getBigUint64(headAt(head) + HEAD_COUNTER, true));
  }
}

function headAt(head: number): number {
  return INFLIGHT_QUEUE.size + head * INFLIGHT_HEAD.size;
}
