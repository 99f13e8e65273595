import type { Action } from "../rig/program.js";
import type { Case, Row } from "./case.js";
import {
  distinct,
  EVENTS,
  elements,
  FORMS,
  inFlight,
  offer,
  PUBLISH,
  PUBLISH_USED,
  RELAY,
  ROUND,
  ROUNDS,
  TAKE,
  TOLD,
  times,
  USE,
  WHERE,
} from "./programs.js";
import { neighbour, rigCase } from "./rig-case.js";

/** What a device's used ring can say. */
export const USED_ROWS: readonly Row[] = [
  { id: "BI-44", title: "a used id beyond the ring", cases: idsBeyond },
  { id: "BI-45", title: "a used id that was never offered", cases: neverOffered },
  { id: "BI-46", title: "a used id that came before", cases: usedTwice },
  { id: "BI-47", title: "the middle of a chain as a used id", cases: midChain },
  { id: "BI-48", title: "more used entries than chains", cases: usedAhead },
  { id: "BI-49", title: "the used index goes backwards", cases: usedBackwards },
];

function idsBeyond(): Case[] {
  return [4, 8, 16].flatMap((shadowNum) =>
    WHERE.flatMap((where) => {
      const setup = { ...where, shadowNum };
      const beyond = [shadowNum, shadowNum + 1, 0x7fff, 0xffff, 0x1_0000, 0x1_0001, 2 ** 28, 2 ** 31, 2 ** 32 - 1];
      const title = `in a shadow ring of ${shadowNum}; ${where.eventIdx ? "event index" : "flags"} from ${where.start}`;
      return [
        ...beyond.map((id) =>
          rigCase(`id ${id} ${title}`, "break-queue used-id-unknown", setup, [...inFlight(2), usedRaw(id), ...TOLD], {
            forwarded: 2,
          }),
        ),
        neighbour(`its own id ${title}`, setup, [...inFlight(2), USE, USE, ...TOLD]),
        // Told in the device's own words, so that the neighbour differs by the number alone.
        neighbour(`id 0, raw, ${title}`, setup, [...inFlight(1), usedRaw(0), ...TOLD.filter(({ op }) => op !== "use")]),
      ];
    }),
  );
}

function neverOffered(): Case[] {
  return [1, 3, 7].flatMap((count) => [
    ...Array.from({ length: 16 - count }, (_, i) => count + i).map((id) =>
      rigCase(
        `id ${id} with ${count} in flight`,
        "break-queue used-id-unknown",
        { eventIdx: id % 2 === 0 },
        [...inFlight(count), usedRaw(id), ...TOLD],
        { forwarded: count },
      ),
    ),
    neighbour(`ids of ${count} in flight`, {}, [...inFlight(count), ...times(count, USE), ...TOLD]),
  ]);
}

function usedTwice(): Case[] {
  return EVENTS.flatMap((eventIdx) =>
    Array.from({ length: 7 }, (_, i) => i + 1).flatMap((distance) => {
      const setup = { eventIdx, shadowNum: 8 };
      const title = `at distance ${distance}, ${eventIdx ? "event index" : "flags"}`;
      const used = times(distance, USE);
      const outcome = "break-queue used-id-unknown";
      return [
        rigCase(`in one batch ${title}`, outcome, setup, [...inFlight(8), ...used, usedRaw(0), ...TOLD], {
          forwarded: 8,
        }),
        rigCase(
          `in the next batch ${title}`,
          outcome,
          setup,
          [...inFlight(8), ...used, PUBLISH_USED, RELAY, usedRaw(0), ...TOLD],
          { forwarded: 8 },
        ),
        neighbour(`each once ${title}`, setup, [...inFlight(8), ...used, PUBLISH_USED, RELAY, ...ROUNDS]),
      ];
    }),
  );
}

function midChain(): Case[] {
  return [2, 3, 5, 8].flatMap((length) =>
    FORMS.flatMap((form) => [
      ...Array.from({ length: length - 1 }, (_, i) => i + 1).map((id) =>
        rigCase(
          `id ${id} of a chain of ${length}, ${form}`,
          "break-queue used-id-unknown",
          {},
          [offer(elements(length), form), PUBLISH, RELAY, TAKE, usedRaw(id), ...TOLD],
          { forwarded: 1 },
        ),
      ),
      neighbour(`the head of a chain of ${length}, ${form}`, {}, [offer(elements(length), form), PUBLISH, ...ROUNDS]),
    ]),
  );
}

function usedAhead(): Case[] {
  return [0, 1, 3, 8].flatMap((count) =>
    EVENTS.flatMap((eventIdx) => [
      ...distinct([count + 1, count + 2, 9, 16, 17, 255, 0x7fff, 0x8000, 0xffff])
        .filter((jump) => jump > count)
        .map((jump) =>
          rigCase(
            `${jump} used of ${count}, ${eventIdx ? "event index" : "flags"}`,
            "break-queue used-idx-overrun",
            { eventIdx },
            [...inFlight(count), { op: "publish-used", jump }, RELAY, ...ROUND],
            { forwarded: count },
          ),
        ),
      neighbour(`${count} used of ${count}, ${eventIdx ? "event index" : "flags"}`, { eventIdx }, [
        ...inFlight(count),
        ...times(count, USE),
        ...TOLD,
      ]),
    ]),
  );
}

function usedBackwards(): Case[] {
  return [1, 4, 8].flatMap((count) =>
    WHERE.flatMap((where) => {
      const batch = [...inFlight(count), ...times(count, USE), ...TOLD];
      const title = `after ${count}; ${where.eventIdx ? "event index" : "flags"} from ${where.start}`;
      return [
        ...distinct([1, 2, count, 0x7fff, 0x8000]).map((back) =>
          rigCase(
            `back by ${back} ${title}`,
            "break-queue used-idx-overrun",
            where,
            [...batch, ...inFlight(2), { op: "publish-used", jump: 0x1_0000 - back }, RELAY],
            { forwarded: count + 2 },
          ),
        ),
        neighbour(`on ${title}`, where, [...batch, ...inFlight(2), ...ROUNDS]),
      ];
    }),
  );
}

function usedRaw(id: number, length = 0): Action {
  return { op: "use-raw", id, length };
}
