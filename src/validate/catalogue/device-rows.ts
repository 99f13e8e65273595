import { vringOffsets } from "../../ring/vring-areas.js";
import type { Action } from "../rig/program.js";
import { BUFFERS_GPA, CANARY_BYTES, RIG_IOVA_BASE } from "../rig/world.js";
import type { Case, Row } from "./case.js";
import {
  BROKEN_RULE,
  devicePoke,
  distinct,
  EVENTS,
  elements,
  FORMS,
  inFlight,
  ONE,
  offer,
  PUBLISH,
  PUBLISH_USED,
  REAP,
  RELAY,
  ROUND,
  ROUNDS,
  SETUP,
  TAKE,
  TOLD,
  times,
  USE,
  WHERE,
} from "./programs.js";
import { neighbour, rigCase } from "./rig-case.js";

/** What a device can do beside naming chains that it does not have. */
export const DEVICE_ROWS: readonly Row[] = [
  { id: "BI-50", title: "a used length beyond what is writable", cases: tooLong },
  { id: "BI-51", title: "a used length short of what was written", cases: tooShort },
  { id: "BI-52", title: "a device that writes to the ring it was given", cases: edits },
  { id: "BI-55", title: "a device that keeps chains", cases: stalls },
  { id: "BI-56", title: "chains that take more descriptors than they had", cases: pieces },
  { id: "BI-57", title: "chains of all lengths, for many laps", cases: laps },
];

/** The bytes a device may write, and what it claims of them. */
function tooLong(): Case[] {
  return FORMS.flatMap((form) =>
    [0, 1, 8, 64, 255].flatMap((bytes) =>
      EVENTS.flatMap((log) => {
        const buffers = [...elements(1, 1), ...(bytes === 0 ? [] : elements(2, 0, bytes))];
        const room = bytes * 2;
        const run = (claim: number): Action[] => [
          offer(buffers, form),
          PUBLISH,
          RELAY,
          TAKE,
          { op: "use", nth: 0, bytes: room, claim },
          ...TOLD,
        ];
        const title = `of ${room} bytes, ${form}${log ? ", logged" : ""}`;
        return [
          ...[room + 1, 0xffff, 0x1_0000, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1].map((claim) =>
            rigCase(`claims ${claim} ${title}`, "forward", { log }, run(claim)),
          ),
          neighbour(`claims all ${title}`, { log }, run(room)),
        ];
      }),
    ),
  );
}

function tooShort(): Case[] {
  return FORMS.flatMap((form) =>
    [1, 64, 4096, 3 * 4096].flatMap((bytes) =>
      distinct([0, 1, Math.max(0, bytes - 1)]).map((claim) =>
        rigCase(`writes ${bytes} and claims ${claim}, ${form}`, "forward", { eventIdx: claim === 0 }, [
          { op: "harvest" },
          offer([...elements(1, 1), { gpa: BUFFERS_GPA + 7, bytes, writable: true }], form),
          PUBLISH,
          RELAY,
          TAKE,
          { op: "use", nth: 0, bytes, claim },
          ...TOLD,
        ]),
      ),
    ),
  );
}

/** Words of a shadow descriptor and what a device may put there. */
const EDITS = [
  { name: "address", at: 0, width: 4, value: 0x7000 },
  { name: "address above", at: 4, width: 4, value: RIG_IOVA_BASE / 2 ** 32 + 1 },
  { name: "length", at: 8, width: 4, value: 0xffff_ffff },
  { name: "no length", at: 8, width: 4, value: 0 },
  { name: "flags", at: 12, width: 2, value: 0xffff },
  { name: "no flags", at: 12, width: 2, value: 0 },
  { name: "next", at: 14, width: 2, value: 0xffff },
  { name: "next to itself", at: 14, width: 2, value: 0 },
] as const;

function edits(): Case[] {
  const ring = vringOffsets(SETUP.shadowNum, CANARY_BYTES);
  const chain = [...times(2, offer(elements(3, 1))), PUBLISH];
  const inDescriptors = EDITS.flatMap(({ name, at, width, value }) =>
    [0, 1, 2, 3, 5].flatMap((index) => {
      const poke = devicePoke(ring.desc + index * 16 + at, value, width);
      const title = `${name} of descriptor ${index}`;
      return [
        rigCase(`${title}, before it is filled`, "forward", {}, [poke, ...chain, ...ROUNDS, ...chain, ...ROUNDS]),
        // What it makes up for itself it reads itself; the guest's chain and its marks are the relay's business.
        rigCase(`${title}, once it has it`, "forward", {}, [
          ...chain,
          RELAY,
          TAKE,
          poke,
          ...ROUNDS,
          ...chain,
          ...ROUNDS,
        ]),
        rigCase(`${title}, as it returns it`, "forward", {}, [
          ...chain,
          RELAY,
          TAKE,
          USE,
          poke,
          PUBLISH_USED,
          RELAY,
          ...ROUNDS,
          ...chain,
          ...ROUNDS,
        ]),
      ];
    }),
  );
  const entries = Array.from({ length: SETUP.shadowNum }, (_, i) => ring.avail + 4 + i * 2);
  const inAvail = [ring.avail, ...entries].map((at) =>
    rigCase(`its available ring at ${at}`, "forward", {}, [
      ...chain,
      RELAY,
      TAKE,
      devicePoke(at, 0xfff0, 2),
      ...ROUNDS,
    ]),
  );
  return [...inDescriptors, ...inAvail, neighbour("it leaves its ring alone", {}, [...chain, ...ROUNDS])];
}

function stalls(): Case[] {
  return [2, 4, 8, 16].flatMap((shadowNum) =>
    Array.from({ length: Math.min(shadowNum, 8) }, (_, i) => i + 1).flatMap((kept) => {
      const setup = { shadowNum, eventIdx: kept % 2 === 0 };
      // It has them all and returns those that came after the ones it keeps.
      const served = Math.min(shadowNum, 8) - kept;
      const others = Array.from({ length: served }, (): Action => ({ op: "use", nth: kept, bytes: 64 }));
      const first = [...inFlight(kept + served), ...others, PUBLISH_USED, RELAY, RELAY, REAP];
      return [
        rigCase(`keeps ${kept} of ${kept + served} in ${shadowNum}`, "forward", setup, [...first, BROKEN_RULE, RELAY], {
          kept,
        }),
        rigCase(
          `keeps ${kept} of ${kept + served} in ${shadowNum} for 50 turns`,
          "forward",
          setup,
          [...first, BROKEN_RULE, ...times(50, RELAY)],
          { kept, look: ({ accesses }) => (accesses < 2500 ? undefined : `${accesses} accesses`) },
        ),
        neighbour(`returns ${served} of ${kept + served} at once and the others late, in ${shadowNum}`, setup, [
          ...first,
          ...times(50, RELAY),
          ...ROUNDS,
        ]),
      ];
    }),
  );
}

function pieces(): Case[] {
  const border = 3 * 4096;
  const cut = (count: number, bytes = 8) =>
    Array.from({ length: count }, () => ({ gpa: border - 4, bytes, writable: false }));
  return FORMS.flatMap((form) =>
    [2, 4, 8, 16].flatMap((shadowNum) => {
      const setup = { shadowNum, map: "split", num: 16 } as const;
      const fits = shadowNum / 2;
      const title = `in a shadow ring of ${shadowNum}, ${form}`;
      const last = { gpa: BUFFERS_GPA, bytes: 1, writable: true };
      const over: Action[] = [
        BROKEN_RULE,
        offer([...cut(fits), last], form),
        PUBLISH,
        ...ROUNDS,
        ONE,
        PUBLISH,
        ...ROUNDS,
      ];
      return [
        rigCase(`${fits} buffers in two pieces and one more ${title}`, "quarantine chain-never-fits", setup, over),
        neighbour(`${fits} buffers in two pieces ${title}`, setup, [offer(cut(fits), form), PUBLISH, ...ROUNDS]),
        neighbour(`the same, four times at once ${title}`, setup, [
          ...times(fits > 4 && form === "direct" ? 1 : 4, offer(cut(Math.min(fits, 4)), form)),
          PUBLISH,
          ...ROUNDS,
        ]),
      ];
    }),
  );
}

function laps(): Case[] {
  return FORMS.flatMap((form) =>
    WHERE.map((where) => {
      const lengths = [1, 2, 3, 5, 8, 1, 4, 7];
      const lap = lengths.flatMap((length) => [offer(elements(length, 1, 32), form), PUBLISH, ...ROUND]);
      const title = `60 laps, ${form}; ${where.eventIdx ? "event index" : "flags"} from ${where.start}`;
      return rigCase(title, "forward", { ...where, shadowNum: 8 }, times(60, ...lap));
    }),
  );
}
