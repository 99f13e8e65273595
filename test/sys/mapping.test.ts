import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { RealMemory } from "../../src/memory/real-memory.js";
import { EventFdNotifier } from "../../src/sys/event-fd.js";
import { OwnedFd } from "../../src/sys/fd.js";
import {
  MAPPING_BYTES_MAX,
  type Mapping,
  MappingFault,
  type MappingReason,
  map,
  WINDOW_BYTES,
  windowsAt,
} from "../../src/sys/mapping.js";
import { createMemfd, isShrinkSealed } from "../../src/sys/memfd.js";
import { libc } from "../../src/sys/native.js";
import { leavesNoDescriptor } from "../helpers/descriptors.js";

const PAGE = 4096;
const RW = { prot: "read-write" } as const;

/** Maps a new memfd once or more often, lets `use` have the mappings, gives all back. */
function withMappings(bytes: number, count: number, use: (mappings: readonly Mapping[], fd: OwnedFd) => void): void {
  leavesNoDescriptor(() => {
    const fd = createMemfd("test", bytes);
    const mappings = Array.from({ length: count }, () => map(fd, bytes, 0, RW));
    try {
      use(mappings, fd);
    } finally {
      for (const mapping of mappings) mapping.unmap();
      fd.close();
    }
  });
}

describe("a Mapping", () => {
  it("is shared with every other of the same file", () => {
    withMappings(2 * PAGE, 2, ([one, two]) => {
      const a = new RealMemory(one!.windows[0]!.buffer);
      const b = new RealMemory(two!.windows[0]!.buffer);
      a.write32(8, 0x1234_5678);
      a.publish16(PAGE, 7);
      expect(b.read32(8)).toBe(0x1234_5678);
      expect(b.observe16(PAGE)).toBe(7);
      b.setBits32(12, 5);
      expect(a.takeBits32(12)).toBe(5);
      expect(b.read32(12)).toBe(0);
    });
  });

  it("begins at the offset it was asked for", () => {
    withMappings(3 * PAGE, 1, ([whole], fd) => {
      const part = map(fd, PAGE, 2 * PAGE, RW);
      new RealMemory(whole!.windows[0]!.buffer).write32(2 * PAGE, 99);
      expect(new RealMemory(part.windows[0]!.buffer).read32(0)).toBe(99);
      part.unmap();
    });
  });

  it("of 2.5 GiB is seen in windows, each byte at their edges in one of them", () => {
    const bytes = 2.5 * 2 ** 30;
    withMappings(bytes, 1, ([mapping], fd) => {
      const { windows } = mapping!;
      expect(windows.map(({ offset, bytes: length }) => [offset, length])).toEqual([
        [0, WINDOW_BYTES],
        [WINDOW_BYTES, WINDOW_BYTES],
        [2 * WINDOW_BYTES, WINDOW_BYTES / 2],
      ]);
      const memories = windows.map(({ buffer }) => new RealMemory(buffer));
      memories.forEach((memory, i) => {
        memory.write32(0, 100 + i);
        memory.write32(memory.byteLength - 4, 200 + i);
      });
      // The same places through small mappings of their own.
      for (const [i, { offset, bytes: length }] of windows.entries()) {
        expect(wordAt(fd, offset)).toBe(100 + i);
        expect(wordAt(fd, offset + length - 4)).toBe(200 + i);
      }
    });
  });

  it("need not end with a page", () => {
    withMappings(PAGE + 12, 1, ([mapping]) => {
      expect(mapping!.windows[0]!.buffer.byteLength).toBe(PAGE + 12);
      new RealMemory(mapping!.windows[0]!.buffer).write32(PAGE + 8, 1);
    });
  });

  it("is found again by its address, as another thread would", () => {
    withMappings(PAGE, 1, ([mapping]) => {
      const [window] = windowsAt(mapping!.address, mapping!.bytes);
      new RealMemory(mapping!.windows[0]!.buffer).write32(4, 5);
      expect(new RealMemory(window!.buffer).read32(4)).toBe(5);
    });
  });

  it("has no windows after unmap(), which may be called again", () => {
    withMappings(PAGE, 1, ([mapping]) => {
      expect(mapping!.isMapped).toBe(true);
      mapping!.unmap();
      mapping![Symbol.dispose]();
      expect(mapping!.isMapped).toBe(false);
      expect(() => mapping!.windows).toThrow(/not used after unmap/);
    });
  });

  it("takes the bytes from the views of its own thread in unmap(), where the engine can", (ctx) => {
    if (!("transfer" in ArrayBuffer.prototype)) return ctx.skip(`${process.version} cannot detach a foreign buffer`);
    withMappings(PAGE, 1, ([mapping]) => {
      const words = new Int32Array(mapping!.windows[0]!.buffer);
      mapping!.unmap();
      expect(words.length).toBe(0);
    });
  });

  it("is gone from the process after unmap()", () => {
    withMappings(PAGE, 1, ([mapping]) => {
      const start = mapping!.address.toString(16);
      expect(readFileSync("/proc/self/maps", "latin1")).toContain(start);
      mapping!.unmap();
      expect(readFileSync("/proc/self/maps", "latin1")).not.toMatch(new RegExp(`^${start}-`, "m"));
    });
  });

  it("outlives the descriptor it was made from", () => {
    const fd = createMemfd("test", PAGE);
    const mapping = map(fd, PAGE, 0, { prot: "read" });
    fd.close();
    expect(new RealMemory(mapping.windows[0]!.buffer).read32(0)).toBe(0);
    mapping.unmap();
  });
});

/** Reads a word by way of a mapping of its page alone. */
function wordAt(fd: OwnedFd, offset: number): number {
  const page = Math.floor(offset / PAGE) * PAGE;
  const mapping = map(fd, PAGE, page, { prot: "read" });
  try {
    return new RealMemory(mapping.windows[0]!.buffer).read32(offset - page);
  } finally {
    mapping.unmap();
  }
}

describe("map()", () => {
  const refuses = (bytes: number, offset: number, reason: MappingReason, given?: OwnedFd) =>
    leavesNoDescriptor(() => {
      const fd = given ?? createMemfd("test", 2 * PAGE);
      expect(() => map(fd, bytes, offset, RW)).toThrow(MappingFault);
      expect(() => map(fd, bytes, offset, RW)).toThrow(expect.objectContaining({ reason }));
      if (given === undefined) fd.close();
    });

  it.each([
    [2 * PAGE + 1, 0],
    [PAGE + 1, PAGE],
    [1, 2 * PAGE],
    [MAPPING_BYTES_MAX, 2 ** 52],
  ])("refuses %s bytes at %s of a file that ends before: touching them would be SIGBUS", (bytes, offset) => {
    refuses(bytes, offset, "too-short");
  });

  it("the twin: the kernel itself maps what lies behind the end of a file", () => {
    const fd = createMemfd("test", PAGE);
    const address = libc.mmap(0, 3 * PAGE, 3, 1, fd.fd, 0);
    expect(Number(address)).toBeGreaterThan(0);
    expect(libc.munmap(BigInt(address), 3 * PAGE)).toBe(0);
    fd.close();
  });

  it.each([0, -1, 0.5, Number.NaN, MAPPING_BYTES_MAX + 1, 2 ** 60])("refuses a length of %s", (bytes) => {
    refuses(bytes, 0, "size");
  });

  it.each([1, PAGE - 1, -PAGE, 2 ** 60, Number.NaN])("refuses an offset of %s", (offset) => {
    refuses(PAGE, offset, "offset");
  });

  it("refuses what is no file with bytes", () => {
    const event = EventFdNotifier.create();
    refuses(PAGE, 0, "not-a-file", event.owned);
    event.close();
    const device = new OwnedFd(openSync("/dev/zero", "r+"));
    refuses(PAGE, 0, "not-a-file", device);
    device.close();
  });

  it("names what the kernel refuses: a file open for reading, to be written", () => {
    const folder = mkdtempSync(join(tmpdir(), "test-map-"));
    writeFileSync(join(folder, "file"), Buffer.alloc(PAGE));
    const fd = new OwnedFd(openSync(join(folder, "file"), "r"));
    expect(() => map(fd, PAGE, 0, RW)).toThrow(expect.objectContaining({ syscall: "mmap", code: "EACCES" }));
    map(fd, PAGE, 0, { prot: "read" }).unmap();
    fd.close();
    rmSync(folder, { recursive: true });
  });
});

describe("createMemfd()", () => {
  it("makes a file that nobody can shorten or lengthen, nor seal further", () => {
    const fd = createMemfd("sealed", PAGE);
    expect(isShrinkSealed(fd)).toBe(true);
    for (const bytes of [0, PAGE - 1, PAGE + 1]) expect(libc.ftruncate(fd.fd, bytes)).toBe(-1);
    fd.close();
  });

  it("the twin: one that is not sealed can be shortened, and says so", () => {
    const fd = createMemfd("open", PAGE, { sealed: false });
    expect(isShrinkSealed(fd)).toBe(false);
    expect(libc.ftruncate(fd.fd, 0)).toBe(0);
    fd.close();
  });

  it("isShrinkSealed() is false of a file that knows no seals", () => {
    const fd = new OwnedFd(openSync("/dev/null", "r"));
    expect(isShrinkSealed(fd)).toBe(false);
    fd.close();
  });

  it("takes nothing until it is touched", () => {
    const fd = createMemfd("sparse", 2 ** 40);
    fd.close();
  });

  it("leaves nothing behind when the kernel refuses", () => {
    leavesNoDescriptor(() => {
      expect(() => createMemfd("n".repeat(300), PAGE)).toThrow(expect.objectContaining({ code: "EINVAL" }));
    });
  });
});
