import { bitmapWords, countPages, hasPage } from "../../src/dirty/page-bitmap.js";
import {
  type TrackerEntry,
  TrackerSet,
  type TrackerSetOptions,
  type WriterClass,
} from "../../src/dirty/tracker-set.js";
import { PAGE_BYTES } from "../../src/memory/address.js";
import { DenseRam, type RamBlock } from "../../src/memory/guest-ram.js";
import { Oracle } from "../../src/migration/oracle.js";
import { BitmapBackend } from "../../src/vfio/bitmap-backend.js";
import { DeviceTracker } from "../../src/vfio/device-tracker.js";
import { dmaWrite, guestStore, WritePort } from "../../src/vfio/dma.js";
import { DmaLogger, type LoggerLimits } from "../../src/vfio/dma-logger.js";
import type { Hwpt } from "../../src/vfio/hwpt.js";
import type { IommuProfileName } from "../../src/vfio/iommu-profile.js";
import { IommuTracker } from "../../src/vfio/iommu-tracker.js";
import { HWPT_ALLOC, type HwptChoice, Iommufd } from "../../src/vfio/iommufd.js";
import type { LogBackend } from "../../src/vfio/log-backend.js";
import { LoggingDevice } from "../../src/vfio/logging-device.js";
import { QueueBackend } from "../../src/vfio/queue-backend.js";
import { SeqAckBackend } from "../../src/vfio/seqack-backend.js";
import { copyPage } from "../helpers/copy-page.js";

export const MIB = 2 ** 20;
/** RAM with a hole between its blocks, as the lab's is, in small. */
export const BLOCKS: readonly RamBlock[] = [
  { gpa: 0, bytes: 12 * MIB },
  { gpa: 16 * MIB, bytes: 4 * MIB },
];

/** RAM, a destination, choke points and the oracle: a migration by hand. */
export class Ground {
  readonly ram: DenseRam;
  readonly destination: DenseRam;
  readonly oracle: Oracle;
  readonly blocks: readonly RamBlock[];
  readonly #ports = new Map<WriterClass, WritePort>();
  #payload = 0;

  constructor(blocks: readonly RamBlock[] = BLOCKS) {
    this.blocks = blocks;
    this.ram = DenseRam.allocate(blocks);
    this.destination = DenseRam.allocate(blocks);
    this.oracle = new Oracle(this.ram);
  }

  port(writer: WriterClass): WritePort {
    const found = this.#ports.get(writer) ?? new WritePort({ writer, ram: this.ram, witness: this.oracle.wrote });
    this.#ports.set(writer, found);
    return found;
  }

  /** Writes a byte that differs from the last one, in the page of this number (of the writer's address space). */
  touch(writer: WriterClass, page: number, at = 0): number {
    this.#payload = (this.#payload % 251) + 1;
    const store = writer === "vcpu" ? guestStore : dmaWrite;
    return store(this.port(writer), page * PAGE_BYTES + at, new Uint8Array([this.#payload]));
  }

  trackers(entries: readonly TrackerEntry[], options: Partial<TrackerSetOptions> = {}): TrackerSet {
    return new TrackerSet(entries, { blocks: this.blocks, writers: [...this.#ports.keys()], ...options });
  }

  /** Syncs, then copies what is reported; returns the bitmap. */
  round(set: TrackerSet): Uint32Array {
    const bitmap = new Uint32Array(bitmapWords(this.ram.endPage));
    set.syncAll(bitmap);
    this.oracle.synced(bitmap);
    for (let page = 0; page < this.ram.endPage; page++) {
      if (!hasPage(bitmap, page)) continue;
      copyPage(this.ram, page, this.destination);
      this.oracle.copied(page);
    }
    return bitmap;
  }

  /** Stops everybody, syncs for the last time, and counts the pages that were lost. */
  finish(set: TrackerSet): number {
    for (const port of this.#ports.values()) port.drain();
    set.settle();
    this.round(set);
    return this.oracle.judge(this.ram, this.destination).misses;
  }

  /** Page numbers of RAM. */
  pages(): number[] {
    return this.blocks.flatMap(({ gpa, bytes }) =>
      Array.from({ length: bytes / PAGE_BYTES }, (_, i) => gpa / PAGE_BYTES + i),
    );
  }
}

/** The three ways in which a device keeps what it wrote. */
export const BACKENDS: readonly (readonly [string, () => LogBackend])[] = [
  ["bitmap", () => new BitmapBackend()],
  ["seqack", () => new SeqAckBackend()],
  ["queue", () => new QueueBackend(undefined, { posted: 4, consumed: 2 })],
];

/** A device that logs what a port writes. */
export function loggedBy(
  port: WritePort,
  backend: LogBackend = new BitmapBackend(),
  limits: Partial<LoggerLimits> = {},
): DeviceTracker {
  const logger = new DmaLogger(backend, limits);
  const tracker = new DeviceTracker(`device:${port.writer}`, new LoggingDevice({ logger }));
  port.markAfterWrite(tracker);
  return tracker;
}

/** A domain with guest RAM mapped where it lies, and what belongs to it. */
export interface Domain {
  readonly fd: Iommufd;
  readonly ioasId: number;
  readonly deviceId: number;
  readonly hwptId: number;
  readonly hwpt: Hwpt;
  readonly tracker: IommuTracker;
}

/** Makes a domain for ports that share it. */
export function domainOf(
  blocks: readonly RamBlock[],
  ports: readonly WritePort[],
  choice: HwptChoice & { readonly profile?: IommuProfileName; readonly demotes?: boolean } = {},
): Domain {
  const fd = new Iommufd();
  const ioasId = fd.allocIoas();
  for (const { gpa, bytes } of blocks) fd.ioas(ioasId)!.map(gpa, bytes, gpa);
  const deviceId = fd.addDevice(choice.profile ?? "amd");
  const hwptId = fd.allocHwpt(deviceId, ioasId, HWPT_ALLOC.dirtyTracking, choice);
  for (const port of ports) fd.attach(deviceId, hwptId, (hwpt) => port.translateBy(hwpt));
  const tracker = new IommuTracker(`iommu${hwptId}`, fd, hwptId, choice.demotes);
  return { fd, ioasId, deviceId, hwptId, hwpt: fd.hwpt(hwptId)!, tracker };
}

/** A report as a list of page numbers, from `address` on. */
export function reported(
  tracker: { report(address: number, bytes: number, pageBytes: number, bitmap: Uint32Array): number },
  address: number,
  bytes: number,
  pageBytes = PAGE_BYTES,
): number[] {
  const bits = Math.ceil(bytes / pageBytes);
  const bitmap = new Uint32Array(bitmapWords(bits));
  const result = tracker.report(address, bytes, pageBytes, bitmap);
  if (result < 0) throw new Error(`report answers ${result}`);
  return pagesIn(bitmap);
}

/** The set bits of a bitmap. */
export function pagesIn(bitmap: Uint32Array): number[] {
  const pages: number[] = [];
  if (countPages(bitmap) === 0) return pages;
  for (let page = 0; page < bitmap.length * 32; page++) if (hasPage(bitmap, page)) pages.push(page);
  return pages;
}
