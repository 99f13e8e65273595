import { LogTracker } from "../../../dirty/log-tracker.js";
import { bitmapWords, countPages, hasPage } from "../../../dirty/page-bitmap.js";
import { TrackerSet, type WriterClass } from "../../../dirty/tracker-set.js";
import { errno } from "../../../layout/errno.js";
import { PAGE_BYTES } from "../../../memory/address.js";
import { BitmapBackend } from "../../../vfio/bitmap-backend.js";
import { DeviceTracker } from "../../../vfio/device-tracker.js";
import { DmaLogger } from "../../../vfio/dma-logger.js";
import { IovaBitmap, WINDOW_BITMAP_PAGES } from "../../../vfio/iova-bitmap.js";
import { LoggingDevice } from "../../../vfio/logging-device.js";
import { SeqAckBackend } from "../../../vfio/seqack-backend.js";
import { chooseTracking } from "../../../vfio/tracking-choice.js";
import { DIRTY_PAGES, Type1Container } from "../../../vfio/type1-container.js";
import { type DirtySource, ViommuTracker } from "../../../vfio/viommu-tracker.js";
import { runMarkForm } from "../check-first.js";

const PAGES = 64;
const BYTES = PAGES * PAGE_BYTES;

/** Rules of trackers that a migration alone does not show, by name: whether the shipping code keeps them. */
export const TRACKER_CHECKS: Readonly<Record<string, () => boolean>> = {
  "marks are made whatever is there already": () => runMarkForm("dirty-log", 1).lost === 0,
  "a report sets bits and clears none": reportOnlySets,
  "a container's GET overwrites": getOverwrites,
  "an entry across two windows is in both": entryCrossesWindows,
  "a report of some pages leaves the others": partialReportLeavesOthers,
  "an IOMMU is asked before the unmap, a device after it": unmapAsksInTime,
  "a writer that nobody tracks makes everything dirty": () => dirtyPagesOf(["vcpu", "device:a"], 0) === PAGES,
  "a tracker that fails makes everything dirty": () => dirtyPagesOf(["vcpu"], errno("EIO")) === PAGES,
  "a tracker that sees nothing makes nothing dirty": () => dirtyPagesOf(["vcpu"], 0) === 0,
  "one domain that does not track decides for its container": () =>
    chooseTracking({ devicesLog: [false, false], domainsTrack: [true, false], migration: "on" }).uses === "all-dirty",
};

/** Pages that a set reports of which one tracker covers the vCPUs, and answers this. */
function dirtyPagesOf(writers: readonly WriterClass[], answer: number): number {
  const tracker = Object.assign(new LogTracker("log", BYTES), { report: () => answer });
  const set = new TrackerSet([{ tracker, covers: ["vcpu"] }], {
    blocks: [{ gpa: 0, bytes: BYTES }],
    writers,
  });
  set.start();
  const bitmap = new Uint32Array(bitmapWords(PAGES));
  set.syncAll(bitmap);
  return countPages(bitmap);
}

/** REPORT ORs: what another tracker has set in the same words stays (VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT). */
function reportOnlySets(): boolean {
  const logger = new DmaLogger(new BitmapBackend());
  const tracker = new DeviceTracker("device", new LoggingDevice({ logger }));
  tracker.start([{ address: 0, bytes: BYTES }], PAGE_BYTES);
  tracker.markAfterWrite(9 * PAGE_BYTES, 1);
  const bitmap = new Uint32Array(bitmapWords(PAGES));
  bitmap[0] = 1 << 4;
  tracker.report(0, BYTES, PAGE_BYTES, bitmap);
  return hasPage(bitmap, 4) && hasPage(bitmap, 9);
}

/** Unlike those, type1's GET copies: what was there before is gone (specification 3.6). */
function getOverwrites(): boolean {
  const container = new Type1Container();
  container.attach({ name: "a", pinnedOnly: true });
  container.map(0, BYTES);
  container.dirtyPages(DIRTY_PAGES.start);
  container.pin(PAGE_BYTES, PAGE_BYTES);
  const bits = new Uint32Array(bitmapWords(PAGES)).fill(0xffff_ffff);
  container.dirtyPages(DIRTY_PAGES.getBitmap, { iova: 0, bytes: BYTES, bitmap: { pageBytes: PAGE_BYTES, bits } });
  return bits[0] === 2 && bits[1] === 0;
}

function entryCrossesWindows(): boolean {
  const windowPages = WINDOW_BITMAP_PAGES * PAGE_BYTES * 8;
  const bits = new Uint8Array((2 * windowPages) / 8);
  const bitmap = new IovaBitmap({ bits, firstPage: 0, pageCount: 2 * windowPages, grainPages: 1 });
  bitmap.eachWindow(({ firstPage }) => {
    if (firstPage === 0) bitmap.set(windowPages - 8, 16);
    return 0;
  });
  return bits[windowPages / 8 - 1] === 0xff && bits[windowPages / 8] === 0xff;
}

/** The host acknowledges what it delivers, not the word that it is in (specification 3.5). */
function partialReportLeavesOthers(): boolean {
  const backend = new SeqAckBackend();
  backend.start(PAGES);
  for (const unit of [2, 5, 9]) backend.mark(unit, 1);
  const seen: number[] = [];
  backend.collect(4, 8, true, (first) => void seen.push(first));
  backend.collect(0, PAGES, true, (first) => void seen.push(first));
  return seen.join() === "5,2,9";
}

/** The bits of an IOMMU die with the entry; a device's log is whole once it cannot write any more (4.5). */
function unmapAsksInTime(): boolean {
  return (["iommu", "device"] as const).every((kind) => {
    const calls: string[] = [];
    const noted = (call: string) => () => {
      calls.push(call);
      return 0;
    };
    const source: DirtySource = { kind, start: () => 0, stop: () => 0, map: () => 0, ...asked(noted) };
    const tracker = new ViommuTracker("viommu", source, PAGES);
    tracker.start([{ address: 0, bytes: BYTES }], PAGE_BYTES);
    tracker.map(0, PAGE_BYTES, 0);
    tracker.unmap(0);
    return calls.join() === (kind === "iommu" ? "query,unmap" : "unmap,query");
  });
}

function asked(noted: (call: string) => () => number) {
  return { query: noted("query"), unmap: noted("unmap") };
}
