import { bitCount } from "../dirty/dirty-log.js";
import { bitmapWords, countPages, hasPage } from "../dirty/page-bitmap.js";
import type { WriterClass } from "../dirty/tracker-set.js";
import { errnoName } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import { BandwidthMeter, Pacer } from "./bandwidth.js";
import { VirtualClock } from "./clock.js";
import { AutoConverge, DirtyLimit } from "./convergence.js";
import { Estimator } from "./estimator.js";
import { EventLog } from "./event-log.js";
import type { MigrationClock, MigrationParts, MigrationStatus } from "./migration.js";
import { PageReceiver, PageSender } from "./sender.js";

/** Ends a migration before it is complete: thrown where it is noticed, caught once in migrate(). */
export class MigrationEnd extends Error {
  override readonly name = "MigrationEnd";
  readonly status: MigrationStatus;

  constructor(status: MigrationStatus, why: string) {
    super(why);
    this.status = status;
  }
}

/** Time between two syncs in the background, where the throttle needs them, nanoseconds. */
const BACKGROUND_SYNC_NS = 5e9;
/** The least time over which auto-converge judges, nanoseconds. */
const JUDGED_PERIOD_NS = 1e9;

/** One migration under way: what is dirty, what is sent, how fast; precopy.ts and stop-copy.ts share it. */
export class Session {
  readonly parts: MigrationParts;
  readonly clock: MigrationClock;
  readonly events: EventLog;
  /** Pages that are still to be sent; all of RAM at first. */
  readonly bitmap: Uint32Array;
  readonly roundBytes: number[] = [];
  readonly pacer: Pacer;
  status: MigrationStatus = "setup";
  round = 0;
  sentBytes = 0;
  downtimeNs = 0;
  readonly #found: Uint32Array;
  readonly #meter: BandwidthMeter;
  readonly #estimator: Estimator;
  readonly #converge: AutoConverge | undefined;
  readonly #limit: DirtyLimit | undefined;
  #lastSyncNs = 0;
  readonly #sender: PageSender;
  readonly #receiver: PageReceiver;
  /** Pages of `bitmap`. */
  #remainingPages: number;
  readonly #judged = { fromNs: 0, dirtiedBytes: 0, sentBytes: 0 };

  constructor(parts: MigrationParts) {
    const { parameters, guest, trackers } = parts;
    this.parts = parts;
    this.clock = parts.clock ?? new VirtualClock();
    this.events = new EventLog(() => this.clock.now());
    this.bitmap = new Uint32Array(bitmapWords(guest.ram.endPage));
    this.#found = new Uint32Array(this.bitmap.length);
    this.pacer = new Pacer(parameters.maxBandwidthBytes);
    this.#meter = new BandwidthMeter(parameters.maxBandwidthBytes, this.clock.now());
    this.#estimator = new Estimator(parameters, this.clock.now());
    this.#converge = parameters.autoConverge ? new AutoConverge(parameters.tailslow) : undefined;
    this.#limit =
      parameters.dirtyLimitBytes > 0
        ? new DirtyLimit(parameters.dirtyLimitBytes, this.clock.now(), this.#vcpuPages())
        : undefined;
    trackers.markAll(this.bitmap);
    this.#remainingPages = countPages(this.bitmap);
    this.#receiver = new PageReceiver(parts.destination);
    this.#sender = new PageSender(guest.ram, (frame) => this.#deliver(frame));
  }

  /** Percent of their time that vCPUs sleep. */
  get throttlePercent(): number {
    return Math.max(this.#converge?.throttlePercent ?? 0, this.#limit?.throttlePercent ?? 0);
  }

  /** Bytes that are still to be sent. */
  remainingBytes(): number {
    return this.#remainingPages * PAGE_BYTES;
  }

  /** Whether so many bytes can be sent within the downtime. */
  fits(remainingBytes: number): boolean {
    return remainingBytes <= this.#estimator.thresholdBytes(this.#meter.bytesPerSecond);
  }

  /** Asks all trackers and adds what they know; an error makes everything dirty. `last`: nobody writes any more. */
  sync(last = false): void {
    const { trackers, oracle, faults, parameters } = this.parts;
    const found = this.#found.fill(0);
    const broken = faults?.sync?.(this.round + 1) ?? 0;
    const known = trackers.syncAll(found, last || parameters.preCopyDirtyPageTracking) && broken === 0;
    if (broken !== 0) trackers.markAll(found);
    oracle?.synced(found);
    const pages = this.#add(found);
    this.#estimator.synced(this.clock.now(), pages);
    this.#lastSyncNs = this.clock.now();
    this.#judged.dirtiedBytes += pages * PAGE_BYTES;
    this.events.note(last ? "last_sync" : "sync", {
      pages,
      known,
      ...(broken === 0 ? {} : { error: errnoName(broken) ?? "" }),
    });
    if (!last) this.#judge();
    this.report();
  }

  /** Sends a page as it is now; the mark was taken before, so a write from now on is seen by the next sync. */
  send(page: number): void {
    const { trackers, oracle, faults } = this.parts;
    trackers.beforeCopy(page, 1);
    if (faults?.channel?.(this.sentBytes / PAGE_BYTES) === false) throw new MigrationEnd("failed", "the channel broke");
    this.#sender.send(page);
    oracle?.copied(page, trackers.clearsBeforeCopy);
    this.sentBytes += PAGE_BYTES;
  }

  /** Lets the guest run for as long as `pages` take to be sent, and looks who has something to say. */
  async live(pages: number): Promise<void> {
    const { guest, cancelled } = this.parts;
    const ns = this.pacer.takesNs(pages);
    guest.run(ns, { share: this.throttlePercent / 100 });
    const wait = this.clock.pass(ns);
    if (wait !== undefined) await wait;
    if (!this.#meter.note(this.clock.now(), this.sentBytes)) return;
    if (cancelled?.() === true) throw new MigrationEnd("cancelled", "cancelled");
    if (this.#limit?.judge(this.clock.now(), this.#vcpuPages()) === true) this.#noteThrottle();
    if (this.#converge !== undefined && this.clock.now() - this.#lastSyncNs >= BACKGROUND_SYNC_NS) this.sync();
    else this.report();
  }

  /** Sends every dirty page once, from the first to the last; `pause` lets time pass. Returns the bytes. */
  async sendAll(pause: (pages: number) => Promise<void>): Promise<number> {
    const { bitmap } = this;
    const { slicePages } = this.pacer;
    const before = this.sentBytes;
    let slice = 0;
    for (let word = 0; word < bitmap.length; word++) {
      if (bitmap[word] === 0) continue;
      for (let page = word * 32; page < word * 32 + 32; page++) {
        if (!hasPage(bitmap, page)) continue;
        bitmap[word]! &= ~(1 << (page & 31));
        this.#remainingPages -= 1;
        this.send(page);
        if (++slice < slicePages) continue;
        await pause(slice);
        slice = 0;
      }
    }
    if (slice > 0) await pause(slice);
    return this.sentBytes - before;
  }

  /** Tells whoever watches where it stands. */
  report(): void {
    const { onProgress } = this.parts;
    if (onProgress === undefined) return;
    const remainingBytes = this.remainingBytes();
    const bandwidthBytes = this.#meter.bytesPerSecond;
    onProgress({
      timeNs: this.clock.now(),
      status: this.status,
      round: this.round,
      remainingBytes,
      sentBytes: this.sentBytes,
      dirtyRateBytes: this.#estimator.dirtyRateBytes,
      bandwidthBytes,
      expectedDowntimeNs: this.#estimator.expectedDowntimeNs(remainingBytes, bandwidthBytes),
      throttlePercent: this.throttlePercent,
    });
  }

  /** Adds pages to those that are to be sent; returns how many there are in `found`. */
  #add(found: Uint32Array): number {
    const { bitmap } = this;
    let pages = 0;
    for (let word = 0; word < found.length; word++) {
      const bits = found[word]!;
      if (bits === 0) continue;
      pages += bitCount(bits);
      this.#remainingPages += bitCount(bits & ~bitmap[word]!);
      bitmap[word]! |= bits;
    }
    return pages;
  }

  /** The channel: what arrives is put into the destination's RAM. */
  #deliver(frame: Uint8Array): void {
    this.parts.faults?.frame?.(frame, this.sentBytes / PAGE_BYTES);
    const fault = this.#receiver.receive(frame);
    if (fault !== undefined) throw new MigrationEnd("failed", `a page arrived damaged: ${fault}`);
  }

  #judge(): void {
    const judged = this.#judged;
    const now = this.clock.now();
    if (this.#converge === undefined || this.round === 0 || now - judged.fromNs < JUDGED_PERIOD_NS) return;
    if (this.#converge.judge(judged.dirtiedBytes, this.sentBytes - judged.sentBytes)) this.#noteThrottle();
    Object.assign(judged, { fromNs: now, dirtiedBytes: 0, sentBytes: this.sentBytes });
  }

  #noteThrottle(): void {
    this.events.note("throttle", { percent: this.throttlePercent });
  }

  /** Marks of whoever tracks the vCPUs: entries of their dirty rings. */
  #vcpuPages(): number {
    const vcpu: WriterClass = "vcpu";
    const entries = this.parts.trackers.entries.filter(({ covers }) => covers.includes(vcpu));
    return entries.reduce((sum, { tracker }) => sum + tracker.counters.marks, 0);
  }
}
