import { VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../layout/virtio-ring.js";
import { vringOffsets } from "../../ring/vring-areas.js";
import type { Action, Poke, Program } from "../rig/program.js";
import type { MakeRelay } from "../rig/rig.js";
import { ACCESS } from "../rig/watched-memory.js";
import { CANARY_BYTES, GUEST_RING, SPACE, TABLES_GPA } from "../rig/world.js";
import type { Case, Outcome, Row, Verdict } from "./case.js";
import {
  EVENTS,
  elements,
  FORMS,
  type Form,
  guestPoke,
  offer,
  PUBLISH,
  PUBLISH_USED,
  RELAY,
  ROUNDS,
  SETUP,
  STARTS,
  TAKE,
  times,
  USE,
} from "./programs.js";
import { neighbour, rigCase, runInRig } from "./rig-case.js";

/** Words that change between two looks at them. */
export const TOCTOU_ROWS: readonly Row[] = [
  { id: "BI-58", title: "a word that changes as it is read", cases: changes },
  { id: "BI-59", title: "descriptors that change while the device has the chain", cases: changedInFlight },
];

const RING = vringOffsets(SETUP.num, GUEST_RING);
const SHADOW = vringOffsets(SETUP.shadowNum, CANARY_BYTES);
const COUNT = 4;

/** A word, what a peer puts there, and how that ends when it comes in time. */
interface Change {
  readonly name: string;
  readonly by: "guest" | "device";
  readonly poke: Poke;
  readonly inTime: Outcome;
}

/** What a guest can do to element `index` of a table, with `before` elements of the chain before the table. */
function descriptorChanges(table: number, index: number, nested: boolean, before: number): Change[] {
  const at = table + index * 16;
  const place = before + index;
  const last = place === COUNT - 1;
  const change = (name: string, offset: number, width: Poke["width"], value: number, inTime: Outcome): Change => {
    const poke = { space: SPACE.low, offset: at + offset, width, value };
    return { name: `${name} of element ${place}`, by: "guest", poke, inTime };
  };
  return [
    change("the address", 4, 4, 1, "quarantine address-unmapped"),
    change("the address, to the hole", 0, 4, 0x9000, "quarantine address-unmapped"),
    change("the length", 8, 4, 0xffff_ffff, "quarantine address-unmapped"),
    change(
      "the direction",
      12,
      2,
      last ? 0 : VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
      // Of four elements the last is writable: the third may be so too, and the last may be readable.
      place < COUNT - 2 ? "break-queue readable-after-writable" : "forward",
    ),
    change(
      "a pointer",
      12,
      2,
      VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT,
      nested ? "break-queue indirect-nested" : "break-queue indirect-with-next",
    ),
    ...(last ? [] : [change("the next", 14, 2, 0xffff, "break-queue next-out-of-range")]),
    ...(last ? [] : [change("the next, to itself", 14, 2, index, "break-queue chain-too-long")]),
  ];
}

function changesOf(form: Form, start: number): Change[] {
  const slot = start & (SETUP.num - 1);
  const head = { space: SPACE.low, offset: RING.avail + 4 + slot * 2, width: 2, value: 0x8000 } as const;
  const used = { space: SPACE.shadow, offset: SHADOW.used + 4, width: 4, value: 0x1_0000 } as const;
  const direct = form === "indirect" ? [] : [...Array(form === "mixed" ? 1 : COUNT).keys()];
  const inTable = form === "direct" ? [] : [...Array(form === "mixed" ? COUNT - 1 : COUNT).keys()];
  // The naive guest keeps the table of slot s behind those of the slots before it.
  const table = TABLES_GPA + (form === "mixed" ? 1 : 0) * SETUP.num * 16;
  return [
    ...direct.flatMap((i) => descriptorChanges(RING.desc, i, false, 0)),
    ...inTable.flatMap((i) => descriptorChanges(table, i, true, COUNT - inTable.length)),
    { name: "the head", by: "guest", poke: head, inTime: "break-queue head-out-of-range" },
    { name: "the used id", by: "device", poke: used, inTime: "break-queue used-id-unknown" },
  ];
}

/** Where a relay read a word, by number of its access, when nobody changed it. */
type Looks = (make: MakeRelay, poke: Poke) => readonly number[];

/** The looks of one program; run once for each relay. */
function looksOf(program: Program): Looks {
  const reads: { space: number; offset: number; end: number; access: number }[] = [];
  let by: MakeRelay | undefined;
  return (make, poke) => {
    if (by !== make) {
      by = make;
      reads.length = 0;
      let access = 0;
      runInRig(program, make, {}, (kind, space, offset, bytes) => {
        access += 1;
        if (kind <= ACCESS.copyOut) reads.push({ space, offset, end: offset + bytes, access });
      });
    }
    const covers = reads.filter(({ space, offset, end }) => {
      return space === poke.space && offset <= poke.offset && poke.offset < end;
    });
    return covers.map(({ access }) => access);
  };
}

/**
 * Stores into a word right before the one look that a relay may take at it, or right behind that look.
 *
 * The first must end as if the word had always been so, the second as if it had never changed.
 */
function ambushed(name: string, change: Change, { setup, actions }: Program, lookedAt: Looks, inTime: boolean): Case {
  const { by, poke, inTime: early } = change;
  const run = (make: MakeRelay): Verdict => {
    const looks = lookedAt(make, poke);
    if (looks.length !== 1) return { outcome: `${looks.length} looks at one word`, accesses: 0 };
    const ambush: Action = { op: "ambush", by, access: looks[0]! + (inTime ? 0 : 1), poke };
    return runInRig({ setup, actions: [ambush, ...actions] }, make);
  };
  const budget = 100 * (actions.length + 2);
  return { name, kind: inTime ? "case" : "neighbour", expected: inTime ? early : "forward", budget, run };
}

function changes(): Case[] {
  return FORMS.flatMap((form) =>
    EVENTS.flatMap((eventIdx) =>
      [STARTS[0], STARTS[4]].flatMap((start) => {
        const actions = [offer(elements(COUNT, COUNT - 1), form), PUBLISH, ...ROUNDS];
        const program = { setup: { ...SETUP, eventIdx, start }, actions };
        const looks = looksOf(program);
        const where = `${form}, ${eventIdx ? "event index" : "flags"} from ${start}`;
        return changesOf(form, start).flatMap((change) =>
          [true, false].map((inTime) => {
            const when = inTime ? "right before it is read" : "right behind";
            return ambushed(`${change.name} ${when}; ${where}`, change, program, looks, inTime);
          }),
        );
      }),
    ),
  );
}

/** Everything the guest can rewrite in its table while the device has the chain. */
function changedInFlight(): Case[] {
  const words = [0, 4, 8, 12].flatMap((word) => [0, 1, 2].map((index) => ({ word, index })));
  const rewritten = FORMS.flatMap((form) =>
    words.flatMap(({ word, index }) =>
      [0, 0xffff_ffff, 0x7000].flatMap((value) =>
        [0, 1].map((moment) => {
          const table = form === "direct" ? RING.desc : TABLES_GPA + (form === "mixed" ? 1 : 0) * SETUP.num * 16;
          const poke = guestPoke(table + index * 16 + word, value, 4);
          const held = [TAKE, ...(moment === 0 ? [poke, USE] : [USE, poke]), PUBLISH_USED, RELAY, RELAY];
          const when = moment === 0 ? "in flight" : "used";
          const name = `word ${word / 4} of descriptor ${index} becomes ${value}, ${when}`;
          const actions = [{ op: "harvest" } as const, offer(elements(4, 1), form), PUBLISH, RELAY, ...held, ...ROUNDS];
          return rigCase(`${name}, ${form}`, "forward", {}, actions);
        }),
      ),
    ),
  );
  const left = FORMS.map((form) =>
    neighbour(`left alone, ${form}`, {}, [...times(2, offer(elements(4, 1), form), PUBLISH, ...ROUNDS)]),
  );
  return [...rewritten, ...left];
}
