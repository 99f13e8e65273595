import { DirtyLog } from "../../dirty/dirty-log.js";
import { FRAME_SPAN_BYTES } from "../../memory/address.js";
import type { SharedMemory } from "../../memory/shared-memory.js";
import { WIDE_BYTES, WIDE_GPA, WIDE_TOP_GPA } from "../rig/world.js";
import type { Case, Row } from "./case.js";
import {
  EVENTS,
  elements,
  FORMS,
  type Link,
  linked,
  NUMS,
  offer,
  offered,
  PUBLISH,
  PUBLISH_USED,
  RELAY,
  ROUND,
  ROUNDS,
  readable,
  STARTS,
  single,
  TAKE,
  times,
  writable,
} from "./programs.js";
import { asNeighbour, chainCases, neighbour, plainCase, rigCase } from "./rig-case.js";

/** What numbers and arrays of JavaScript would let pass in silence. */
export const JAVASCRIPT_ROWS: readonly Row[] = [
  { id: "BI-106", title: "an index one past an array", cases: onePast },
  { id: "BI-107", title: "an address that no number holds", cases: wideAddresses },
  { id: "BI-108", title: "a page number of more than 31 bits", cases: widePages },
  { id: "BI-109", title: "indices that wrap at 16 bits", cases: wraps },
];

function onePast(): Case[] {
  return NUMS.flatMap((num) => {
    const setup = { num, shadowNum: num };
    const from = (next: number) => offered({ descriptors: linked([{ ...writable(), next }]), table: [] });
    const used = (id: number) => [
      single(0),
      PUBLISH,
      RELAY,
      TAKE,
      { op: "use-raw", id, length: 0 } as const,
      PUBLISH_USED,
    ];
    return [
      rigCase(`head ${num} of ${num}`, "break-queue head-out-of-range", setup, [
        { op: "offer-head", head: num },
        PUBLISH,
        RELAY,
      ]),
      neighbour(`head ${num - 1} of ${num}`, setup, [single(num - 1), PUBLISH, ...ROUNDS]),
      rigCase(`next ${num} of ${num}`, "break-queue next-out-of-range", setup, [from(num), PUBLISH, RELAY]),
      ...(num === 1
        ? []
        : [
            neighbour(`next ${num - 1} of ${num}`, setup, [
              single(num - 1),
              PUBLISH,
              ...ROUNDS,
              from(num - 1),
              PUBLISH,
              ...ROUNDS,
            ]),
          ]),
      rigCase(`used id ${num} of ${num}`, "break-queue used-id-unknown", setup, [...used(num), RELAY]),
      neighbour(`used id 0 of ${num}`, setup, [...used(0), RELAY, RELAY]),
    ];
  });
}

const WIDE = { map: "wide", log: false } as const;

/** A buffer there, readable or writable, between two others. */
function around(address: bigint, length: number, flags: number): Link[] {
  const odd = { address, length, flags };
  return [readable(), odd, writable(1)];
}

function wideAddresses(): Case[] {
  const beyond = [
    2n ** 52n,
    2n ** 53n - 1n,
    2n ** 53n,
    2n ** 53n + 1n,
    2n ** 53n + 2n ** 33n,
    2n ** 63n,
    2n ** 64n - 8n,
  ];
  // Each of them has the low bits of an address that is mapped.
  const aliases = [43n, 44n, 52n, 54n, 63n].map((bit) => 2n ** bit + BigInt(WIDE_GPA));
  const top = BigInt(FRAME_SPAN_BYTES);
  return [0, 2].flatMap((flags) => [
    ...[...beyond, ...aliases].flatMap((address) =>
      chainCases(`flags ${flags} at ${address}`, "quarantine address-unmapped", {
        links: around(address, 8, flags),
        forms: FORMS,
        setup: WIDE,
        spread: 1,
      }),
    ),
    ...[top - 8n, top - 4096n, BigInt(WIDE_TOP_GPA), BigInt(WIDE_GPA), BigInt(WIDE_GPA + 2 ** 32 - 4)].flatMap(
      (address) =>
        asNeighbour(
          chainCases(`flags ${flags} at ${address}`, "forward", {
            links: around(address, 8, flags),
            forms: FORMS,
            setup: WIDE,
            spread: 1,
          }),
        ),
    ),
  ]);
}

/** A log of more words than there is memory for: it keeps what was set last. */
class FarLog {
  readonly byteLength = 2 ** 40;
  at = -1;
  bits = 0;

  setBits32(offset: number, bits: number): void {
    this.at = offset;
    this.bits = bits >>> 0;
  }
}

function widePages(): Case[] {
  const pages = [2 ** 20 - 1, 2 ** 26, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 33, 2 ** 32, 2 ** 33 - 1, 2 ** 33 + 5];
  const marks = pages.map((page) =>
    plainCase(`the mark of page ${page}`, "forward", () => {
      const memory = new FarLog();
      const log = new DirtyLog(memory as unknown as SharedMemory, 0, 2 ** 48);
      log.markRange(page * 4096 + 17, 8);
      const due = { at: Math.floor(page / 32) * 4, bits: 2 ** (page % 32) };
      return memory.at === due.at && memory.bits === due.bits ? undefined : `it went to ${memory.at}: ${memory.bits}`;
    }),
  );
  const beyond = [43, 44, 45, 47].flatMap((bit) =>
    [0, 4096, WIDE_GPA].flatMap((low) =>
      chainCases(`GPA 2^${bit} + ${low}`, "quarantine address-unmapped", {
        links: around(2n ** BigInt(bit) + BigInt(low), 8, 2),
        forms: FORMS,
        setup: WIDE,
        spread: 1,
      }),
    ),
  );
  const over = [
    ...chainCases("up to 2^43 and one byte", "quarantine address-unmapped", {
      links: around(BigInt(FRAME_SPAN_BYTES) - 8n, 9, 2),
      forms: FORMS,
      setup: WIDE,
    }),
    ...chainCases("the end of a mapping and one byte", "quarantine address-unmapped", {
      links: around(BigInt(WIDE_GPA + WIDE_BYTES) - 8n, 9, 2),
      forms: FORMS,
      setup: WIDE,
    }),
  ];
  const inside = [8, 4096, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 200].flatMap((length) =>
    asNeighbour(
      chainCases(`the last ${length} bytes below 2^43`, "forward", {
        links: around(BigInt(FRAME_SPAN_BYTES) - BigInt(length), length, 2),
        forms: FORMS,
        setup: WIDE,
      }),
    ),
  );
  return [...marks, ...beyond, ...over, ...inside];
}

function wraps(): Case[] {
  return STARTS.flatMap((start) =>
    EVENTS.flatMap((eventIdx) =>
      [1, 8].flatMap((num) =>
        [1, 3].map((batch) =>
          neighbour(
            `60 batches of ${batch} from ${start} in a ring of ${num}, ${eventIdx ? "event index" : "flags"}`,
            { num, start, eventIdx, shadowNum: 4 },
            times(60, ...times(batch, offer(elements(1))), PUBLISH, ...ROUND),
          ),
        ),
      ),
    ),
  );
}
