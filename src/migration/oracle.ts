import { bitCount } from "../dirty/dirty-log.js";
import { bitmapWords, hasPage, setPages } from "../dirty/page-bitmap.js";
import type { WriterClass } from "../dirty/tracker-set.js";
import { PAGE_BYTES } from "../memory/address.js";
import type { GuestRam } from "../memory/guest-ram.js";

/** One entry of a writer's journal. */
export interface JournalEntry {
  readonly page: number;
  /** Of the page, after this write. */
  readonly version: number;
}

/** What the oracle says of a whole migration. */
export interface Verdict {
  /** Pages that changed and were not copied since: not reported, or copied too early. */
  readonly misses: number;
  /** Pages that differ between source and destination. */
  readonly differing: number;
  /** Pages reported although nothing changed since the report before, by pages reported. */
  readonly overReportRatio: number;
  readonly sha256: { readonly source: string; readonly destination: string };
}

/** What an oracle does besides. */
export interface OracleOptions {
  /** Keeps every store; not where there are millions. */
  readonly journals?: boolean;
  /** SHA-256 of RAM, in hexadecimal; empty without it. */
  readonly digest?: (ram: GuestRam) => string;
}

/**
 * Ground truth: which pages really changed, by a version stamp that every store raises (specification 0.2).
 *
 * It sees each store at the choke points, behind every tracker; each report and each copy it is told by the engine.
 */
export class Oracle {
  /** By page: how often it was written since begin(); empty for sparse RAM, which has its own stamps. */
  readonly versions: Uint32Array;
  /** Stores of each writer in their order, where journals are kept. */
  readonly journals = new Map<WriterClass, JournalEntry[]>();
  readonly #copied: Uint32Array;
  /** Pages written and not reported since. */
  readonly #unreported: Uint32Array;
  readonly #keepsJournals: boolean;
  readonly #digest: (ram: GuestRam) => string;
  #watching = false;
  /** Some mark was taken by a copy: what no report tells of may have gone with it. */
  #clearsBeforeCopy = false;
  #reported = 0;
  #over = 0;

  constructor(ram: GuestRam, { journals = false, digest = () => "" }: OracleOptions = {}) {
    const stamped = ram.kind === "sparse" ? 0 : ram.endPage;
    this.versions = new Uint32Array(stamped);
    this.#copied = new Uint32Array(stamped);
    this.#unreported = new Uint32Array(bitmapWords(ram.endPage));
    this.#keepsJournals = journals;
    this.#digest = digest;
  }

  /** Watches from now on: trackers have just started. */
  begin(): void {
    this.#watching = true;
    this.#unreported.fill(0);
    this.#copied.set(this.versions);
  }

  /** Stops watching: the guest runs on elsewhere. */
  end(): void {
    this.#watching = false;
  }

  /** `writer` has written: a StoreWitness. */
  readonly wrote = (writer: WriterClass, gpa: number, bytes: number): void => {
    if (!this.#watching || bytes === 0) return;
    const first = Math.floor(gpa / PAGE_BYTES);
    const last = Math.floor((gpa + bytes - 1) / PAGE_BYTES);
    for (let page = first; page <= last; page++) {
      if (page < this.versions.length) this.versions[page]! += 1;
      if (this.#keepsJournals) this.#note(writer, page);
    }
    setPages(this.#unreported, first, last - first + 1);
  };

  /** A sync reported these pages, and no others. */
  synced(reported: Uint32Array): void {
    const unreported = this.#unreported;
    for (let word = 0; word < reported.length; word++) {
      const bits = reported[word]!;
      if (bits === 0) continue;
      this.#reported += bitCount(bits);
      this.#over += bitCount(bits & ~unreported[word]!);
      unreported[word]! &= ~bits;
    }
  }

  /**
   * The page as it is now is on its way to the destination.
   *
   * `cleared`: its mark was taken just now and not when it was reported, so no later report has to tell of what was
   * written in between.
   */
  copied(page: number, cleared = false): void {
    if (cleared) this.#clearsBeforeCopy = true;
    if (page < this.#copied.length) this.#copied[page] = this.versions[page]!;
  }

  /** Whether a page changed since it was last copied, or no sync has reported that: after the last round, a miss. */
  missed(page: number): boolean {
    if (this.versions[page] !== this.#copied[page]) return true;
    return !this.#clearsBeforeCopy && hasPage(this.#unreported, page);
  }

  /** Judges the end: nobody writes, and all that is to be copied is. */
  judge(source: GuestRam, destination: GuestRam): Verdict {
    let misses = 0;
    let differing = 0;
    for (const { gpa, bytes } of source.blocks) {
      const end = (gpa + bytes) / PAGE_BYTES;
      for (let page = gpa / PAGE_BYTES; page < end; page++) {
        const differs = source.pageDiffers(page, destination);
        if (differs) differing += 1;
        if (this.missed(page) || (differs && source.kind === "sparse")) misses += 1;
      }
    }
    return {
      misses,
      differing,
      overReportRatio: this.#reported === 0 ? 0 : this.#over / this.#reported,
      sha256: { source: this.#digest(source), destination: this.#digest(destination) },
    };
  }

  #note(writer: WriterClass, page: number): void {
    const journal = this.journals.get(writer) ?? [];
    if (journal.length === 0) this.journals.set(writer, journal);
    journal.push({ page, version: this.versions[page] ?? 0 });
  }
}
