import { VRING_DESC, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../layout/virtio-ring.js";
import { GuestMemory } from "../../memory/guest-memory.js";
import { RealMemory } from "../../memory/real-memory.js";
import { Chain } from "../../ring/chain.js";
import { writeDescriptor } from "../../ring/driver-ring.js";
import type { VringAreas } from "../../ring/vring-areas.js";
import { RIG_REGIONS, TABLES_GPA, UNMAPPED_GPA } from "../rig/world.js";
import type { Case, Outcome, Row } from "./case.js";
import {
  distinct,
  HOLE_GPA,
  halves,
  type Laid,
  type Link,
  linked,
  offered,
  PUBLISH,
  pointer,
  pokedTable,
  ROUNDS,
  readable,
  WHERE,
  writable,
} from "./programs.js";
import { neighbour, plainCase, rigCase } from "./rig-case.js";

/** What a pointer at a table and the table behind it can say. */
export const INDIRECT_ROWS: readonly Row[] = [
  { id: "BI-26", title: "a table of more entries than the ring", cases: tooLong },
  { id: "BI-27", title: "a table whose length is no number of entries", cases: lengths },
  { id: "BI-28", title: "a table in a table", cases: nested },
  { id: "BI-29", title: "a pointer that goes on", cases: goesOn },
  { id: "BI-30", title: "a table that was not agreed on", cases: notAgreed },
  { id: "BI-31", title: "a table across a border of memory", cases: acrossBorders },
  { id: "BI-32", title: "elements before a table", cases: directFirst },
  { id: "BI-33", title: "a table at an odd address", cases: unaligned },
];

/** `before` direct elements, a pointer, and a table. */
function pointed(before: number, at: Link, table: readonly Link[]): Laid {
  return { descriptors: linked([...halves(before).map(asReadable), at]), table: linked(table) };
}

function asReadable(link: Link): Link {
  return { ...link, flags: 0 };
}

/** One such chain, in four set-ups. */
function tableCases(name: string, expected: Outcome, chain: Laid, setup = {}): Case[] {
  return WHERE.map((where) => {
    const title = `${name}; ${where.eventIdx ? "event index" : "flags"} from ${where.start}`;
    const actions = [offered(chain), PUBLISH, ...ROUNDS];
    if (expected === "forward") return neighbour(title, { ...where, ...setup }, actions);
    const asks = expected.startsWith("break-queue") ? { forwarded: 0 } : {};
    return rigCase(title, expected, { ...where, ...setup }, actions, asks);
  });
}

function tooLong(): Case[] {
  return [0, 1, 3].flatMap((before) => {
    const room = 8 - before;
    const table = halves(room).map((link) => ({ ...link, flags: VRING_DESC_F_WRITE }));
    return [
      ...[room + 1, room + 2, 16, 1024, 1025, 65_535, 65_536, 2 ** 28 - 1].flatMap((entries) =>
        tableCases(
          `${entries} entries behind ${before} elements`,
          "break-queue chain-too-long",
          pointed(before, pointer(entries), table),
        ),
      ),
      ...tableCases(`${room} entries behind ${before}`, "forward", pointed(before, pointer(room), table)),
    ];
  });
}

function lengths(): Case[] {
  return [0, 2].flatMap((before) =>
    [...Array(65).keys(), 2 ** 31 + 1, 2 ** 32 - 1].flatMap((length) => {
      const whole = length > 0 && length % VRING_DESC.size === 0;
      const table = Array.from({ length: Math.max(1, Math.floor(Math.min(length, 64) / 16)) }, (_, i) => writable(i));
      const chain = pointed(before, { ...pointer(1), length }, table);
      const name = `a table of ${length} bytes behind ${before} elements`;
      return tableCases(name, whole ? "forward" : "break-queue indirect-length", chain).slice(0, whole ? 4 : 2);
    }),
  );
}

function nested(): Case[] {
  return [0, 1, 3].flatMap((before) =>
    Array.from({ length: 8 - before }, (_, at) => at).flatMap((at) => {
      const table = Array.from({ length: 8 - before }, (_, i) => writable(i));
      const inner = table.map((link, i) => (i === at ? { ...pointer(1), address: link.address } : link));
      const name = `entry ${at} of ${table.length} behind ${before} elements`;
      return [
        ...tableCases(
          `${name} points on`,
          "break-queue indirect-nested",
          pointed(before, pointer(table.length), inner),
        ).slice(0, 2),
        ...tableCases(`${name} does not`, "forward", pointed(before, pointer(table.length), table)).slice(0, 1),
      ];
    }),
  );
}

function goesOn(): Case[] {
  return Array.from({ length: 7 }, (_, before) => before).flatMap((before) => {
    const table = [writable(6)];
    const chain = (flags: number) => pointed(before, pointer(1, flags), table);
    return [
      ...tableCases(`behind ${before}`, "break-queue indirect-with-next", chain(VRING_DESC_F_NEXT)),
      ...tableCases(
        `and writable, behind ${before}`,
        "break-queue indirect-with-next",
        chain(VRING_DESC_F_NEXT | VRING_DESC_F_WRITE),
      ),
      ...tableCases(`one that ends, behind ${before}`, "forward", chain(0)),
      // WRITE says nothing on a pointer, and a device ignores it.
      ...tableCases(`a writable one that ends, behind ${before}`, "forward", chain(VRING_DESC_F_WRITE)),
    ];
  });
}

function notAgreed(): Case[] {
  return [0, 1, 2, 7].flatMap((before) =>
    distinct([1, 8 - before]).flatMap((entries) => {
      const table = Array.from({ length: entries }, (_, i) => writable(i));
      const chain = pointed(before, pointer(entries), table);
      const name = `${entries} entries behind ${before}`;
      return [
        ...tableCases(name, "break-queue indirect-not-negotiated", chain, { indirect: false }),
        ...tableCases(`${name}, agreed on`, "forward", chain).slice(0, 2),
      ];
    }),
  );
}

/** A table somewhere else than `offer-raw` puts it, stored as far as there is memory for it. */
function elsewhere(name: string, expected: Outcome, gpa: number, entries: number, setup = {}): Case {
  const table = linked(Array.from({ length: entries }, (_, i) => writable(i)));
  const chain = pointed(0, pointer(entries, 0, BigInt(gpa)), []);
  const actions = [...pokedTable(gpa, table), offered(chain), PUBLISH, ...ROUNDS];
  return expected === "forward" ? neighbour(name, setup, actions) : rigCase(name, expected, setup, actions);
}

function acrossBorders(): Case[] {
  const end = RIG_REGIONS[1].gpa + RIG_REGIONS[1].bytes;
  const beyond = [1, 2, 4].flatMap((entries) =>
    distinct([1, 4, 8, 12, 15, 16, 16 * entries - 1]).flatMap((over) =>
      [HOLE_GPA, end].map((edge) => {
        const name = `${entries} entries, ${over} bytes of them beyond ${edge}`;
        return elsewhere(name, "quarantine address-unmapped", edge - 16 * entries + over, entries);
      }),
    ),
  );
  const nowhere = [HOLE_GPA, 0xfee0_0000, 2 ** 43, 2 ** 52].map((gpa) =>
    elsewhere(`at ${gpa}`, "quarantine address-unmapped", gpa, 1),
  );
  const inside = [1, 2, 4].flatMap((entries) => [
    ...[HOLE_GPA, end].map((edge) =>
      elsewhere(`${entries} entries up to ${edge}`, "forward", edge - 16 * entries, entries),
    ),
    // The relay reads tables; it is the device that cannot reach this page.
    elsewhere(`${entries} entries where no device reaches`, "forward", UNMAPPED_GPA, entries, { map: "split" }),
  ]);
  return [...beyond, ...nowhere, ...inside, ...twoRegions()];
}

/** Tables across two regions that touch, cut at every 4th byte: fetched by bytes, not by entries. */
function twoRegions(): Case[] {
  return Array.from({ length: 17 }, (_, i) => i * 4).map((cut) =>
    plainCase(`4 entries, cut at byte ${cut}`, "forward", () => {
      const regions = [0, 4096].map((gpa) => ({ gpa, bytes: 4096, memory: new RealMemory(new ArrayBuffer(4096)) }));
      const guest = new GuestMemory(regions);
      const table = new RealMemory(new ArrayBuffer(64));
      for (let i = 0; i < 4; i++) {
        const segment = { address: 0x1_0000 + i * 256, bytes: 16 + i, deviceWritable: true };
        writeDescriptor(table, i * 16, segment, i < 3, i + 1);
      }
      const bytes = new Uint8Array(64);
      table.copyOut(0, bytes);
      guest.copyIn(4096 - cut, bytes);
      const memory = new RealMemory(new ArrayBuffer(64));
      writeDescriptor(memory, 0, { address: 4096 - cut, bytes: 64, deviceWritable: false }, false, 0);
      memory.write16(VRING_DESC.offsets.flags, VRING_DESC_F_INDIRECT);
      const ring: VringAreas = {
        num: 4,
        descMemory: memory,
        desc: 0,
        availMemory: memory,
        avail: 0,
        usedMemory: memory,
        used: 0,
      };
      const chain = new Chain(4, true);
      chain.load(ring, 0, (address, target) => (guest.copyOut(address, target) ? "ok" : "unmapped"));
      return chain.count === 4 && chain.writableBytes === 70 ? undefined : `${chain.count} elements`;
    }),
  );
}

function directFirst(): Case[] {
  return Array.from({ length: 8 }, (_, before) => before).flatMap((before) =>
    Array.from({ length: 8 - before }, (_, i) => i + 1).flatMap((entries) => {
      const table = Array.from({ length: entries }, (_, i) => writable(i));
      const chain = pointed(before, pointer(entries), table);
      return tableCases(`${before} elements and ${entries} entries`, "forward", chain).slice(0, 2);
    }),
  );
}

function unaligned(): Case[] {
  const odd = Array.from({ length: 16 }, (_, offset) => offset);
  return odd.flatMap((offset) =>
    [1, 3].map((entries) => {
      const table = linked([readable(), writable(1), writable(2)].slice(3 - entries));
      const gpa = TABLES_GPA + 512 + offset;
      const chain = pointed(0, pointer(entries, 0, BigInt(gpa)), []);
      const actions = [...pokedTable(gpa, table), offered(chain), PUBLISH, ...ROUNDS];
      return neighbour(`${entries} entries, ${offset} bytes off`, {}, actions);
    }),
  );
}
