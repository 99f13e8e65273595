import { DirtyLog } from "../../dirty/dirty-log.js";
import { GpaMap } from "../../iova/gpa-map.js";
import { assert } from "../../memory/assert.js";
import { GuestMemory } from "../../memory/guest-memory.js";
import { COUNTERS } from "../../telemetry/counters.js";
import { Readings } from "../oracles/readings.js";
import type { Sheet } from "./sheet.js";
import { WatchedMemory } from "./watched-memory.js";
import {
  RIG_END,
  RIG_IOVA_BASE,
  RIG_MAPPINGS,
  RIG_PAGES,
  RIG_REGIONS,
  type RigSetup,
  SPACE,
  spaceSheets,
  type WorldBytes,
  worldBytes,
} from "./world.js";

/** The bytes that one rig at a time stands on, and what is made of nothing but them. */
export class Ground implements WorldBytes {
  /** By SPACE: what guest, relay, device and migration share. */
  readonly sheets: readonly Sheet[];
  readonly views: readonly DataView[];
  readonly buffers: readonly ArrayBuffer[];
  readonly memories: readonly WatchedMemory[];
  /** By SPACE: each byte as the relay read it last, and as it stored it last. */
  readonly seen: readonly Sheet[];
  readonly told: readonly Sheet[];
  readonly seenBytes: readonly Uint8Array[];
  readonly toldBytes: readonly Uint8Array[];
  /** What a migration has copied of guest RAM, by region. */
  readonly copy: readonly Sheet[];
  /** By page: how often it was written; up to which of these it is copied; the last that relay and device did. */
  readonly versions = new Uint32Array(RIG_PAGES);
  readonly copied = new Uint32Array(RIG_PAGES);
  readonly byRelay = new Uint32Array(RIG_PAGES);
  readonly byDevice = new Uint32Array(RIG_PAGES);
  readonly readings = new Readings();
  readonly counters = new Float64Array(Object.keys(COUNTERS).length);
  readonly guestMemory: GuestMemory;
  readonly log: DirtyLog;
  readonly #maps = new Map<RigSetup["map"], GpaMap>();

  /** For a shadow ring of `shadowNum` entries; shares all other bytes with `other`, so that caches keep them. */
  constructor(shadowNum: number, other?: Ground) {
    const { sheets, views, buffers } = worldBytes(shadowNum, other?.sheets);
    this.sheets = sheets;
    this.views = views;
    this.buffers = buffers;
    this.seen = spaceSheets(shadowNum, other?.seen);
    this.told = spaceSheets(shadowNum, other?.told);
    this.seenBytes = this.seen.map(({ bytes }) => bytes);
    this.toldBytes = this.told.map(({ bytes }) => bytes);
    this.copy = other?.copy ?? spaceSheets(shadowNum).slice(0, RIG_REGIONS.length);
    this.memories = this.sheets.map(({ bytes }, space) => new WatchedMemory(bytes.buffer, space));
    this.guestMemory = new GuestMemory(RIG_REGIONS.map((region, i) => ({ ...region, memory: this.memories[i]! })));
    this.log = new DirtyLog(this.memories[SPACE.log]!, 0, RIG_END);
  }

  /** Where the device finds guest memory: made once, since no relay changes it. */
  mapOf(name: RigSetup["map"]): GpaMap {
    let map = this.#maps.get(name);
    if (map === undefined) {
      map = new GpaMap(RIG_IOVA_BASE);
      assert(map.addAll(RIG_MAPPINGS[name]), "the mappings of a rig are disjoint");
      this.#maps.set(name, map);
    }
    return map;
  }

  /** As if it were new. */
  clear(): void {
    for (const sheets of [this.sheets, this.seen, this.told, this.copy]) for (const sheet of sheets) sheet.clear();
    this.versions.fill(0);
    this.copied.fill(0);
    this.byRelay.fill(0);
    this.byDevice.fill(0);
    this.readings.clear();
    this.counters.fill(0);
  }
}

/**
 * Ground for rigs of which each is done with when the next begins.
 *
 * A rig touches some kilobytes of 200: making and zeroing the others took most of the time of a short run.
 */
export class Bench {
  readonly #grounds: (Ground | undefined)[] = [];
  #first: Ground | undefined;

  /** Cleared ground for a shadow ring of `shadowNum` entries; whoever had it before has it no longer. */
  ground(shadowNum: number): Ground {
    const ground = (this.#grounds[shadowNum] ??= new Ground(shadowNum, this.#first));
    this.#first ??= ground;
    ground.clear();
    return ground;
  }
}
