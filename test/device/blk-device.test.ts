import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BLK_ID, BLK_TRANSFER_BYTES_MAX, BlkDevice } from "../../src/device/blk-device.js";
import {
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_S_UNSUPP,
  VIRTIO_BLK_T_DISCARD,
  VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
} from "../../src/layout/virtio-blk.js";
import { bytesOf, compositions, HandRequest } from "../helpers/hand-request.js";

const CAPACITY = 64 * 512;
let folder = "";
let image = "";
let disk: BlkDevice;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "blk-"));
  image = join(folder, "image");
  writeFileSync(image, bytesOf(CAPACITY, 1));
  disk = new BlkDevice(image, CAPACITY);
});

afterEach(() => {
  disk.close();
  rmSync(folder, { recursive: true });
});

/** The 16 bytes of a request's header. */
function header(type: number, sector: number | bigint): Uint8Array {
  const bytes = new Uint8Array(16);
  const words = new DataView(bytes.buffer);
  words.setUint32(0, type, true);
  words.setBigUint64(8, BigInt(sector), true);
  return bytes;
}

interface Cut {
  /** Lengths of the descriptors of the readable part and of the writable part; whole when left out. */
  readonly readable?: readonly number[];
  readonly writable?: readonly number[];
}

/** Serves one request and takes it apart: status byte, data, length reported. */
function serve(type: number, sector: number | bigint, out: Uint8Array, inBytes: number, cut: Cut = {}, on = disk) {
  const readable = new Uint8Array([...header(type, sector), ...out]);
  const request = new HandRequest(readable, cut.readable ?? [readable.length], cut.writable ?? [inBytes + 1]);
  const length = on.serve(request.chain());
  const written = request.written();
  return { status: written[inBytes]!, data: written.subarray(0, inBytes), length };
}

describe("a blk device on a file", () => {
  test("reads what the file holds, at every sector", () => {
    const held = readFileSync(image);
    for (const [sector, sectors] of [
      [0, 1],
      [5, 3],
      [63, 1],
      [0, 64],
    ] as const) {
      const { status, data, length } = serve(VIRTIO_BLK_T_IN, sector, new Uint8Array(0), sectors * 512);
      expect([status, length]).toEqual([VIRTIO_BLK_S_OK, sectors * 512 + 1]);
      expect(Buffer.compare(data, held.subarray(sector * 512, (sector + sectors) * 512))).toBe(0);
    }
  });

  test("writes to the file and nowhere beside", () => {
    const wanted = Buffer.from(readFileSync(image));
    const data = bytesOf(1024, 9);
    wanted.set(data, 7 * 512);
    expect(serve(VIRTIO_BLK_T_OUT, 7, data, 0)).toMatchObject({ status: VIRTIO_BLK_S_OK, length: 1 });
    expect(serve(VIRTIO_BLK_T_FLUSH, 0, new Uint8Array(0), 0)).toMatchObject({ status: VIRTIO_BLK_S_OK, length: 1 });
    expect(Buffer.compare(readFileSync(image), wanted)).toBe(0);
  });

  test("tells its name, cut or padded to what there is room for", () => {
    const told = serve(VIRTIO_BLK_T_GET_ID, 0, new Uint8Array(0), 20);
    expect(Buffer.from(told.data).toString().replaceAll("\0", "")).toBe(BLK_ID);
    expect(told).toMatchObject({ status: VIRTIO_BLK_S_OK, length: 21 });
    const short = serve(VIRTIO_BLK_T_GET_ID, 0, new Uint8Array(0), 4);
    expect(Buffer.from(short.data).toString()).toBe(BLK_ID.slice(0, 4));
  });

  test("says UNSUPP to a type it does not know", () => {
    for (const type of [2, 3, 5, 7, VIRTIO_BLK_T_DISCARD, 13, 0x8000_0000, 0xffff_ffff]) {
      expect(serve(type, 0, new Uint8Array(512), 0).status).toBe(VIRTIO_BLK_S_UNSUPP);
    }
    expect(disk.hostError).toBeUndefined();
  });

  test("refuses what lies beyond its capacity, is no whole sector or is too long, and touches nothing", () => {
    const before = readFileSync(image);
    const sectors = [64, 63, 65, 2 ** 32, 2n ** 44n, 2n ** 53n, 2n ** 55n, 2n ** 63n, 2n ** 64n - 1n];
    for (const sector of sectors) {
      expect(serve(VIRTIO_BLK_T_OUT, sector, new Uint8Array(1024), 0).status).toBe(VIRTIO_BLK_S_IOERR);
      expect(serve(VIRTIO_BLK_T_IN, sector, new Uint8Array(0), 1024).status).toBe(VIRTIO_BLK_S_IOERR);
    }
    for (const bytes of [1, 511, 513]) {
      expect(serve(VIRTIO_BLK_T_OUT, 0, new Uint8Array(bytes), 0).status).toBe(VIRTIO_BLK_S_IOERR);
      expect(serve(VIRTIO_BLK_T_IN, 0, new Uint8Array(0), bytes).status).toBe(VIRTIO_BLK_S_IOERR);
    }
    const huge = new Uint8Array(BLK_TRANSFER_BYTES_MAX + 512);
    expect(serve(VIRTIO_BLK_T_OUT, 0, huge, 0).status).toBe(VIRTIO_BLK_S_IOERR);
    expect(Buffer.compare(readFileSync(image), before)).toBe(0);
    expect(disk.hostError).toBeUndefined();
  });

  test("a file that became shorter gives IOERR, not stale bytes", () => {
    truncateSync(image, 10 * 512);
    expect(serve(VIRTIO_BLK_T_IN, 9, new Uint8Array(0), 512).status).toBe(VIRTIO_BLK_S_OK);
    expect(serve(VIRTIO_BLK_T_IN, 9, new Uint8Array(0), 1024).status).toBe(VIRTIO_BLK_S_IOERR);
  });

  test("returns a request without header or status with length 0 and writes nothing", () => {
    for (const [readable, writable] of [
      [0, 1],
      [15, 1],
      [15, 513],
      [16, 0],
    ] as const) {
      const request = new HandRequest(header(VIRTIO_BLK_T_IN, 0).subarray(0, readable), [readable], [writable]);
      expect(disk.serve(request.chain())).toBe(0);
      expect(request.written().every((byte) => byte === HandRequest.UNTOUCHED)).toBe(true);
    }
  });
});

describe("descriptors are no borders", () => {
  test("the header in up to 8 pieces: all compositions of its 16 bytes, sampled (SPLIT-02)", () => {
    const held = readFileSync(image);
    const all = compositions(16, 8);
    expect(all.length).toBe(16_384);
    for (let i = 0; i < all.length; i += 7) {
      const read = serve(VIRTIO_BLK_T_IN, 3, new Uint8Array(0), 512, { readable: all[i]! });
      expect(read.status).toBe(VIRTIO_BLK_S_OK);
      expect(Buffer.compare(read.data, held.subarray(3 * 512, 4 * 512))).toBe(0);
    }
  });

  test("header and data in one piece, or with the border anywhere", () => {
    const data = bytesOf(512, 3);
    for (let border = 1; border < 528; border += border < 40 ? 1 : 37) {
      expect(serve(VIRTIO_BLK_T_OUT, 2, data, 0, { readable: [border, 528 - border] }).status).toBe(VIRTIO_BLK_S_OK);
      expect(Buffer.compare(readFileSync(image).subarray(1024, 1536), data)).toBe(0);
    }
  });

  test("data and status in one piece, or with the border anywhere", () => {
    const held = readFileSync(image).subarray(0, 512);
    for (let border = 1; border < 513; border += border < 500 ? 29 : 1) {
      const read = serve(VIRTIO_BLK_T_IN, 0, new Uint8Array(0), 512, { writable: [border, 513 - border] });
      expect([read.status, Buffer.compare(read.data, held)]).toEqual([VIRTIO_BLK_S_OK, 0]);
    }
    const bytewise = serve(VIRTIO_BLK_T_IN, 0, new Uint8Array(0), 512, { writable: Array(513).fill(1) });
    expect(Buffer.compare(bytewise.data, held)).toBe(0);
  });
});

describe("a host that fails", () => {
  test("a full file system gives IOERR and its error to the host, and reading goes on", () => {
    const full = new BlkDevice("/dev/full", CAPACITY);
    expect(full.hostError).toBeUndefined();
    expect(serve(VIRTIO_BLK_T_OUT, 0, new Uint8Array(512), 0, {}, full).status).toBe(VIRTIO_BLK_S_IOERR);
    expect((full.hostError as NodeJS.ErrnoException).code).toBe("ENOSPC");
    expect(serve(VIRTIO_BLK_T_IN, 0, new Uint8Array(0), 512, {}, full).status).toBe(VIRTIO_BLK_S_OK);
    full.close();
  });

  test("a file that is not there is refused at once", () => {
    expect(() => new BlkDevice(join(folder, "none"), CAPACITY)).toThrow(/ENOENT/);
  });

  test("close() closes", () => {
    const other = join(folder, "other");
    closeSync(openSync(other, "w"));
    const device = new BlkDevice(other, 512);
    expect(readFileSync(other).length).toBe(512);
    device.close();
    expect(serve(VIRTIO_BLK_T_IN, 0, new Uint8Array(0), 512, {}, device).status).toBe(VIRTIO_BLK_S_IOERR);
  });
});
