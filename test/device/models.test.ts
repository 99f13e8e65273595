import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BlkDevice } from "../../src/device/blk-device.js";
import type { DeviceModel } from "../../src/device/device-model.js";
import { NetDevice } from "../../src/device/net-device.js";
import { NullDevice } from "../../src/device/null-device.js";
import {
  VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
} from "../../src/layout/virtio-blk.js";
import { bytesOf, HandRequest } from "../helpers/hand-request.js";
import { type Access, RecordingMemory } from "../helpers/odd-memory.js";

const CAPACITY = 8 * 512;
let folder = "";
const models: Record<string, DeviceModel> = {};

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "models-"));
  writeFileSync(join(folder, "image"), bytesOf(CAPACITY, 1));
  models["blk"] = new BlkDevice(join(folder, "image"), CAPACITY);
  models["net"] = new NetDevice();
  models["null"] = new NullDevice();
});

afterAll(() => {
  for (const model of Object.values(models)) model.close();
  rmSync(folder, { recursive: true });
});

function blkHeader(type: number, sector: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const words = new DataView(bytes.buffer);
  words.setUint32(0, type, true);
  words.setUint32(8, sector, true);
  return bytes;
}

const blk = (type: number, sector: number, out: number, into: number) => ({
  device: "blk",
  readable: new Uint8Array([...blkHeader(type, sector), ...bytesOf(out, 3)]),
  into,
});

const REQUESTS = [
  { what: "a packet", device: "net", readable: bytesOf(100, 1), into: 100 },
  { what: "a packet for less room", device: "net", readable: bytesOf(100, 1), into: 40 },
  { what: "a packet for more room", device: "net", readable: bytesOf(100, 1), into: 300 },
  { what: "nothing to do", device: "null", readable: bytesOf(64, 1), into: 64 },
  { what: "a read", ...blk(VIRTIO_BLK_T_IN, 2, 0, 1025) },
  { what: "a read beyond the disk", ...blk(VIRTIO_BLK_T_IN, 99, 0, 1025) },
  { what: "a write", ...blk(VIRTIO_BLK_T_OUT, 1, 512, 1) },
  { what: "a write beyond the disk", ...blk(VIRTIO_BLK_T_OUT, 99, 512, 1) },
  { what: "a flush", ...blk(VIRTIO_BLK_T_FLUSH, 0, 0, 1) },
  { what: "a name", ...blk(VIRTIO_BLK_T_GET_ID, 0, 0, 21) },
  { what: "a type that nobody knows", ...blk(77, 0, 0, 30) },
  { what: "a request without status", ...blk(VIRTIO_BLK_T_IN, 0, 0, 0) },
];

/** Serves a request whose two parts are cut in three; what the device did to memory, and what it said it wrote. */
function served({ device, readable, into }: (typeof REQUESTS)[number]) {
  const third = (bytes: number) => [Math.floor(bytes / 3), Math.floor(bytes / 3)];
  const cut = (bytes: number) => [...third(bytes), bytes - 2 * Math.floor(bytes / 3)].filter((part) => part > 0);
  const request = new HandRequest(readable, cut(readable.length), cut(into));
  const accesses: Access[] = [];
  const chain = request.chain((memory) => new RecordingMemory(memory, device, (access) => accesses.push(access)));
  const length = models[device]!.serve(chain);
  return { request, accesses, length };
}

/** Parts of a request that accesses of a kind lie in. */
function parts(request: HandRequest, accesses: readonly Access[], verb: Access["verb"]): string[] {
  const touched = accesses.filter((access) => access.verb === verb && access.bytes > 0);
  return [
    ...new Set(touched.flatMap(({ offset, bytes }) => [offset, offset + bytes - 1]).map((at) => request.partOf(at))),
  ];
}

describe("a device that serves", () => {
  it.each(REQUESTS)(
    "$what reads what is readable and writes what is writable (SPLIT-05, SPLIT-06): $device",
    (test) => {
      const { request, accesses } = served(test);
      expect(accesses.every(({ verb }) => verb === "copyIn" || verb === "copyOut")).toBe(true);
      expect(parts(request, accesses, "copyIn").filter((part) => part !== "writable")).toEqual([]);
      expect(parts(request, accesses, "copyOut").filter((part) => part !== "readable")).toEqual([]);
    },
  );

  it.each(REQUESTS)(
    "$what has written all bytes of the length it says, from the first on (SPLIT-12, IMPL-08): $device",
    (test) => {
      const { request, accesses, length } = served(test);
      const writes = accesses.filter(({ verb }) => verb === "copyIn");
      const written = new Set(
        writes.flatMap(({ offset, bytes }) => Array.from({ length: bytes }, (_, i) => offset + i)),
      );
      expect(length).toBeLessThanOrEqual(test.into);
      const places = request.writablePlaces();
      expect(places.length).toBe(test.into);
      expect(places.slice(0, length).filter((at) => !written.has(at))).toEqual([]);
    },
  );
});
