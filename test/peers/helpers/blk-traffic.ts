import { BlkFront, type BlkFrontOptions, type BlkRequest } from "../../../src/daemon/data/blk-front.js";
import { patternBytes } from "./disk-images.js";

/** Bytes of a request; places on the disk have this size too. */
export const REQUEST_BYTES = 16_384;
const SECTORS = REQUEST_BYTES / 512;

/** A front end of ours on a socket, with a ring of 128 entries and a deadline for all it waits for. */
export function blkFront(path: string, options: Partial<BlkFrontOptions> = {}): BlkFront {
  return new BlkFront({
    path,
    timeoutMs: 30_000,
    num: 128,
    depth: 8,
    requestBytes: REQUEST_BYTES,
    eventIdx: false,
    ...options,
  });
}

/** A request that reads place number `place`. */
export function readRequest(place: number): BlkRequest {
  return { write: false, sector: SECTORS * place, bytes: REQUEST_BYTES };
}

/** Writes places 0 to `places` - 1 and returns the content that the disk has to have then. */
export function writeDisk(front: BlkFront, places: number, seed: number): Buffer {
  const content = patternBytes(places * REQUEST_BYTES, seed);
  let next = 0;
  const count = front.run((slot) => {
    if (next === places) return undefined;
    front.data(slot, REQUEST_BYTES).set(content.subarray(next * REQUEST_BYTES, (next + 1) * REQUEST_BYTES));
    return { ...readRequest(next++), write: true };
  });
  if (count !== places) throw new Error(`${count} writes of ${places}`);
  return content;
}

/** Reads all places back and returns what the disk has. */
export function readDisk(front: BlkFront, places: number): Buffer {
  const got = Buffer.alloc(places * REQUEST_BYTES, 0xee);
  const placeOf: number[] = [];
  let next = 0;
  const count = front.run(
    (slot) => {
      if (next === places) return undefined;
      front.data(slot, REQUEST_BYTES).fill(0xee);
      placeOf[slot] = next;
      return readRequest(next++);
    },
    (slot) => got.set(front.data(slot, REQUEST_BYTES), placeOf[slot]! * REQUEST_BYTES),
  );
  if (count !== places) throw new Error(`${count} reads of ${places}`);
  return got;
}
