import type { ShadowVirtqueue } from "../../relay/shadow-virtqueue.js";
import { checkedRingState, type RingState } from "../../ring/ring-state.js";
import { vringOffsets } from "../../ring/vring-areas.js";
import type { Action } from "../rig/program.js";
import { type MakeRelay, Rig } from "../rig/rig.js";
import { GUEST_RING, READ_ONLY_GPA, WIDE_GPA } from "../rig/world.js";
import type { Case, Outcome, Row, Verdict } from "./case.js";
import {
  BROKEN_RULE,
  distinct,
  EVENTS,
  elements,
  FORMS,
  guestPoke,
  HOLE_GPA,
  type Link,
  laid,
  ONE,
  offer,
  offered,
  PUBLISH,
  PUBLISH_USED,
  REAP,
  RELAY,
  ROUND,
  ROUNDS,
  readable,
  SETUP,
  STARTS,
  TAKE,
  times,
  USE,
  writable,
} from "./programs.js";
import { faultOf, neighbour, plainCase, rigCase } from "./rig-case.js";

/** What happens around a queue: stops, restarts, and chains that never come back. */
export const LIFECYCLE_ROWS: readonly Row[] = [
  { id: "BI-53", title: "a completion after the queue has stopped", cases: late },
  { id: "BI-69", title: "logging that begins while chains are in flight", cases: loggedLater },
  { id: "BI-96", title: "rings with leftovers of another life in them", cases: leftovers },
  { id: "BI-98", title: "a state that was made up, or whose ring has changed", cases: forged },
  { id: "BI-99", title: "a queue that ends with chains in flight", cases: ends },
  { id: "BI-100", title: "an error that keeps what it refuses", cases: refusals },
];

/** A batch that is served, and one of which the device has fetched nothing. */
function unfetched(served: number, waiting: number): Action[] {
  return [...times(served, ONE), PUBLISH, ...ROUND, ...times(waiting, ONE), PUBLISH, RELAY];
}

/** Runs a program and stops the queue at what its device says that it has fetched; `due` is where it then stands. */
function stopCase(
  name: string,
  expected: Outcome,
  start: number,
  actions: readonly Action[],
  base: RingState,
  due = 0,
) {
  const program = { setup: { ...SETUP, start }, actions };
  const run = (make: MakeRelay): Verdict => {
    const rig = new Rig(program, make);
    for (const action of actions) rig.act(action);
    let wrong: string | undefined;
    const outcome = faultOf(() => {
      const state = (rig.relay as Partial<ShadowVirtqueue>).stop!(base);
      if (state.lastAvailIdx !== due || state.usedIdx !== due)
        wrong = `it stands at ${JSON.stringify(state)}, not ${due}`;
    });
    return { outcome: wrong ?? outcome, accesses: rig.accesses };
  };
  const kind = expected === "forward" ? "neighbour" : "case";
  return { name, kind, expected, program, budget: 100 * (actions.length + 1), run } as const;
}

/** Stops a queue and lets the device complete what was taken back. */
function lateCase(name: string, served: number, waiting: number, start: number): Case {
  const actions = [...unfetched(served, waiting), BROKEN_RULE];
  const after = [TAKE, USE, PUBLISH_USED, RELAY];
  const program = { setup: { ...SETUP, start }, actions: [...actions, ...after] };
  const run = (make: MakeRelay): Verdict => {
    const rig = new Rig(program, make);
    for (const action of actions) rig.act(action);
    (rig.relay as Partial<ShadowVirtqueue>).stop!({ lastAvailIdx: served, usedIdx: served });
    try {
      for (const action of after) rig.act(action);
    } catch (error) {
      // The rig's books know of no stop: to them these chains are in flight still.
      if (!(error instanceof Error && /used-idx-overrun/.test(error.message))) throw error;
      return { outcome: "break-queue used-idx-overrun", accesses: rig.accesses };
    }
    return {
      outcome: rig.broken === undefined ? "nothing happened" : `break-queue ${rig.broken}`,
      accesses: rig.accesses,
    };
  };
  return { name, kind: "case", expected: "break-queue used-idx-overrun", program, budget: 10_000, run };
}

function late(): Case[] {
  return [0, 1, 5].flatMap((served) =>
    [1, 3, 8].flatMap((waiting) =>
      [STARTS[0], STARTS[4]].flatMap((start) => {
        const name = `${waiting} behind ${served} from ${start}`;
        const at = (start + served) & 0xffff;
        const base = { lastAvailIdx: served, usedIdx: served };
        return [
          lateCase(name, served, waiting, start),
          stopCase(`${name}, nothing late`, "forward", start, unfetched(served, waiting), base, at),
        ];
      }),
    ),
  );
}

/** A relay whose log is switched on at the end of its first turn: it then marks what it had written until then. */
function loggingLater(make: MakeRelay): MakeRelay {
  return (parts) => {
    const { marks } = parts;
    const { log } = marks;
    marks.log = undefined;
    const relay = make(parts);
    return {
      step: () => {
        const moved = relay.step();
        if (marks.log === undefined && log !== undefined) {
          marks.log = log;
          marks.all();
        }
        return moved;
      },
      arm: () => relay.arm(),
      abandon: () => relay.abandon(),
    };
  };
}

function loggedLater(): Case[] {
  return FORMS.flatMap((form) =>
    EVENTS.flatMap((eventIdx) =>
      [1, 2, 5, 8].map((count) => {
        const actions = [
          ...times(count, offer(elements(1), form)),
          PUBLISH,
          RELAY,
          { op: "harvest" } as const,
          ...ROUNDS,
        ];
        const plain = rigCase(
          `${count} in flight, ${form}, ${eventIdx ? "event index" : "flags"}`,
          "forward",
          { eventIdx, start: 0xfffc },
          actions,
        );
        return { ...plain, run: (make: MakeRelay) => plain.run(loggingLater(make)) };
      }),
    ),
  );
}

function leftovers(): Case[] {
  const ring = vringOffsets(8, GUEST_RING);
  const fill = (from: number, to: number, value: number) =>
    Array.from({ length: (to - from) / 2 }, (_, i) => guestPoke(from + i * 2, value, 2));
  return [0, 0x55aa, 0xffff].flatMap((value) =>
    STARTS.flatMap((start) => {
      const dirty = [
        ...fill(ring.desc, ring.avail, value),
        ...fill(ring.avail + 4, ring.avail + 20, value),
        ...fill(ring.used + 4, ring.used + 68, value),
      ];
      return EVENTS.map((eventIdx) =>
        rigCase(
          `words of ${value} in the rings, from ${start}, ${eventIdx ? "event index" : "flags"}`,
          "forward",
          { start, eventIdx },
          [...dirty, REAP, ...times(3, ONE, PUBLISH, ...ROUNDS)],
        ),
      );
    }),
  );
}

function forged(): Case[] {
  const ring = vringOffsets(8, GUEST_RING);
  const states = [1, 8, 16, 32_768].flatMap((num) =>
    [0, 1, 0xffff].flatMap((usedIdx) => {
      const at = (ahead: number) => ({ lastAvailIdx: (usedIdx + ahead) & 0xffff, usedIdx });
      return [
        ...distinct([num + 1, 0x8001, 0xffff]).map((ahead) =>
          plainCase(`${ahead} in flight of ${num}, at ${usedIdx}`, "break-queue avail-idx-overrun", () => {
            checkedRingState(at(ahead), num);
            return undefined;
          }),
        ),
        plainCase(`${num} in flight of ${num}, at ${usedIdx}`, "forward", () => {
          checkedRingState(at(num), num);
          return undefined;
        }),
      ];
    }),
  );
  const changed = [0, 0xfffc].flatMap((start) =>
    [0, 1, 2, 3].flatMap((entry) =>
      [7, 8, 0xffff].map((head) => {
        const at = ring.avail + 4 + ((start + 2 + entry) & 7) * 2;
        const actions = [...unfetched(2, 4), guestPoke(at, head, 2)];
        const base = { lastAvailIdx: 2, usedIdx: 2 };
        return stopCase(
          `entry ${entry} became ${head}, from ${start}`,
          "break-queue guest-ring-changed",
          start,
          actions,
          base,
        );
      }),
    ),
  );
  const lies = [1, 3, 6, 7, 0x8000, 0xffff].map((fetched) =>
    stopCase(
      `the device says that it fetched ${fetched} of 6, and returned 2`,
      "break-queue used-idx-overrun",
      0,
      unfetched(2, 4),
      {
        lastAvailIdx: fetched,
        usedIdx: 2,
      },
    ),
  );
  const honest = [0, 0xfffc].map((start) =>
    stopCase(
      `left alone, from ${start}`,
      "forward",
      start,
      unfetched(2, 4),
      { lastAvailIdx: 2, usedIdx: 2 },
      (start + 2) & 0xffff,
    ),
  );
  return [...states, ...changed, ...lies, ...honest];
}

function ends(): Case[] {
  return FORMS.flatMap((form) =>
    [1, 3, 8].flatMap((count) =>
      distinct([0, 1, count]).flatMap((written) => {
        const chain = offer([{ gpa: HOLE_GPA - 9000, bytes: 8500, writable: true }], form);
        const start = [...times(count, chain), PUBLISH, RELAY, TAKE, ...times(written, USE)];
        const title = `${count} in flight, ${written} of them written, ${form}`;
        return [
          rigCase(title, "forward", {}, [...start, BROKEN_RULE], { kept: count }),
          rigCase(`${title}, broken by the guest`, "break-queue avail-idx-overrun", {}, [
            ...start,
            { op: "publish", jump: 1000 },
            RELAY,
          ]),
          neighbour(`${title}, all returned`, {}, [...start, PUBLISH_USED, ...ROUNDS]),
        ];
      }),
    ),
  );
}

/** Each fault that costs a chain and nothing else, again and again: the ring has room for all it had room for. */
function refusals(): Case[] {
  const wide = (nth: number): Link => ({ address: BigInt(WIDE_GPA + nth), length: 2 ** 30 });
  const faults: readonly (readonly [Outcome, readonly Link[]])[] = [
    ["quarantine address-unmapped", [readable(), { ...writable(), address: BigInt(HOLE_GPA) }]],
    ["quarantine permission-denied", [readable(), { ...writable(), address: BigInt(READ_ONLY_GPA) }]],
    ["quarantine chain-empty", [readable(0, 0), writable(0, 0)]],
    ["quarantine chain-bytes-overflow", [wide(0), wide(1), wide(2), wide(3), readable()]],
    ["quarantine chain-never-fits", Array.from({ length: 5 }, (): Link => ({ address: 0x2ffcn, length: 8 }))],
  ];
  return faults.flatMap(([outcome, links]) =>
    FORMS.flatMap((form) =>
      EVENTS.flatMap((eventIdx) => {
        const map = outcome === "quarantine chain-bytes-overflow" ? "wide" : "split";
        const setup = { map, log: map === "split", shadowNum: 8, eventIdx, start: 0xfffa } as const;
        const bad = [offered(laid(form, links)), PUBLISH, ...ROUND];
        const full = [...times(8, ONE), PUBLISH, ...ROUNDS];
        return [
          rigCase(`20 times ${outcome}, ${form}, ${eventIdx ? "event index" : "flags"}`, outcome, setup, [
            ...times(20, ...bad),
            ...full,
          ]),
          neighbour(`a full ring without ${outcome}, ${form}, ${eventIdx ? "event index" : "flags"}`, setup, [
            ...full,
            ...full,
          ]),
        ];
      }),
    ),
  );
}
