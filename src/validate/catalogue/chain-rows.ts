import { READ_ONLY_GPA } from "../rig/world.js";
import type { Case, Row } from "./case.js";
import {
  distinct,
  FORMS,
  type Form,
  HOLE_GPA,
  halves,
  type Link,
  NUMS,
  readable,
  withLink,
  writable,
} from "./programs.js";
import { asNeighbour, chainCases } from "./rig-case.js";

/** What the links of one chain can say, wherever its descriptors stand. */
export const CHAIN_ROWS: readonly Row[] = [
  { id: "BI-12", title: "a chain that comes back to itself", cases: loops },
  { id: "BI-13", title: "an element of no bytes", cases: empty },
  { id: "BI-14", title: "a next beyond its table", cases: nextBeyond },
  { id: "BI-19", title: "readable behind writable", cases: orders },
  { id: "BI-20", title: "a chain of more elements than the ring", cases: tooManyElements },
  { id: "BI-21", title: "a header cut anywhere", cases: compositions },
  { id: "BI-25", title: "as many one-byte elements as there can be", cases: oneByte },
];

const DIRECT: readonly Form[] = ["direct"];

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

function loops(): Case[] {
  const num = 8;
  return upTo(num).flatMap((length) =>
    Array.from({ length: num - length + 1 }, (_, tail) => tail).flatMap((tail) => {
      const links = Array.from({ length: tail + length }, (_, i) => writable(i));
      const last = links.length - 1;
      const name = `${length} in a loop behind ${tail}`;
      const setup = { num };
      // In a ring the table's index is the slot, so the chain stands from slot 0 on: nothing is before it.
      const looped = withLink(links, last, { next: tail });
      const empties = looped.map((link) => ({ ...link, length: 0 }));
      const outcome = "break-queue chain-too-long";
      return [
        ...chainCases(name, outcome, { links: looped, forms: ["indirect"], setup }),
        ...chainCases(`${name}, empty`, outcome, { links: empties, forms: ["indirect"], setup, spread: 1 }),
        ...fromSlotZero(name, looped, outcome),
        ...fromSlotZero(`${name}, empty`, empties, outcome),
        ...asNeighbour(chainCases(`${name} that ends`, "forward", { links, forms: FORMS, setup, spread: 1 })),
      ];
    }),
  );
}

/** A direct chain that fills its ring from slot 0, so that nothing can stand before it. */
function fromSlotZero(name: string, links: readonly Link[], expected: Case["expected"]): Case[] {
  const filler = Array.from({ length: 7 - (links.length - 1) }, () => writable());
  const ending = links.at(-1)!;
  const whole = [...links.slice(0, -1), ending, ...filler];
  return chainCases(name, expected, { links: whole, forms: DIRECT, setup: { num: 8 }, spread: 1 });
}

function empty(): Case[] {
  return [1, 2, 4]
    .flatMap((count) =>
      Array.from({ length: count }, (_, at) => at).flatMap((at) => {
        const links = halves(count);
        const name = `element ${at} of ${count}`;
        const none = (link: Partial<Link>) => ({ links: withLink(links, at, { length: 0, ...link }), forms: FORMS });
        const nowhere = { address: BigInt(HOLE_GPA) };
        return [
          ...chainCases(`${name} empty`, count === 1 ? "quarantine chain-empty" : "forward", none({})),
          ...chainCases(`${name} empty, in the hole`, "quarantine address-unmapped", none(nowhere)),
          ...chainCases(`${name} empty, at 2^64 - 1`, "quarantine address-unmapped", none({ address: 2n ** 64n - 1n })),
          ...asNeighbour(
            chainCases(`${name} of one byte`, "forward", { links: withLink(links, at, { length: 1 }), forms: FORMS }),
          ),
        ];
      }),
    )
    .concat(
      upTo(8).flatMap((count) =>
        chainCases(`all of ${count} empty`, "quarantine chain-empty", {
          links: halves(count, 0),
          forms: FORMS,
          spread: 1,
        }),
      ),
      chainCases("empty and writable in a read-only page", "quarantine permission-denied", {
        links: [readable(), { ...writable(), address: BigInt(READ_ONLY_GPA), length: 0 }],
        forms: FORMS,
        setup: { map: "split" },
      }),
    );
}

function nextBeyond(): Case[] {
  const num = 8;
  return [2, 4, 7].flatMap((count) =>
    Array.from({ length: count }, (_, at) => at).flatMap((at) => {
      const links = halves(count);
      const name = `next of element ${at} of ${count}`;
      const at8 = (next: number, forms: readonly Form[]) => ({
        links: withLink(links, at, { next }),
        forms,
        setup: { num },
        spread: 1,
      });
      const outcome = "break-queue next-out-of-range";
      return [
        ...[num, num + 1, 0x7fff, 0x8000, 0xffff].flatMap((next) => [
          ...chainCases(`${name} is ${next}`, outcome, at8(next, ["direct", "indirect"])),
        ]),
        ...chainCases(`${name} is behind its table`, outcome, at8(count, ["indirect"])),
        ...asNeighbour(chainCases(`${name} is in its table`, "forward", { links, forms: FORMS, setup: { num } })),
      ];
    }),
  );
}

function orders(): Case[] {
  return upTo(6).flatMap((count) =>
    Array.from({ length: 2 ** count }, (_, order) => order).flatMap((order) => {
      const writes = Array.from({ length: count }, (_, i) => ((order >>> i) & 1) === 1);
      const wrong = writes.some((each, i) => each && writes.slice(i).includes(false));
      const name = writes.map((each) => (each ? "w" : "r")).join("");
      const links = writes.map((each, i) => (each ? writable(i) : readable(i)));
      if (wrong) return chainCases(name, "break-queue readable-after-writable", { links, forms: FORMS, spread: 1 });
      return asNeighbour(chainCases(name, "forward", { links, forms: FORMS, spread: 1 }));
    }),
  );
}

function tooManyElements(): Case[] {
  return NUMS.flatMap((num) => {
    const setup = { num, shadowNum: 16 };
    const direct = halves(Math.min(num, 8)).concat(Array.from({ length: Math.max(0, num - 8) }, () => writable()));
    return [
      ...distinct([1, 2, num]).flatMap((more) =>
        chainCases(`${num + more} elements in a ring of ${num}`, "break-queue chain-too-long", {
          links: Array.from({ length: num + more }, (_, i) => writable(i % 16)),
          forms: num + more > 2 && num > 1 ? ["indirect", "mixed"] : ["indirect"],
          setup,
        }),
      ),
      ...asNeighbour(
        chainCases(`${num} elements in a ring of ${num}`, "forward", {
          links: direct,
          forms: num > 1 ? FORMS : ["direct", "indirect"],
          setup,
        }),
      ),
    ];
  });
}

/** A header of five bytes cut in every way, with data and a status behind it: a relay moves bytes, not elements. */
function compositions(): Case[] {
  return Array.from({ length: 16 }, (_, cuts) => cuts).flatMap((cuts) => {
    const lengths = [1];
    for (let i = 0; i < 4; i++) {
      if (((cuts >>> i) & 1) === 1) lengths.push(1);
      else lengths[lengths.length - 1]! += 1;
    }
    const links = [...lengths.map((length, i) => readable(i, length)), writable(6, 512), writable(7, 1)];
    const whole = chainCases(`header ${lengths.join(" + ")}`, "forward", { links, forms: FORMS, spread: 1 });
    const bare = chainCases(`header ${lengths.join(" + ")}, no status`, "forward", {
      links: links.slice(0, -2),
      forms: FORMS,
      spread: 1,
    });
    return [...asNeighbour(whole), ...bare];
  });
}

function oneByte(): Case[] {
  return NUMS.flatMap((num) =>
    chainCases(`${num} elements of one byte`, "forward", {
      links: Array.from({ length: num }, (_, i) => writable(i, 1)),
      forms: FORMS,
      setup: { num },
      spread: 4,
    }),
  );
}
