import { createHash } from "node:crypto";
import { DirtyLog } from "../../dirty/dirty-log.js";
import { PAGE_BYTES } from "../../memory/address.js";
import type { SharedMemory } from "../../memory/shared-memory.js";
import { randomDrains } from "../../memory/simulated/random-drains.js";
import { SimulatedMachine } from "../../memory/simulated/simulated-machine.js";
import { SimulatedMemory } from "../../memory/simulated/simulated-memory.js";
import { seededRandom } from "../../migration/seeded.js";

/** How a page is marked after it was written; "dirty-log": as DirtyLog does, whatever that is. */
export type MarkForm = "always" | "check-first" | "dirty-log";

const PAGES = 64;
/** Migrations of a run, and steps of each: after them the writer has stopped and a last harvest is made. */
const MIGRATIONS = 200;
const STEPS = 64;
/** Of so many steps one is the migration's, and all others the writer's. */
const HARVEST_EVERY = 16;
/** Chance of a store to become visible before the next access: buffers hold a few. */
const DRAIN_CHANCE = 0.2;
const LOG_OFFSET = PAGES * 4;

/** What came of a run of migrations: pages lost in all of them together, and writes. */
export interface CheckFirstResult {
  readonly lost: number;
  readonly writes: number;
  /** Of the pages, and of their copies. */
  readonly sha256: { readonly source: string; readonly destination: string };
}

/**
 * Pages written and marked by one party and taken and copied by another, with stores that wait in a buffer (TSO).
 *
 * "check-first" tests the bit before it sets it. The test can be answered while the page still waits in the buffer: the
 * mark that it found is then taken, the old page copied, and the new one appears unmarked (specification 0.5). The
 * same seed gives the same run.
 */
export function runMarkForm(form: MarkForm, seed: number): CheckFirstResult {
  const machine = new SimulatedMachine({
    parties: ["writer", "migration"],
    model: "tso",
    owners: false,
    drainPolicy: randomDrains(seed, DRAIN_CHANCE),
  });
  const memory = new SimulatedMemory(machine, LOG_OFFSET + PAGES / 8, { name: "pages and log", fill: 0 });
  const writer = memory.port("writer");
  const migration = memory.port("migration");
  const copies = new Int32Array(PAGES);
  const random = seededRandom(seed);
  const result = { lost: 0, writes: 0, sha256: { source: "", destination: "" } };
  for (let run = 0; run < MIGRATIONS; run++) {
    for (let step = 1; step <= STEPS; step++) {
      const page = Math.floor(random() * PAGES);
      if (step % HARVEST_EVERY === 0) harvest(migration, page, copies);
      else mark(writer, page, ++result.writes, form);
    }
    machine.drainAll();
    for (let page = 0; page < PAGES; page += 32) harvest(migration, page, copies);
    const pages = Int32Array.from(copies, (_, page) => migration.read32(page * 4));
    const lost = copies.filter((copy, page) => copy !== pages[page]).length;
    // The images are those of the first migration that lost anything, or else of the last.
    if (result.lost === 0) result.sha256 = { source: sha256(pages), destination: sha256(copies) };
    result.lost += lost;
    copies.set(pages);
  }
  return result;
}

function mark(memory: SharedMemory, page: number, value: number, form: MarkForm): void {
  const word = LOG_OFFSET + (page >>> 5) * 4;
  const bit = 1 << (page & 31);
  memory.write32(page * 4, value);
  if (form === "dirty-log") new DirtyLog(memory, LOG_OFFSET, PAGES * PAGE_BYTES).markRange(page * PAGE_BYTES, 1);
  else if (form === "always" || (memory.read32(word) & bit) === 0) memory.setBits32(word, bit);
}

/** Takes the marks of the word that holds `page`, then copies their pages. */
function harvest(memory: SharedMemory, page: number, copies: Int32Array): void {
  const first = page & ~31;
  const bits = memory.takeBits32(LOG_OFFSET + (first >>> 5) * 4);
  for (let i = 0; i < 32; i++) if ((bits & (1 << i)) !== 0) copies[first + i] = memory.read32((first + i) * 4);
}

function sha256(words: Int32Array): string {
  return createHash("sha256").update(words).digest("hex");
}
