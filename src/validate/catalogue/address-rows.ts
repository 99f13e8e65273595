import { VRING_DESC_F_WRITE } from "../../layout/virtio-ring.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { vringOffsets } from "../../ring/vring-areas.js";
import {
  BUFFERS_GPA,
  GUEST_RING,
  READ_ONLY_GPA,
  RIG_REGIONS,
  TABLES_GPA,
  UNMAPPED_GPA,
  WIDE_GPA,
} from "../rig/world.js";
import type { Case, Row } from "./case.js";
import {
  distinct,
  FORMS,
  HOLE_GPA,
  halves,
  type Link,
  laid,
  offered,
  PUBLISH,
  ROUNDS,
  readable,
  withLink,
  writable,
} from "./programs.js";
import { asNeighbour, chainCases, rigCase } from "./rig-case.js";

/** What the address and the length of a buffer can say. */
export const ADDRESS_ROWS: readonly Row[] = [
  { id: "BI-15", title: "a length that leaves guest memory", cases: tooLongBuffers },
  { id: "BI-16", title: "an address and a length that wrap", cases: wraps },
  { id: "BI-17", title: "a chain of more than 2^32 bytes", cases: tooManyBytes },
  { id: "BI-18", title: "a buffer across mappings and a hole", cases: acrossBorders },
  { id: "BI-22", title: "a part of a chain that cannot be fetched", cases: fetches },
  { id: "BI-23", title: "addresses of devices, and of the ring itself", cases: notRam },
  { id: "BI-24", title: "a page that the device may only read, offered as writable", cases: permissions },
];

function tooLongBuffers(): Case[] {
  const room = HOLE_GPA - BUFFERS_GPA;
  return [0, 1, 2, 3].flatMap((at) => {
    const of = (length: number) => ({
      links: withLink(halves(4), at, { address: BigInt(BUFFERS_GPA), length }),
      forms: FORMS,
    });
    return [
      ...[room + 1, room + PAGE_BYTES, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - PAGE_BYTES, 2 ** 32 - 1].flatMap((length) =>
        chainCases(`${length} bytes in element ${at}`, "quarantine address-unmapped", of(length)),
      ),
      ...asNeighbour(chainCases(`to the end of memory in element ${at}`, "forward", of(room))),
    ];
  });
}

function wraps(): Case[] {
  const top = 2n ** 64n;
  const tops = [1, 8, 4096, 2 ** 32 - 1].flatMap((length) =>
    distinct([top - BigInt(length), top - 1n, top - 4096n, 2n ** 63n]).map((address) => ({ address, length })),
  );
  const end = RIG_REGIONS[1].gpa + RIG_REGIONS[1].bytes;
  return [
    ...tops.flatMap((link) =>
      [0, 1, 3].flatMap((at) =>
        chainCases(`${link.length} bytes at ${link.address} in element ${at}`, "quarantine address-unmapped", {
          links: withLink(halves(4), at, link),
          forms: FORMS,
          spread: 1,
        }),
      ),
    ),
    ...[1, 8, 4096].flatMap((length) =>
      asNeighbour(
        chainCases(`the last ${length} bytes of memory`, "forward", {
          links: [{ ...writable(), address: BigInt(end - length), length }],
          forms: FORMS,
        }),
      ),
    ),
  ];
}

function tooManyBytes(): Case[] {
  const third = 0x5555_5555;
  const huge = (lengths: readonly number[], flags: number) => ({
    links: lengths.map((length, i) => ({ address: BigInt(WIDE_GPA + i * 4096 + 1), length, flags })),
    forms: FORMS,
    setup: { map: "wide", log: false } as const,
    spread: 1,
  });
  const over = [
    [2 ** 31, 2 ** 31, 1],
    [third, third, third + 2],
    [2 ** 32 - 1, 2],
    [...Array<number>(4).fill(2 ** 30), 1],
  ];
  const exact = [[2 ** 31, 2 ** 31], [third, third, third + 1], [2 ** 32 - 1, 1], Array<number>(4).fill(2 ** 30)];
  return [0, VRING_DESC_F_WRITE].flatMap((flags) => [
    ...over.flatMap((lengths) =>
      chainCases(`${lengths.join(" + ")}, flags ${flags}`, "quarantine chain-bytes-overflow", huge(lengths, flags)),
    ),
    ...exact.flatMap((lengths) =>
      asNeighbour(chainCases(`${lengths.join(" + ")}, flags ${flags}`, "forward", huge(lengths, flags))),
    ),
  ]);
}

function acrossBorders(): Case[] {
  const borders = [3, 5, 6, 256 + 2].map((page) => page * PAGE_BYTES);
  const reads = (address: number, length: number) => ({
    links: [{ address: BigInt(address), length }, writable()],
    forms: FORMS,
    setup: { map: "split" } as const,
    spread: 1,
  });
  const inside = borders.flatMap((border) =>
    [1, 7, 2048, 4095].flatMap((before) =>
      [1, 9, 4096].flatMap((behind) =>
        chainCases(`${before} and ${behind} around ${border}`, "forward", reads(border - before, before + behind)),
      ),
    ),
  );
  const edges = [UNMAPPED_GPA, HOLE_GPA, RIG_REGIONS[1].gpa + RIG_REGIONS[1].bytes];
  const holes = edges.flatMap((edge) =>
    [1, 7, 4095].flatMap((before) =>
      [1, 9, 4096].flatMap((behind) => {
        const map = edge === UNMAPPED_GPA ? "split" : "flat";
        const spec = { ...reads(edge - before, before + behind), setup: { map } as const };
        return chainCases(`${before} and ${behind} around ${edge}`, "quarantine address-unmapped", spec);
      }),
    ),
  );
  const ends = edges.flatMap((edge) => {
    const map = edge === UNMAPPED_GPA ? "split" : "flat";
    return asNeighbour(chainCases(`ends at ${edge}`, "forward", { ...reads(edge - 9, 9), setup: { map } as const }));
  });
  return [...inside, ...holes, ...ends];
}

function fetches(): Case[] {
  const lost = { address: BigInt(UNMAPPED_GPA) };
  return [1, 2, 5, 8]
    .flatMap((count) =>
      Array.from({ length: count }, (_, at) => at).flatMap((at) =>
        chainCases(`element ${at} of ${count} is nowhere`, "quarantine address-unmapped", {
          links: withLink(halves(count), at, lost),
          forms: FORMS,
          setup: { map: "split" },
          spread: 1,
        }),
      ),
    )
    .concat(
      [1, 2, 5, 8].flatMap((count) =>
        asNeighbour(
          chainCases(`${count} elements, all there`, "forward", {
            links: halves(count),
            forms: FORMS,
            setup: { map: "split" },
            spread: 1,
          }),
        ),
      ),
    );
}

function notRam(): Case[] {
  const devices = [0xa_0000, 0xc_0000, 0xfec0_0000, 0xfee0_0000, 0xffff_f000, 2 ** 40, 2 ** 40 + 0x4_0000];
  return [
    ...devices.flatMap((address) =>
      [0, VRING_DESC_F_WRITE].flatMap((flags) =>
        chainCases(`flags ${flags} at ${address}`, "quarantine address-unmapped", {
          links: [readable(), { address: BigInt(address), length: 4, flags }].slice(flags === 0 ? 1 : 0),
          forms: FORMS,
          spread: 1,
        }),
      ),
    ),
    ...aliases(),
    ...[0, 0x1ff8].flatMap((address) =>
      asNeighbour(
        chainCases(`RAM at ${address}`, "forward", {
          links: [{ address: BigInt(address), length: 4, flags: VRING_DESC_F_WRITE }],
          forms: FORMS,
          spread: 1,
        }),
      ),
    ),
  ];
}

/** Buffers in the ring that they are offered by: legal, and harmless to a relay that reads once and keeps books. */
function aliases(): Case[] {
  const { desc, avail, used } = vringOffsets(8, GUEST_RING);
  const spec = (address: number, flags: number) => ({
    links: [{ address: BigInt(address), length: 4, flags }],
    forms: FORMS,
    setup: { log: true, start: 0 },
    spread: 1,
  });
  return [
    ...[desc, avail, used, used + 68, TABLES_GPA].flatMap((address) =>
      chainCases(`its own ring read at ${address}`, "forward", spec(address, 0)),
    ),
    ...[desc + 7 * 16, avail + 18, TABLES_GPA].flatMap((address) =>
      chainCases(`its own ring written at ${address}`, "forward", spec(address, VRING_DESC_F_WRITE)),
    ),
    ...FORMS.map((form) =>
      rigCase(`the device writes the available index, ${form}`, "break-queue avail-idx-overrun", {}, [
        offered(laid(form, [{ address: BigInt(avail), length: 4, flags: VRING_DESC_F_WRITE }])),
        PUBLISH,
        ...ROUNDS,
      ]),
    ),
  ];
}

function permissions(): Case[] {
  const places = [
    { address: BigInt(READ_ONLY_GPA), length: 64 },
    { address: BigInt(READ_ONLY_GPA + 4095), length: 1 },
    { address: BigInt(READ_ONLY_GPA - 1), length: 2 },
    { address: BigInt(READ_ONLY_GPA), length: 4096 },
  ];
  const spec = (links: readonly Link[]) => ({ links, forms: FORMS, setup: { map: "split" } as const, spread: 1 });
  return places.flatMap((place) =>
    [0, 1, 2, 3].flatMap((at) => {
      const name = `${place.length} bytes at ${place.address} in element ${at}`;
      const writes = Array.from({ length: 4 }, (_, i) => (i < at ? readable(i) : writable(i)));
      const reads = Array.from({ length: 4 }, (_, i) => (i <= at ? readable(i) : writable(i)));
      return [
        ...chainCases(`${name}, writable`, "quarantine permission-denied", spec(withLink(writes, at, place))),
        ...asNeighbour(chainCases(`${name}, readable`, "forward", spec(withLink(reads, at, place)))),
      ];
    }),
  );
}
