/** The record of what is in flight: its bytes, and what is done with bytes that are no record. */
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/memory/config-error.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { InflightRecord, inflightRecordBytes } from "../../src/relay/inflight-record.js";

const NUM = 4;

/** A record of four heads, and its bytes. */
function record(usedIdx = 0): { bytes: DataView; fresh: InflightRecord; next: () => InflightRecord } {
  const bytes = new DataView(new ArrayBuffer(inflightRecordBytes(NUM)));
  const next = () => new InflightRecord(new RealMemory(bytes.buffer), 0, NUM);
  const fresh = next();
  fresh.begin(usedIdx);
  return { bytes, fresh, next };
}

function hex({ buffer }: DataView): string[] {
  const all = [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return all.match(/.{32}/g)!;
}

test("its bytes are those of QueueRegionSplit and DescStateSplit", () => {
  const { bytes, fresh } = record(0xfffe);
  fresh.forwarding([2, 0]);
  fresh.returning([2]);
  expect(hex(bytes)).toEqual([
    "0000000000000000" + "0100" + "0400" + "0200" + "feff",
    "010000000000" + "0000" + "0200000000000000",
    "000000000000" + "0000" + "0000000000000000",
    "010000000000" + "0000" + "0100000000000000",
    "000000000000" + "0000" + "0000000000000000",
  ]);
  fresh.returned([2], 0xffff);
  expect(hex(bytes)[0]).toBe("0000000000000000" + "0100" + "0400" + "0200" + "ffff");
  expect(hex(bytes)[3]!.slice(0, 2)).toBe("00");
});

test("heads are recovered in the order in which they were forwarded, across recoveries", () => {
  const { fresh, next } = record();
  fresh.forwarding([3, 1]);
  const second = next();
  expect(second.recover(0)).toEqual([3, 1]);
  second.forwarding([0]);
  expect(next().recover(0)).toEqual([3, 1, 0]);
});

test("a batch that the guest can see is struck out, one that it cannot see is not", () => {
  const { fresh, next } = record(0xffff);
  fresh.forwarding([0, 1, 2]);
  fresh.returning([2, 0]);
  expect(next().recover(0xffff)).toEqual([0, 1, 2]);
  expect(next().recover(1)).toEqual([1]);
  expect(next().recover(1)).toEqual([1]);
});

test("BI-93: a record begun where the ring stands loses nothing before the first completion", () => {
  const { fresh, next } = record(700);
  fresh.forwarding([0]);
  expect(next().recover(700)).toEqual([0]);
});

test("BI-94: nothing is in flight any more once it begins anew", () => {
  const { fresh, next } = record(7);
  fresh.forwarding([0, 3]);
  fresh.begin(0);
  expect(next().recover(0)).toEqual([]);
});

test("memory in which no record was begun has nothing in flight", () => {
  const memory = new RealMemory(new ArrayBuffer(inflightRecordBytes(NUM)));
  expect(new InflightRecord(memory, 0, NUM).recover(9)).toEqual([]);
  expect(new InflightRecord(memory, 0, NUM).recover(9)).toEqual([]);
});

describe("BI-92: what is no record of this ring is refused", () => {
  test.each<readonly [what: string, forge: (bytes: DataView) => void, usedIdx: number]>([
    ["a version of another time", (bytes) => bytes.setUint16(8, 2, true), 0],
    ["another size", (bytes) => bytes.setUint16(10, 8, true), 0],
    ["more used than the ring has", (bytes) => bytes.setUint16(14, 60_000, true), 0],
    ["a batch from a head beyond the ring", (bytes) => bytes.setUint16(12, NUM, true), 1],
    ["a batch that leads there", (bytes) => bytes.setUint16(16 + 6, 0xffff, true), 2],
  ])("%s", (_, forge, usedIdx) => {
    const { bytes, next } = record();
    forge(bytes);
    expect(() => next().recover(usedIdx)).toThrow(ConfigError);
  });

  test("any flag but 0 and 1", () => {
    for (let flag = 2; flag < 256; flag++) {
      const { bytes, next } = record();
      bytes.setUint8(16, flag);
      expect(() => next().recover(0)).toThrow(ConfigError);
    }
  });
});

test("BI-91: a record that does not fit its memory is a mistake", () => {
  expect(() => new InflightRecord(new RealMemory(new ArrayBuffer(64)), 0, NUM)).toThrow("the record lies");
});
