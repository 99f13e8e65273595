import { PAGE_BYTES } from "../../src/memory/address.js";
import { HWPT_ALLOC, Iommufd } from "../../src/vfio/iommufd.js";
import { IovaBitmap } from "../../src/vfio/iova-bitmap.js";
import { check, nowNs } from "../kernels/kernel.js";

/** Nanoseconds of one GET_DIRTY_BITMAP by part, each measured by itself, and all of it measured at once. */
export interface Phases {
  readonly leaf: "4k" | "2m";
  readonly densityPercent: number;
  /** The walk over the table, with nothing to set. */
  readonly scanNs: number;
  /** Setting the bits that were found. */
  readonly setNs: number;
  /** Copying the finished bits to the user's bitmap. */
  readonly copyNs: number;
  /** The three together, in one call that copies. */
  readonly totalNs: number;
  readonly copiedBytes: number;
  /** Copied where only words that are not zero are. */
  readonly sparseBytes: number;
}

/** The quickest of so many counts. */
const TIMES = 25;

/** Takes a report of a domain apart: scan, set, copy (specification 1, row A13); `pages` is a multiple of 512. */
export function phasesOf(leaf: Phases["leaf"], pages: number, densityPercent: number): Phases {
  const hwpt = domainOf(leaf, pages);
  const range = { firstPage: 0, pageCount: pages };
  const bits = new Uint8Array(pages / 8);
  const bitmap = (path: "in-place" | "copy" | "sparse") =>
    new IovaBitmap({ bits, firstPage: 0, pageCount: pages, grainPages: 1, path });
  const read = (path: "in-place" | "copy" | "sparse") => {
    const target = bitmap(path);
    const ns = timed(() => check(hwpt.readAndClearDirty(range, target, { noClear: true }) === 0, "all is mapped"));
    return { ns, copiedBytes: target.counters.copiedBytes };
  };
  const least = (measure: () => number) => Math.min(...Array.from({ length: TIMES }, measure));
  const scanNs = least(() => read("in-place").ns);
  const dirty = Math.round((pages * densityPercent) / 100);
  const grain = leaf === "4k" ? 1 : 512;
  const leaves = new Set<number>();
  for (let i = 0; i < dirty; i++) {
    const page = Math.floor((i * pages) / dirty);
    check(hwpt.walkForWrite(page) !== undefined, "the page is mapped");
    leaves.add(Math.floor(page / grain) * grain);
  }
  const found = Int32Array.from(leaves);
  const setNs = least(() => {
    let ns = 0;
    bits.fill(0);
    const target = bitmap("in-place");
    target.eachWindow(({ firstPage, pageCount }) => {
      ns += timed(() => {
        for (const page of found) if (page >= firstPage && page < firstPage + pageCount) target.set(page, grain);
      });
      return 0;
    });
    return ns;
  });
  const copyNs = least(() => {
    const target = bitmap("copy");
    return timed(() => target.eachWindow(() => 0));
  });
  const totalNs = least(() => read("copy").ns);
  const { copiedBytes } = read("copy");
  bits.fill(0);
  const sparseBytes = read("sparse").copiedBytes;
  return { leaf, densityPercent, scanNs, setNs, copyNs, totalNs, copiedBytes, sparseBytes };
}

function domainOf(leaf: Phases["leaf"], pages: number) {
  const fd = new Iommufd();
  const ioasId = fd.allocIoas();
  check(fd.ioas(ioasId)!.map(0, pages * PAGE_BYTES, 0) === 0, "RAM is mapped");
  const choice = { hugePages: leaf === "2m" };
  const hwptId = fd.allocHwpt(fd.addDevice("amd"), ioasId, HWPT_ALLOC.dirtyTracking, choice);
  check(fd.setDirtyTracking(hwptId, 1) === 0, "the domain tracks");
  return fd.hwpt(hwptId)!;
}

function timed(work: () => void): number {
  const start = nowNs();
  work();
  return nowNs() - start;
}
