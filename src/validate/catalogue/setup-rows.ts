import { availRingBytes, descTableBytes, usedRingBytes } from "../../layout/virtio-ring.js";
import { RealMemory } from "../../memory/real-memory.js";
import { DeviceRing } from "../../ring/device-ring.js";
import { DriverRing } from "../../ring/driver-ring.js";
import { checkedAreas, clearRings, type VringAreas } from "../../ring/vring-areas.js";
import type { Case, Outcome, Row } from "./case.js";
import { EVENTS, elements, NUMS, offer, PUBLISH, ROUNDS, times } from "./programs.js";
import { plainCase, rigCase } from "./rig-case.js";

const PARTS = ["desc", "avail", "used"] as const;
type Part = (typeof PARTS)[number];

const SIZES = Array.from({ length: 16 }, (_, shift) => 2 ** shift);
const BYTES: Readonly<Record<Part, (num: number) => number>> = {
  desc: descTableBytes,
  avail: availRingBytes,
  used: usedRingBytes,
};

/** Rings that a queue is set up with, and what is refused before it starts. */
export const SETUP_ROWS: readonly Row[] = [
  { id: "BI-06", title: "a queue size that is none", cases: queueSizes },
  { id: "BI-07", title: "a ring of another size than the one behind it", cases: unequalSizes },
  { id: "BI-08", title: "parts of a ring that are not aligned", cases: misaligned },
  { id: "BI-10", title: "parts of a ring outside of memory", cases: outside },
  { id: "BI-11", title: "parts of a ring that share bytes", cases: overlaps },
];

/** Every part in a memory of its own. */
function apart(num: number): VringAreas {
  const memory = (part: Part) => new RealMemory(new ArrayBuffer(Math.ceil((BYTES[part](num) + 64) / 4) * 4));
  const places = { descMemory: memory("desc"), availMemory: memory("avail"), usedMemory: memory("used") };
  return { num, ...places, desc: 0, avail: 0, used: 0 };
}

/** A ring that is set up and carries one chain there and back, unless it is refused. */
function ringCase(name: string, expected: Outcome, areas: () => VringAreas): Case {
  return plainCase(name, expected, () => {
    const ring = checkedAreas(areas());
    clearRings(ring);
    const features = { eventIdx: false, indirect: false };
    const driver = new DriverRing(ring, features);
    const device = new DeviceRing(ring, features, () => "unmapped");
    const head = driver.addChain([{ address: 0x1000, bytes: 8, deviceWritable: true }]);
    driver.publishAvail();
    if (!device.takeAvail() || device.chain.writableBytes !== 8) return "the device saw no chain";
    device.addUsed(head, 8);
    device.publishUsed();
    return driver.takeUsed() && driver.used.len === 8 ? undefined : "the chain did not come back";
  });
}

function queueSizes(): Case[] {
  const wrong = [0, -1, -8, 0.5, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32, 2 ** 31, 2 ** 53, 65_535, 65_536];
  const near = SIZES.flatMap((num) => [num - 1, num + 1, 3 * num]).filter((num) => !SIZES.includes(num));
  return [
    ...[...new Set([...wrong, ...near])].map((num) =>
      ringCase(`size ${num}`, "refuse queue-size", () => ({ ...apart(16), num })),
    ),
    ...SIZES.map((num) => ringCase(`size ${num}`, "forward", () => apart(num))),
  ];
}

function unequalSizes(): Case[] {
  return NUMS.flatMap((num) =>
    NUMS.flatMap((shadowNum) =>
      EVENTS.map((eventIdx) => {
        const chain = offer(elements(Math.min(num, shadowNum), 0, 32));
        const actions = times(4, chain, PUBLISH, ...ROUNDS);
        return rigCase(
          `${num} behind ${shadowNum}, ${eventIdx ? "event index" : "flags"}`,
          "forward",
          { num, shadowNum, eventIdx },
          actions,
        );
      }),
    ),
  );
}

function misaligned(): Case[] {
  const align = { desc: 16, avail: 2, used: 4 };
  return [1, 8, 256].flatMap((num) =>
    PARTS.flatMap((part) => [
      ...Array.from({ length: align[part] - 1 }, (_, i) => i + 1).map((at) =>
        ringCase(`${part} at ${at}, size ${num}`, "refuse ring-misaligned", () => ({ ...apart(num), [part]: at })),
      ),
      ringCase(`${part} at ${align[part]}, size ${num}`, "forward", () => ({ ...apart(num), [part]: align[part] })),
    ]),
  );
}

/** A part that ends `over` bytes beyond its memory; the memory is as long as its words allow. */
function endsBeyond(num: number, part: Part, over: number): VringAreas {
  const areas = apart(num);
  const bytes = BYTES[part](num);
  const place = part === "used" ? 4 : 16;
  const memory = { byteLength: place + bytes - over } as RealMemory;
  const whole = areas[`${part}Memory`];
  return {
    ...areas,
    [`${part}Memory`]: over > 0 ? memory : whole,
    [part]: over > 0 ? place : exactEnd(whole, part, num),
  };
}

function exactEnd(memory: VringAreas["descMemory"], part: Part, num: number): number {
  const start = memory.byteLength - BYTES[part](num);
  return start - (start % (part === "desc" ? 16 : 4));
}

function outside(): Case[] {
  return [1, 2, 16, 256, 32_768].flatMap((num) =>
    PARTS.flatMap((part) => {
      const refused = (name: string, areas: () => VringAreas) =>
        ringCase(`${part} ${name}, size ${num}`, "refuse ring-outside-memory", areas);
      const at = (place: number) => () => ({ ...apart(num), [part]: place });
      return [
        // Two bytes are the event word, which nobody uses without EVENT_IDX and which has to be there all the same.
        ...[1, 2, 4].map((over) => refused(`ends ${over} beyond`, () => endsBeyond(num, part, over))),
        ...[-16, 2 ** 20, 2 ** 31, 2 ** 32, 2 ** 52].map((place) => refused(`at ${place}`, at(place))),
        ringCase(`${part} ends with its memory, size ${num}`, "forward", () => endsBeyond(num, part, 0)),
      ];
    }),
  );
}

function overlaps(): Case[] {
  return [2, 16, 128].flatMap((num) =>
    PARTS.flatMap((a) =>
      PARTS.filter((b) => b !== a).flatMap((b) => {
        const together = (gap: number) => (): VringAreas => {
          const start = 64;
          const behind = start + Math.ceil(BYTES[a](num) / 16) * 16 + gap;
          const memory = new RealMemory(new ArrayBuffer(128 * 1024));
          const rest = 64 * 1024;
          const places = { descMemory: memory, availMemory: memory, usedMemory: memory };
          return { num, ...places, desc: rest, avail: rest, used: rest, [a]: start, [b]: behind };
        };
        return [
          ringCase(`${b} begins in the last 16 bytes of ${a}, size ${num}`, "refuse ring-overlap", together(-16)),
          ringCase(`${b} begins where ${a} does, size ${num}`, "refuse ring-overlap", () => {
            const areas = together(0)();
            return { ...areas, [b]: areas[a] };
          }),
          ringCase(`${b} begins behind ${a}, size ${num}`, "forward", together(0)),
        ];
      }),
    ),
  );
}
