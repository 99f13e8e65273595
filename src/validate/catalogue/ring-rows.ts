import type { Action } from "../rig/program.js";
import type { Case, Row } from "./case.js";
import {
  distinct,
  EVENTS,
  elements,
  linked,
  NUMS,
  offer,
  offered,
  PUBLISH,
  ROUND,
  ROUNDS,
  STARTS,
  single,
  times,
  writable,
} from "./programs.js";
import { neighbour, rigCase } from "./rig-case.js";

/** What a guest's available ring can say. */
export const RING_ROWS: readonly Row[] = [
  { id: "BI-01", title: "the available index is ahead by more than the ring", cases: ahead },
  { id: "BI-02", title: "the available index goes backwards", cases: backwards },
  { id: "BI-03", title: "a head beyond the ring", cases: heads },
  { id: "BI-04", title: "a head that is offered while it is outstanding", cases: twice },
  { id: "BI-05", title: "more chains than the ring holds", cases: tooMany },
];

/** A batch that fills a ring: a chain in each slot. */
function filled(num: number): Action[] {
  return Array.from({ length: num }, (_, slot) => single(slot));
}

function ahead(): Case[] {
  return [1, 2, 8, 16].flatMap((num) =>
    STARTS.flatMap((start) =>
      EVENTS.flatMap((eventIdx) => {
        const setup = { num, start, eventIdx };
        const deltas = [num + 1, num + 2, 2 * num, 255, 256, 4096, 32_767, 32_768, 32_769, 65_534];
        const where = `a ring of ${num} from ${start}, ${eventIdx ? "event index" : "flags"}`;
        return [
          ...distinct(deltas)
            .filter((delta) => delta > num)
            .map((jump) =>
              rigCase(
                `ahead by ${jump} in ${where}`,
                "break-queue avail-idx-overrun",
                setup,
                [{ op: "publish", jump }, ...ROUND],
                { forwarded: 0 },
              ),
            ),
          neighbour(`ahead by ${num} in ${where}`, setup, [...filled(num), PUBLISH, ...ROUNDS]),
        ];
      }),
    ),
  );
}

function backwards(): Case[] {
  return [1, 8, 16].flatMap((num) =>
    STARTS.flatMap((start) => {
      const setup = { num, start, eventIdx: start % 2 === 0 };
      const batch = [single(0), PUBLISH, ...ROUNDS];
      return [
        ...distinct([1, 2, num, num + 1, 0x7fff, 0x8000, 0xffff - num]).map((back) =>
          rigCase(
            `back by ${back} in a ring of ${num} from ${start}`,
            "break-queue avail-idx-overrun",
            setup,
            [...batch, { op: "publish", jump: 0x1_0000 - back }, ...ROUND],
            { forwarded: 1 },
          ),
        ),
        neighbour(`where it was, in a ring of ${num} from ${start}`, setup, [...batch, PUBLISH, ...ROUND]),
      ];
    }),
  );
}

function heads(): Case[] {
  return NUMS.flatMap((num) =>
    [0, 0xffff].flatMap((start) => {
      const setup = { num, start, eventIdx: num % 4 === 0 };
      const befores = distinct([0, Math.min(1, num - 1), num - 1]);
      return [
        ...befores.flatMap((before) =>
          [num, num + 1, 255, 0x7fff, 0x8000, 0xffff].map((head) =>
            rigCase(
              `head ${head} behind ${before} in a ring of ${num} from ${start}`,
              "break-queue head-out-of-range",
              setup,
              [...filled(before), { op: "offer-head", head }, PUBLISH, ...ROUND],
              { forwarded: before },
            ),
          ),
        ),
        neighbour(`head ${num - 1} in a ring of ${num} from ${start}`, setup, [single(num - 1), PUBLISH, ...ROUNDS]),
      ];
    }),
  );
}

function twice(): Case[] {
  return EVENTS.flatMap((eventIdx) =>
    [0, 0xfffc].flatMap((start) =>
      Array.from({ length: 7 }, (_, i) => i + 1).flatMap((distance) => {
        const setup = { eventIdx, start, num: 8 };
        const again: Action = { op: "offer-head", head: 7 - distance };
        const where = `at distance ${distance} from ${start}, ${eventIdx ? "event index" : "flags"}`;
        const first = filled(7);
        const outcome = "break-queue head-outstanding";
        return [
          rigCase(`in one batch, ${where}`, outcome, setup, [...first, again, PUBLISH, ...ROUND], { forwarded: 7 }),
          rigCase(
            `while the device has it, ${where}`,
            outcome,
            setup,
            [...first, PUBLISH, { op: "relay" }, again, PUBLISH, ...ROUND],
            { forwarded: 7 },
          ),
          neighbour(`once it is back, ${where}`, setup, [...first, PUBLISH, ...ROUNDS, again, PUBLISH, ...ROUNDS]),
        ];
      }),
    ),
  );
}

function tooMany(): Case[] {
  const overrun = EVENTS.flatMap((eventIdx) =>
    [2, 3, 10].map((laps) =>
      rigCase(
        `${laps} laps at once, ${eventIdx ? "event index" : "flags"}`,
        "break-queue avail-idx-overrun",
        { eventIdx },
        [...times(laps, ...filled(8)), PUBLISH, ...ROUND],
        { forwarded: 0 },
      ),
    ),
  );
  const held = [1, 2, 4, 8].flatMap((shadowNum) =>
    EVENTS.flatMap((eventIdx) => {
      const setup = { num: 16, shadowNum, eventIdx, start: 0xfff8 };
      const one = offer(elements(1));
      return [
        rigCase(
          `16 chains through a shadow ring of ${shadowNum}, ${eventIdx ? "event index" : "flags"}`,
          "forward",
          setup,
          [...times(16, one), PUBLISH],
        ),
        rigCase(`a chain of ${shadowNum} behind another, ${eventIdx ? "event index" : "flags"}`, "forward", setup, [
          ...times(2, offer(elements(shadowNum, 0, 32))),
          one,
          PUBLISH,
        ]),
      ];
    }),
  );
  const laps = [1, 2, 8].map((num) =>
    neighbour(`10 laps, none of which is reaped, in a ring of ${num}`, { num }, [
      ...times(10, ...filled(num), PUBLISH, ...ROUNDS.filter(({ op }) => op !== "reap")),
    ]),
  );
  const parts = Array.from({ length: 8 }, (_, i) => offered({ descriptors: linked([writable(i)]), table: [] }, i));
  return [...overrun, ...held, ...laps, neighbour("a ring full", {}, [...parts, PUBLISH, ...ROUNDS])];
}
