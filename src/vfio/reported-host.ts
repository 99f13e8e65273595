import { type ErrnoResult, errno } from "../layout/errno.js";
import { u16 } from "../memory/shared-memory.js";
import { DriverRing } from "../ring/driver-ring.js";
import { PeerFault } from "../ring/peer-fault.js";
import {
  REPORT_BUFFER_BYTES,
  REPORT_ENTRY_BYTES,
  type ReportedRun,
  type ReportMemory,
  readRun,
} from "./reported-memory.js";

/**
 * The host's half of a report queue: posts empty buffers, takes filled ones, and begins a generation each time.
 *
 *     look what is used ──► next generation ──► read no more than that ──► post again ──► (copy the pages)
 *
 * The order makes the device's memory of what it reported right. What is given back after the look is not read: so each
 * entry that is read is of a generation that ends before the copy, and a page that the device takes for reported was
 * written before that copy, or has an entry that is still to be read.
 */
export class ReportHost {
  readonly counters = { entries: 0, buffers: 0, generations: 0, overflows: 0, faults: 0 };
  readonly #report: ReportMemory;
  readonly #ring: DriverRing;
  readonly #endPage: number;
  /** By head: the buffer that lies there. */
  readonly #bufferOf: Int32Array;
  #generation = 0;
  #broken = false;

  /** `endPage`: one past the last page that an entry may name. */
  constructor(report: ReportMemory, endPage: number) {
    this.#report = report;
    this.#endPage = endPage;
    this.#ring = new DriverRing(report.areas, { eventIdx: false });
    this.#bufferOf = new Int32Array(report.bufferCount);
    for (let index = 0; index < report.bufferCount; index++) this.#post(index);
    this.#ring.publishAvail();
  }

  /**
   * Takes what the device has given back; the runs, or "all" where it had no room for some.
   *
   * EIO where the device breaks the rules of the ring or names pages that are not there: nothing is known then.
   */
  harvest(): ReportedRun[] | "all" | ErrnoResult {
    if (this.#broken) return errno("EIO");
    try {
      return this.#harvest();
    } catch (error) {
      if (!(error instanceof PeerFault)) throw error;
      this.counters.faults += 1;
      this.#broken = true;
      return errno("EIO");
    }
  }

  #harvest(): ReportedRun[] | "all" | ErrnoResult {
    const ring = this.#ring;
    const runs: ReportedRun[] = [];
    const faults = this.counters.faults;
    // Looked at once, and before the generation ends: what is given back from then on belongs to the next harvest.
    const isEmpty = ring.arm();
    if (!isEmpty) this.#nextGeneration();
    const overflow = this.#report.takeOverflow();
    while (ring.state.lastUsedIdx !== ring.state.usedIdx && ring.takeUsed()) {
      this.#read(this.#bufferOf[ring.used.id]!, ring.used.len, runs);
      this.#post(this.#bufferOf[ring.used.id]!);
    }
    ring.publishAvail();
    if (this.counters.faults > faults) return errno("EIO");
    if (overflow) this.counters.overflows += 1;
    return overflow ? "all" : runs;
  }

  /** Only when something was given back: so a device sees each before it has come round to the same number. */
  #nextGeneration(): void {
    this.#generation = u16(this.#generation + 1);
    this.counters.generations += 1;
    this.#report.publishGeneration(this.#generation);
  }

  #read(index: number, bytes: number, runs: ReportedRun[]): void {
    this.counters.buffers += 1;
    if (bytes > REPORT_BUFFER_BYTES || bytes % REPORT_ENTRY_BYTES !== 0) {
      this.counters.faults += 1;
      return;
    }
    const offset = this.#report.resolve(1, this.#report.bufferIova(index), REPORT_BUFFER_BYTES)!;
    for (let at = 0; at < bytes; at += REPORT_ENTRY_BYTES) {
      const run = readRun(this.#report.memory, offset + at, this.#endPage);
      if (run === undefined) this.counters.faults += 1;
      else runs.push(run);
    }
    this.counters.entries += bytes / REPORT_ENTRY_BYTES;
  }

  #post(index: number): void {
    const address = this.#report.bufferIova(index);
    this.#bufferOf[this.#ring.addChain([{ address, bytes: REPORT_BUFFER_BYTES, deviceWritable: true }])] = index;
  }
}
