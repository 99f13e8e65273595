import { describe, expect, it } from "vitest";
import type { AfterWriteHook, AtTranslateHook } from "../../src/dirty/discipline.js";
import { errno } from "../../src/layout/errno.js";
import { DenseRam } from "../../src/memory/guest-ram.js";
import { dmaWrite, guestStore, WritePort } from "../../src/vfio/dma.js";

const BYTES = 2 ** 20;
const PAYLOAD = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

/** A page table of leaves of `grain` pages, each with a dirty bit; page `hole` is not mapped. */
class Table implements AtTranslateHook {
  readonly discipline = "mark-at-translate";
  readonly dirty = new Set<number>();
  readonly grain: number;
  readonly hole: number;
  walks = 0;
  constructor(grain: number, hole = -1) {
    this.grain = grain;
    this.hole = hole;
  }
  walkForWrite(page: number) {
    this.walks += 1;
    if (page === this.hole) return undefined;
    const firstPage = page - (page % this.grain);
    this.dirty.add(firstPage);
    return { firstPage, pageCount: this.grain, gpaPage: firstPage };
  }
}

class Log implements AfterWriteHook {
  readonly discipline = "mark-after-write";
  readonly space = "gpa";
  readonly seen: [number, number, number][] = [];
  readonly ram: DenseRam;
  constructor(ram: DenseRam) {
    this.ram = ram;
  }
  markAfterWrite(address: number, bytes: number): void {
    const first = new Uint8Array(1);
    this.ram.read(address, first);
    this.seen.push([address, bytes, first[0]!]);
  }
}

function portOf() {
  const ram = DenseRam.allocate([{ gpa: 0, bytes: BYTES }]);
  const witnessed: [string, number, number][] = [];
  const witness = (writer: string, gpa: number, bytes: number) => witnessed.push([writer, gpa, bytes]);
  const port = new WritePort({ writer: "device:a", ram, witness });
  return { ram, port, witnessed };
}

describe("WritePort", () => {
  it("writes first and marks then, and the oracle comes last", () => {
    const { ram, port, witnessed } = portOf();
    const log = new Log(ram);
    port.markAfterWrite(log);
    expect(dmaWrite(port, 4092, PAYLOAD)).toBe(0);
    expect(log.seen).toEqual([[4092, 8, 1]]);
    expect(witnessed).toEqual([["device:a", 4092, 8]]);
    port.unmark(log);
    expect(guestStore(port, 0, PAYLOAD)).toBe(0);
    expect(log.seen).toHaveLength(1);
  });

  it("writes nothing of a write of which one page is not mapped", () => {
    const { ram, port, witnessed } = portOf();
    port.translateBy(new Table(1, 1));
    expect(dmaWrite(port, 4092, PAYLOAD)).toBe(errno("EFAULT"));
    const bytes = new Uint8Array(8);
    ram.read(4092, bytes);
    expect([...bytes]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect([witnessed.length, port.counters.faults]).toEqual([0, 1]);
    expect(port.permit(4092, 8)).toBe(false);
    expect(port.permit(0, 8)).toBe(true);
  });

  it("a hit marks nothing: without a flush the next write of a cleared page is lost", () => {
    const { port } = portOf();
    const table = new Table(1);
    const cache = port.translateBy(table);
    dmaWrite(port, 0, PAYLOAD);
    table.dirty.clear();
    dmaWrite(port, 0, PAYLOAD);
    expect([...table.dirty]).toEqual([]);
    cache.flush();
    dmaWrite(port, 0, PAYLOAD);
    expect([...table.dirty]).toEqual([0]);
    expect(cache.counters).toMatchObject({ hits: 1, misses: 2, flushes: 1 });
  });

  it("a flush waits for the writes that were translated before", () => {
    const { ram, port } = portOf();
    const cache = port.translateBy(new Table(1));
    expect(port.post(8192, PAYLOAD)).toBe(0);
    const bytes = new Uint8Array(1);
    ram.read(8192, bytes);
    expect(bytes[0]).toBe(0);
    cache.flush();
    ram.read(8192, bytes);
    expect([bytes[0], cache.counters.drained]).toEqual([1, 1]);
  });

  it("remembers large leaves as one entry for each 2 MiB", () => {
    const ram = DenseRam.allocate([{ gpa: 0, bytes: 8 * BYTES }]);
    const port = new WritePort({ writer: "device:a", ram });
    const table = new Table(512);
    port.translateBy(table);
    for (let page = 0; page < 1024; page++) dmaWrite(port, page * 4096, PAYLOAD);
    expect([table.walks, [...table.dirty]]).toEqual([2, [0, 512]]);
  });

  it("a closed gate keeps the writer from its next request", () => {
    const { port } = portOf();
    let open = false;
    port.addGate(() => open);
    expect(port.ready()).toBe(false);
    open = true;
    expect(port.ready()).toBe(true);
  });

  it("does not compile with a tracker of the other discipline", () => {
    const { ram, port } = portOf();
    const wrong = [
      // @ts-expect-error a page table marks when a translation is filled, not after a write
      () => port.markAfterWrite(new Table(1)),
      // @ts-expect-error a log marks after a write: it has no translations that could be flushed
      () => port.translateBy(new Log(ram)),
    ];
    expect(wrong).toHaveLength(2);
  });
});
