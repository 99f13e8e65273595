/** The errors of VFIO_DEVICE_FEATURE and of DMA logging, exactly and in their order (specification 2.3, 3.2 to 3.4). */
import { describe, expect, it } from "vitest";
import { errno, errnoName } from "../../src/layout/errno.js";
import { BitmapBackend } from "../../src/vfio/bitmap-backend.js";
import { canLogDma } from "../../src/vfio/device-tracker.js";
import { DmaLogger, type LoggerLimits } from "../../src/vfio/dma-logger.js";
import {
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
} from "../../src/vfio/feature-layout.js";
import { type FeatureHook, LoggingDevice, PCI_CORE_HOOK } from "../../src/vfio/logging-device.js";
import { UserMemory } from "../../src/vfio/user-memory.js";
import { feature, report, type StartCall, start } from "./feature-calls.js";

const PAGE = 4096n;
const START = VFIO_DEVICE_FEATURE_DMA_LOGGING_START;
const STOP = VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP;
const REPORT = VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;
const GET = VFIO_DEVICE_FEATURE_GET;
const SET = VFIO_DEVICE_FEATURE_SET;
const PROBE = VFIO_DEVICE_FEATURE_PROBE;

function device(limits: Partial<LoggerLimits> = {}, backend = new BitmapBackend()): LoggingDevice {
  return new LoggingDevice({ logger: new DmaLogger(backend, limits) });
}

function many(count: number): { iova: bigint; length: bigint }[] {
  return Array.from({ length: count }, (_, i) => ({ iova: BigInt(i) * 2n * PAGE, length: PAGE }));
}

const range = (iova: bigint, length: bigint) => ({ iova, length });

describe("T3.1: START", () => {
  const rows: readonly (readonly [string, StartCall, string | undefined])[] = [
    ["no ranges", { rangeCount: 0 }, "EINVAL"],
    ["no ranges comes before a wrong page size", { rangeCount: 0, pageSize: 3n }, "EINVAL"],
    ["257 ranges", { ranges: many(257) }, "E2BIG"],
    ["257 ranges come before a wrong page size", { ranges: many(257), pageSize: 0n }, "E2BIG"],
    ["256 ranges are not too many", { ranges: many(256) }, undefined],
    ["ranges that cannot be read", { at: 0x10n }, "EFAULT"],
    ["a first address that is not aligned", { ranges: [range(1n, PAGE)] }, "EINVAL"],
    ["a length that is not aligned", { ranges: [range(0n, PAGE + 1n)] }, "EINVAL"],
    ["alignment is to the page size asked for", { ranges: [range(PAGE, 2n * PAGE)], pageSize: 8192n }, "EINVAL"],
    ["the last page of 64 bits", { ranges: [range(2n ** 64n - PAGE, PAGE)] }, "EOVERFLOW"],
    ["an end far behind 64 bits", { ranges: [range(2n ** 63n, 2n ** 63n + PAGE)] }, "EOVERFLOW"],
    ["the page before the last of 64 bits", { ranges: [range(2n ** 64n - 2n * PAGE, PAGE)] }, undefined],
    ["alignment comes before the overflow", { ranges: [range(2n ** 64n - 1n, PAGE)] }, "EINVAL"],
    ["ranges that overlap", { ranges: [range(0n, 4n * PAGE), range(3n * PAGE, PAGE)] }, "EINVAL"],
    ["ranges that touch do not overlap", { ranges: [range(0n, PAGE), range(PAGE, PAGE)] }, undefined],
    [
      "an overflow comes before a later overlap",
      { ranges: [range(2n ** 64n - PAGE, PAGE), ...many(1), ...many(1)] },
      "EOVERFLOW",
    ],
    ["an empty range", { ranges: [range(0n, 0n)] }, "EINVAL"],
    ["page size 0", { pageSize: 0n }, "EINVAL"],
    ["a page size that is no power of two", { pageSize: 12_288n }, "EINVAL"],
    ["a page size below 4096", { pageSize: 2048n }, "EINVAL"],
    ["an answer that cannot be copied out", { writable: false }, "EFAULT"],
  ];
  it.each(rows)("T3.1: %s", (_, call, name) => {
    const made = device();
    expect(errnoName(start(made, call).result)).toBe(name);
    expect(made.logger!.active).toBe(name === undefined);
  });

  it("T3.1: a second START is EINVAL and leaves the first as it is", () => {
    const made = device();
    expect(start(made).result).toBe(0);
    made.logger!.mark(3, 1);
    expect(errnoName(start(made).result)).toBe("EINVAL");
    const bits = new Uint8Array(32);
    expect(report(made, { iova: 0n, length: 0x10_0000n, bits })).toBe(0);
    expect(bits[0]).toBe(8);
  });

  it("T3.1: what the device cannot express when it is combined is EOPNOTSUPP, what it has no room for ENOMEM", () => {
    const apart = { ranges: [range(0n, PAGE), range(2n ** 40n, PAGE)] };
    expect(start(device({ rangesMax: 2, spaceShiftMax: 30 }), apart).result).toBe(0);
    expect(errnoName(start(device({ rangesMax: 1, spaceShiftMax: 30 }), apart).result)).toBe("EOPNOTSUPP");
    expect(errnoName(start(device({ spaceShiftMin: 24 }), {}).result)).toBe("EOPNOTSUPP");
    expect(errnoName(start(device({}, new BitmapBackend(undefined, 16)), {}).result)).toBe("ENOMEM");
  });

  it("T3.7: a device of 64 KiB pages says so, and one byte makes 16 bits at 4 KiB", () => {
    const made = device({ pageBytesMin: 65_536 });
    expect(start(made)).toEqual({ result: 0, pageSize: 65_536n });
    made.logger!.mark(17, 1);
    const bits = new Uint8Array(32);
    expect(report(made, { iova: 0n, length: 0x10_0000n, bits })).toBe(0);
    expect([...bits].map((byte) => byte.toString(16)).join("")).toBe(`00ffff${"0".repeat(28)}`);
  });

  it("T3.7: a wish above the largest page of the device is lowered", () => {
    const call = { pageSize: 2n ** 22n, ranges: [range(0n, 2n ** 22n)] };
    expect(start(device(), call)).toEqual({ result: 0, pageSize: 2n ** 21n });
  });
});

describe("STOP and REPORT", () => {
  const all = { iova: 0n, length: 0x10_0000n, bits: new Uint8Array(32) };

  it("A06: REPORT before START is EINVAL, as after STOP; STOP twice is fine", () => {
    const made = device();
    expect(errnoName(report(made, all))).toBe("EINVAL");
    start(made);
    expect(report(made, all)).toBe(0);
    expect(feature(made, STOP | SET)).toBe(0);
    expect(feature(made, STOP | SET)).toBe(0);
    expect(errnoName(report(made, all))).toBe("EINVAL");
  });

  it.each([
    ["page size 2048", { ...all, pageSize: 2048n }, "EINVAL"],
    ["page size 12288", { ...all, pageSize: 12_288n }, "EINVAL"],
    ["behind 64 bits", { ...all, iova: 2n ** 64n - PAGE, length: PAGE }, "EOVERFLOW"],
    ["no length", { ...all, length: 0n }, "EINVAL"],
    ["a bitmap that is too short", { ...all, bits: new Uint8Array(31) }, "EFAULT"],
    ["a bitmap that is not there", { iova: 0n, length: PAGE }, "EFAULT"],
    ["what is not logged", { ...all, iova: 2n ** 40n }, undefined],
    ["the page before the last of 64 bits", { ...all, iova: 2n ** 64n - 2n * PAGE, length: PAGE }, undefined],
  ])("T3.1: REPORT: %s", (_, call, name) => {
    const made = device();
    start(made);
    expect(errnoName(report(made, call))).toBe(name);
  });

  it("T3.1: a device that has lost track answers EIO", () => {
    const made = device();
    start(made);
    made.logger!.broken = true;
    expect(errnoName(report(made, all))).toBe("EIO");
  });

  it("what was pending is gone after STOP, and what was written before START is never reported", () => {
    const made = device();
    made.logger!.mark(5, 1);
    start(made);
    made.logger!.mark(6, 1);
    feature(made, STOP | SET);
    start(made);
    const bits = new Uint8Array(32);
    report(made, { ...all, bits });
    expect(bits.every((byte) => byte === 0)).toBe(true);
  });

  it("the last pages of 64 bits are logged and reported where they lie", () => {
    const made = device();
    const iova = 2n ** 64n - 9n * PAGE;
    expect(start(made, { ranges: [{ iova, length: 8n * PAGE }] }).result).toBe(0);
    made.logger!.mark(2 ** 52 - 3, 1);
    const bits = new Uint8Array(8);
    expect(report(made, { iova, length: 8n * PAGE, bits })).toBe(0);
    expect(bits[0]).toBe(1 << 6);
  });
});

describe("VFIO_DEVICE_FEATURE's own checks, in their order", () => {
  const bare = new LoggingDevice({});
  const rows: readonly (readonly [string, number, string | undefined, { argsz?: number; bytes?: number }])[] = [
    ["argsz below its header", START | SET, "EINVAL", { argsz: 7 }],
    ["unknown flags", START | SET | (1 << 19), "EINVAL", {}],
    ["GET and SET without PROBE", START | SET | GET, "EINVAL", {}],
    ["an operation that START does not have", START | GET, "EINVAL", {}],
    ["an operation that REPORT does not have", REPORT | SET, "EINVAL", {}],
    ["PROBE of an operation that START does not have", START | GET | PROBE, "EINVAL", {}],
    ["PROBE touches no data", START | SET | PROBE, undefined, {}],
    ["PROBE of nothing", START | PROBE, undefined, {}],
    ["neither GET nor SET", START, "EINVAL", {}],
    ["too little data", START | SET, "EINVAL", { bytes: 23 }],
    ["data that cannot be read", START | SET, "EFAULT", { argsz: 32 }],
    ["STOP needs no data", STOP | SET, undefined, {}],
  ];
  it.each(rows)("%s", (_, flags, name, { argsz, bytes }) => {
    const given = { ...(argsz === undefined ? {} : { argsz }), data: new Uint8Array(bytes ?? 0) };
    expect(errnoName(feature(device(), flags, given))).toBe(name);
  });

  it("a driver without log_ops is ENOTTY, but only after the flags are checked", () => {
    expect(errnoName(feature(bare, START | SET))).toBe("ENOTTY");
    expect(errnoName(feature(bare, START | GET | PROBE))).toBe("ENOTTY");
    expect(errnoName(feature(bare, START | SET | GET))).toBe("EINVAL");
  });

  it("an unknown index is the driver's: EINVAL without a hook, ENOTTY from the PCI core", () => {
    expect(errnoName(feature(device(), 99 | GET))).toBe("EINVAL");
    expect(errnoName(feature(new LoggingDevice({ hook: PCI_CORE_HOOK }), 99 | GET))).toBe("ENOTTY");
    const seen: number[] = [];
    const hook: FeatureHook = (index) => {
      seen.push(index);
      return errno("EOPNOTSUPP");
    };
    expect(errnoName(feature(new LoggingDevice({ hook }), 99 | GET))).toBe("EOPNOTSUPP");
    expect(seen).toEqual([99]);
  });

  it("an argument that is not there is EFAULT", () => {
    expect(errnoName(device().feature(new UserMemory(), 0x5000n))).toBe("EFAULT");
  });

  it("B03: features 6, 7 and 8 are probed, and a driver without them makes the device not capable", () => {
    expect(canLogDma(device())).toBe(true);
    expect(canLogDma(bare)).toBe(false);
  });
});
