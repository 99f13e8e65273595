import { countPages } from "../../src/dirty/page-bitmap.js";
import { TrackerSet } from "../../src/dirty/tracker-set.js";
import { groundOf } from "../../src/lab/migrate/ground.js";
import { TRACKER_ROWS } from "../../src/lab/migrate/rows.js";
import { PAGE_BYTES } from "../../src/memory/address.js";
import { ramBlocks, SparseRam } from "../../src/memory/guest-ram.js";
import { UniformGuest } from "../../src/migration/uniform-guest.js";
import type { WritePort } from "../../src/vfio/dma.js";
import { check, nowNs } from "../kernels/kernel.js";

/** How long a sync is repeated at least, and how often at most. */
const WARM_NS = 30e6;
const TIMES_MAX = 300;

/** What one sync cost, and the writes before it. */
export interface SyncCost {
  readonly dirtyPages: number;
  readonly markNs: number;
  readonly harvestNs: number;
  readonly marshalledBytes: number;
  readonly footprintBytes: number;
}

/** One way of tracking over sparse RAM of some size, without a migration: who writes, and what a sync costs. */
export class TrackerRig {
  readonly #name: string;
  readonly #set: TrackerSet;
  readonly #ports: readonly WritePort[];
  readonly #bitmap: Uint32Array;
  /** Pages of both blocks. */
  readonly #pages: Int32Array;
  readonly #payload = new Uint8Array(8);

  constructor(name: string, ramBytes: number, devices: number) {
    this.#name = name;
    const ram = new SparseRam(ramBlocks(ramBytes));
    const small = { firstPage: 0, pageCount: 1, bytesPerSecond: 0, seed: 1 };
    const guest = new UniformGuest({ ram, vcpu: small, devices: Array.from({ length: devices }, () => small) });
    const { entries } = TRACKER_ROWS.get(name)!.wire!(groundOf(guest, 1));
    const ofVcpus = name.startsWith("kvm-");
    this.#ports = ofVcpus ? [guest.vcpu] : guest.devices;
    const writers = this.#ports.map(({ writer }) => writer);
    const asked = entries.filter(({ covers }) => covers.some((writer) => writers.includes(writer)));
    this.#set = new TrackerSet(asked, { blocks: ram.blocks, writers });
    this.#bitmap = new Uint32Array(ram.endPage / 32);
    this.#pages = Int32Array.from(ram.blocks, ({ bytes }) => bytes / PAGE_BYTES);
    check(this.#set.start().result === 0, `${name} starts`);
    // What is there at first is not what a sync costs.
    this.cost(0);
  }

  /** Writes to so many pages, spread over RAM, then syncs. */
  cost(dirtyPages: number): SyncCost {
    const [lowPages = 0, highPages = 0] = this.#pages;
    const all = lowPages + highPages;
    const marshalledBefore = this.#marshalled();
    this.#bitmap.fill(0);
    let heldNs = 0;
    const begun = nowNs();
    for (let i = 0; i < dirtyPages; i++) {
      const at = Math.floor((i * all) / dirtyPages);
      const page = at < lowPages ? at : at + highPages;
      const port = this.#ports[i % this.#ports.length]!;
      if (!port.ready()) heldNs += this.#sync();
      port.write(page * PAGE_BYTES, this.#payload);
    }
    const markNs = nowNs() - begun - heldNs;
    const harvestNs = heldNs + this.#sync();
    check(countPages(this.#bitmap) >= dirtyPages, `${this.#name}: every page that was written is reported`);
    const marshalledBytes = this.#marshalled() - marshalledBefore;
    return { dirtyPages, markNs, harvestNs, marshalledBytes, footprintBytes: this.#set.footprintBytes() };
  }

  /** The same `times` times and for 30 ms at least: the quickest of each time, in warm code. */
  least(dirtyPages: number, times: number): SyncCost {
    const costs: SyncCost[] = [];
    const end = nowNs() + WARM_NS;
    while (costs.length < times || (nowNs() < end && costs.length < TIMES_MAX)) costs.push(this.cost(dirtyPages));
    const least = (field: "markNs" | "harvestNs") => Math.min(...costs.map((cost) => cost[field]));
    return { ...costs.at(-1)!, markNs: least("markNs"), harvestNs: least("harvestNs") };
  }

  #sync(): number {
    const start = nowNs();
    check(this.#set.syncAll(this.#bitmap), "every tracker knows");
    // Trackers that clear before the copy are ready for the next round only then.
    const spent = nowNs() - start;
    if (this.#set.clearsBeforeCopy) {
      const [lowPages = 0, highPages = 0] = this.#pages;
      this.#set.beforeCopy(0, lowPages);
      this.#set.beforeCopy(lowPages + highPages, highPages);
    }
    return spent;
  }

  #marshalled(): number {
    return this.#set.entries.reduce((sum, { tracker }) => sum + tracker.counters.bytesMarshalled, 0);
  }
}
