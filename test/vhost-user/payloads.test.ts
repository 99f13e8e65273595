import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gpa } from "../../src/memory/address.js";
import {
  decodeMemRegion,
  decodeMemTable,
  encodeMemRegion,
  encodeMemTable,
  findRegion,
} from "../../src/vhost-user/memory-regions.js";
import { MessageFault } from "../../src/vhost-user/message-fault.js";
import * as payloads from "../../src/vhost-user/payloads.js";
import { HIGH, LOW } from "./samples.js";

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u53 = fc.maxSafeNat();
const page = fc.nat(2 ** 30).map((pages) => pages * 4096);

/** Every decoder with its encoder, and values that pass it. */
const ROUND_TRIPS: readonly [
  string,
  fc.Arbitrary<unknown>,
  (value: never) => Uint8Array,
  (bytes: Uint8Array) => unknown,
][] = [
  ["bits", fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), payloads.encodeBits, payloads.decodeBits],
  ["u64", u53, payloads.encodeU64, payloads.decodeU64],
  ["vringState", fc.record({ index: u32, num: u32 }), payloads.encodeVringState, payloads.decodeVringState],
  [
    "vringAddr",
    fc.record({ index: u32, log: fc.option(u53, { nil: undefined }), desc: page, used: page, avail: page }),
    payloads.encodeVringAddr,
    payloads.decodeVringAddr,
  ],
  [
    "vringFile",
    fc.record({ index: fc.nat(255), hasFd: fc.boolean() }),
    payloads.encodeVringFile,
    payloads.decodeVringFile,
  ],
  [
    "log",
    fc.record({ mmapSize: page.map((size) => size + 1), mmapOffset: page }),
    payloads.encodeLog,
    payloads.decodeLog,
  ],
  [
    "config",
    fc.record({ offset: fc.nat(128), flags: fc.nat(1), data: fc.uint8Array({ minLength: 1, maxLength: 128 }) }),
    payloads.encodeConfig,
    payloads.decodeConfig,
  ],
  [
    "inflight",
    fc.record({
      mmapSize: page,
      mmapOffset: page,
      numQueues: fc.integer({ min: 1, max: 65_535 }),
      queueSize: fc.integer({ min: 1, max: 32_768 }),
    }),
    payloads.encodeInflight,
    payloads.decodeInflight,
  ],
  [
    "memRegion",
    fc.record({
      guestPhysAddr: page.map(gpa),
      memorySize: page.map((size) => size + 4096),
      userspaceAddr: page,
      mmapOffset: page,
    }),
    encodeMemRegion,
    decodeMemRegion,
  ],
  ["memTable", fc.constantFrom([LOW], [HIGH], [LOW, HIGH], [HIGH, LOW]), encodeMemTable, decodeMemTable],
];

describe.each(ROUND_TRIPS)("%s", (_, values, encode, decode) => {
  it("comes back as it was", () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(decode(encode(value as never))).toEqual(value);
      }),
    );
  });

  it("is read, or refused with a named fault, from any bytes, at any place of a buffer", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(8), (bytes, at) => {
        try {
          decode(bytes.subarray(Math.min(at, bytes.length)));
        } catch (fault) {
          expect(fault).toBeInstanceOf(MessageFault);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("is refused with one byte less than it has", () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = encode(value as never);
        expect(() => decode(bytes.subarray(0, bytes.length - 1))).toThrow(/^size-mismatch: /);
      }),
    );
  });
});

describe("bytes written down from the protocol text", () => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

  it("a memory table of one region: count, padding, guest address, size, user address, offset", () => {
    expect(hex(encodeMemTable([HIGH]))).toBe(
      `0100000000000000${"0000000001000000"}${"0000004000000000"}${"00000080007f0000"}${"0000008000000000"}`,
    );
  });

  it("a single region: 64 bits of padding first", () => {
    expect(hex(encodeMemRegion(HIGH))).toBe(`0000000000000000${hex(encodeMemTable([HIGH])).slice(16)}`);
  });

  it("addresses of a queue: index, flags, descriptors, used, available, log", () => {
    expect(hex(payloads.encodeVringAddr({ index: 2, log: 0x55, desc: 0x10, used: 0x24, avail: 0x32 }))).toBe(
      `0200000001000000${"1000000000000000"}${"2400000000000000"}${"3200000000000000"}${"5500000000000000"}`,
    );
  });

  it("a queue without a descriptor: bit 8", () => {
    expect(hex(payloads.encodeVringFile({ index: 3, hasFd: false }))).toBe("0301000000000000");
  });

  it("configuration space: offset, size, flags, bytes", () => {
    expect(hex(payloads.encodeConfig({ offset: 4, flags: 1, data: Uint8Array.of(0xaa, 0xbb) }))).toBe(
      "040000000200000001000000aabb",
    );
  });

  it("the in-flight record: size, offset, queues, entries", () => {
    const area = { mmapSize: 0x1000, mmapOffset: 0, numQueues: 2, queueSize: 128 };
    expect(hex(payloads.encodeInflight(area))).toBe(`0010000000000000${"0000000000000000"}0200800000000000`);
    expect(payloads.decodeInflight(payloads.encodeInflight(area).subarray(0, 20))).toEqual(area);
  });
});

describe("findRegion()", () => {
  it("goes by both addresses and the size, not by the offset", () => {
    expect(findRegion([LOW, HIGH], { ...HIGH, mmapOffset: 0 })).toBe(HIGH);
    expect(findRegion([LOW, HIGH], { ...HIGH, guestPhysAddr: gpa(0) })).toBeUndefined();
  });
});
