import { DirtyLog } from "../../dirty/dirty-log.js";
import { VRING_USED } from "../../layout/virtio-ring.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { RealMemory } from "../../memory/real-memory.js";
import { GuestMarks } from "../../relay/guest-marks.js";
import { COUNTERS } from "../../telemetry/counters.js";
import type { Element } from "../rig/program.js";
import type { Rig } from "../rig/rig.js";
import { BUFFERS_GPA, RIG_REGIONS } from "../rig/world.js";
import type { Case, Row } from "./case.js";
import { EVENTS, FORMS, FULL_ROUNDS, offer, PUBLISH, readable, STARTS, times, writable } from "./programs.js";
import { asNeighbour, chainCases, neighbour, plainCase, rigCase } from "./rig-case.js";

/** What has to be marked, and where a mark can go wrong. */
export const LOG_ROWS: readonly Row[] = [
  { id: "BI-60", title: "empty writable elements while somebody logs", cases: empties },
  { id: "BI-61", title: "a page beyond the log", cases: beyond },
  { id: "BI-64", title: "two who mark in one word", cases: rivals },
  { id: "BI-65", title: "a way on which nothing is marked", cases: ways },
  { id: "BI-66", title: "the device's address in the log instead of the guest's", cases: spaces },
  { id: "BI-67", title: "a used ring that is not marked", cases: usedRings },
  { id: "BI-68", title: "a buffer that is marked after its used index shows", cases: markedInTime },
];

const HIGH = RIG_REGIONS[1];
const END = HIGH.gpa + HIGH.bytes;

function empties(): Case[] {
  const empty = { ...writable(), length: 0 };
  return Array.from({ length: 7 }, (_, i) => i + 1).flatMap((count) => [
    ...chainCases(`${count} of them before one that is not`, "forward", {
      links: [...Array(count).fill(empty), writable(1)],
      forms: FORMS,
      setup: { log: true },
    }),
    ...chainCases(`${count} of them behind one that is not`, "forward", {
      links: [writable(1), ...Array(count).fill(empty)],
      forms: FORMS,
      setup: { log: true },
    }),
    ...asNeighbour(
      chainCases(`${count} of one byte`, "forward", {
        links: Array.from({ length: count + 1 }, (_, i) => writable(i, 1)),
        forms: FORMS,
        setup: { log: true },
        spread: 1,
      }),
    ),
  ]);
}

function beyond(): Case[] {
  const at = (address: number, length: number) => ({
    links: [readable(), { ...writable(), address: BigInt(address), length }],
    forms: FORMS,
    setup: { log: true },
    spread: 1,
  });
  const pages = [END, END + PAGE_BYTES, 2 ** 31, 2 ** 32, 2 ** 43, 2 ** 44, 2 ** 52];
  return [
    ...pages.flatMap((gpa) => chainCases(`page ${gpa / PAGE_BYTES}`, "quarantine address-unmapped", at(gpa, 8))),
    ...[1, 8, PAGE_BYTES].flatMap((over) =>
      chainCases(`the last page and ${over} bytes`, "quarantine address-unmapped", at(END - 8, 8 + over)),
    ),
    ...[1, 8, PAGE_BYTES, HIGH.bytes].flatMap((length) =>
      asNeighbour(chainCases(`the last ${length} bytes of the log`, "forward", at(END - length, length))),
    ),
  ];
}

/** What another thread marked in the same words stays marked, and nothing else comes to be. */
function rivals(): Case[] {
  return [0, 1, 7, 30, 31, 32, 33, 63].flatMap((first) =>
    [1, 2, 31, 32, 33, 64].map((pages) =>
      plainCase(`${pages} pages from page ${first} beside marks of others`, "forward", () => {
        const buffer = new ArrayBuffer(16);
        const bits = new Uint8Array(buffer);
        const log = new DirtyLog(new RealMemory(buffer), 0, 128 * PAGE_BYTES);
        for (let page = 0; page < 128; page += 3) bits[page >>> 3]! |= 1 << (page & 7);
        log.markRange(first * PAGE_BYTES + 5, pages * PAGE_BYTES - 9);
        for (let page = 0; page < 128; page++) {
          const due = page % 3 === 0 || (page >= first && page < first + pages);
          if (((bits[page >>> 3]! >>> (page & 7)) & 1) !== (due ? 1 : 0)) return `page ${page} is wrong`;
        }
        return undefined;
      }),
    ),
  );
}

/** A buffer of so many bytes that begins and ends within pages. */
function buffer(page: number, bytes: number): Element {
  return { gpa: BUFFERS_GPA + page * PAGE_BYTES + 100, bytes, writable: true };
}

function ways(): Case[] {
  return FORMS.flatMap((form) =>
    (["flat", "split"] as const).flatMap((map) =>
      EVENTS.flatMap((eventIdx) =>
        [1, 3, 8].flatMap((batch) =>
          [64, 5000].map((bytes) => {
            const chain = offer([buffer(0, bytes), { gpa: HIGH.gpa + 8000, bytes: 500, writable: true }], form);
            const title = `${batch} of ${bytes} bytes, ${form}, ${map}, ${eventIdx ? "event index" : "flags"}`;
            const actions = [...times(batch, chain), PUBLISH, ...FULL_ROUNDS, { op: "harvest" } as const];
            return neighbour(title, { map, eventIdx }, times(2, ...actions));
          }),
        ),
      ),
    ),
  );
}

/** Of RAM the pages of the buffers and that of the used ring are taken, once each: none by another address. */
function spaces(): Case[] {
  return FORMS.flatMap((form) =>
    (["flat", "split"] as const).flatMap((map) =>
      [1, 2, 3].map((pages) => {
        const look = ({ stamps }: Rig) => {
          const due = pages + 1;
          return stamps.taken === due ? undefined : `${stamps.taken} pages were taken, ${due} are due`;
        };
        const bytes = (pages - 1) * PAGE_BYTES + 8;
        const actions = [offer([buffer(0, bytes)], form), PUBLISH, ...FULL_ROUNDS];
        return neighbour(`${pages} pages, ${form}, ${map}`, { map, log: true }, actions, { look });
      }),
    ),
  );
}

/** The page that each byte of a used ring lies in, wherever the ring lies on its pages. */
function usedRings(): Case[] {
  const counters = () => new Float64Array(Object.keys(COUNTERS).length);
  return [0, 2, 4090, 4092, 4096 - 36, 4096 - 132].flatMap((within) =>
    [0, 1, 7, 0xfffe, 0xffff].flatMap((oldIdx) =>
      [1, 2, 16].map((count) =>
        plainCase(`${count} entries from ${oldIdx} of a used ring at ${within}`, "forward", () => {
          const used = 5 * PAGE_BYTES + (within & ~3);
          const log = new DirtyLog(new RealMemory(new ArrayBuffer(8)), 0, 64 * PAGE_BYTES);
          new GuestMarks(log, "all-writable", used, 16, counters()).usedEntries(oldIdx, (oldIdx + count) & 0xffff);
          const bitmap = new Uint32Array(2);
          log.take(bitmap);
          const bytes = [2, 3];
          for (let i = 0; i < count; i++) {
            const entry = VRING_USED.offsets.ring + ((oldIdx + i) & 15) * 8;
            bytes.push(entry, entry + 7);
          }
          const missing = bytes.find((byte) => ((bitmap[0]! >>> Math.floor((used + byte) / PAGE_BYTES)) & 1) === 0);
          return missing === undefined ? undefined : `byte ${missing} is not marked`;
        }),
      ),
    ),
  );
}

function markedInTime(): Case[] {
  return FORMS.flatMap((form) =>
    [STARTS[0], STARTS[3], STARTS[4]].flatMap((start) =>
      [1, 4096, 4097, 8192, 16_000].map((bytes) => {
        const chains = [offer([buffer(0, bytes)], form), offer([buffer(1, 8), buffer(2, 8)], form)];
        const actions = times(3, { op: "harvest" }, ...chains, PUBLISH, ...FULL_ROUNDS);
        return rigCase(`${bytes} bytes, ${form}, from ${start}`, "forward", { start }, actions);
      }),
    ),
  );
}
