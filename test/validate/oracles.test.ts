import { describe, expect, it } from "vitest";
import type { OracleId } from "../../src/validate/oracles/violation.js";
import { Bench } from "../../src/validate/rig/ground.js";
import { hostileSides, type Program } from "../../src/validate/rig/program.js";
import { type MakeRelay, Rig, runProgram, SHIPPING } from "../../src/validate/rig/rig.js";
import { seededProgram } from "./seeded-program.js";
import { WRONG_MANNERS } from "./wrong-manners.js";
import { WRONG_OUTCOMES } from "./wrong-outcomes.js";
import {
  BOASTING,
  CROWDED,
  CROWDED_BY_EVENT,
  type Fault,
  JUMPING,
  LOOP,
  ONE,
  offer,
  program,
  publish,
  publishUsed,
  R,
  raw,
  relay,
  relayWith,
  THERE,
  TWO,
  TWO_BY_EVENT,
  UNMAPPED,
  use,
  W,
} from "./wrong-relays.js";

/** What an oracle says, or that all is well. */
function verdict(program: Program, make?: MakeRelay): readonly [OracleId | "fine", number, string] {
  const { violation } = runProgram(program, make);
  return violation === undefined ? ["fine", 0, ""] : [violation.oracle, violation.invariant, violation.message];
}

describe("the oracles catch a relay that", () => {
  for (const { what, faults, program, caught } of [...WRONG_OUTCOMES, ...WRONG_MANNERS]) {
    it(`${what}: ${caught[0]}, invariant ${caught[1]}`, async () => {
      const wrong = verdict(program, await relayWith(faults));
      expect(wrong).toEqual([...caught, wrong[2]]);
      expect(verdict(program, SHIPPING), "the shipping relay, in the same program").toEqual(["fine", 0, ""]);
    });
  }
});

const PUBLISH_USED = "    guest.usedMemory.publish16(guest.used + RING_IDX, guestUsedIdx);\n";
const MARK_USED = "    marks.usedEntries(oldIdx, guestUsedIdx);\n";
const LAST_MARKS = "    if (log !== undefined) words += markMissing(log, markedAt, markedBits);\n";

describe("the oracles accept a relay that", () => {
  const legal: readonly (readonly [string, Fault[], Program])[] = [
    ["marks the whole used ring for an entry", [[MARK_USED, "    marks.all();\n"]], TWO],
    ["marks buffers that are still in flight", [[LAST_MARKS, `${LAST_MARKS}    this.abandon();\n`]], TWO],
    ["marks bits that it finds set", [["if ((bits & ~log.read32(at)) !== 0) log", "log"]], TWO],
    ["kicks whoever did not ask", [["if (kickWanted(shadow, eventIdx, shadowAvailIdx, oldIdx)) {", "{"]], TWO_BY_EVENT],
    [
      "calls whoever did not ask",
      [["if (!callWanted(guest, eventIdx, guestUsedIdx, oldIdx)) return;", ""]],
      TWO_BY_EVENT,
    ],
    [
      "looks at an index twice",
      [
        [
          "    const waiting = this.#observeGuestAvail();\n",
          "    this.#observeGuestAvail();\n    const waiting = this.#observeGuestAvail();\n",
        ],
      ],
      TWO,
    ],
    ["fences more than it has to", [[PUBLISH_USED, `    guest.usedMemory.fence();\n${PUBLISH_USED}`]], TWO],
    ["does not ask for kicks to stop", [["    suppressKicks(guest, eventIdx);\n", ""]], TWO],
    [
      "takes what is offered before what is used",
      [
        [
          "    const returned = this.forwardUsed();\n    return this.forwardAvail() || returned;",
          "    const taken = this.forwardAvail();\n    return this.forwardUsed() || taken;",
        ],
      ],
      TWO,
    ],
    [
      "arms before it has found nothing",
      [["    const returned = this.forwardUsed();\n", "    this.arm();\n    const returned = this.forwardUsed();\n"]],
      TWO,
    ],
  ];
  for (const [what, faults, program] of legal) {
    it(what, async () => expect(verdict(program, await relayWith(faults))).toEqual(["fine", 0, ""]));
  }

  it("tells others more often than they ask, and count it (invariant 27)", async () => {
    const extra = (make: MakeRelay) => {
      const rig = new Rig(
        program([...TWO.actions, offer(W(0x5000)), publish, relay, offer(W(0x5000)), publish, relay], {
          eventIdx: true,
        }),
        make,
      );
      expect(rig.run().violation).toBeUndefined();
      return [rig.conduct.device.told, rig.conduct.device.extra];
    };
    const [told, none] = extra(SHIPPING);
    expect(none).toBe(0);
    const always = await relayWith([["if (kickWanted(shadow, eventIdx, shadowAvailIdx, oldIdx)) {", "{"]]);
    expect(extra(always)).toEqual([told! + 1, 1]);
  });
});

describe("the oracles accept, of the shipping relay,", () => {
  const programs: readonly (readonly [string, Program])[] = [
    ["a loop, whose words are read once for each time it comes by them", LOOP],
    [
      "two chains that share a descriptor",
      program([
        { op: "offer-raw", slot: 0, descriptors: [raw(0x3000, 8, 1, 2), raw(0x3000, 9, 1, 2), raw(0x5000, 8, 2, 0)] },
        { op: "offer-head", head: 1 },
        publish,
        relay,
      ]),
    ],
    [
      "a table that is a part of the ring itself",
      program([
        { op: "offer-raw", slot: 0, descriptors: [raw(0x1010, 16, 4, 0), raw(0x3000, 8, 0, 0)] },
        publish,
        relay,
      ]),
    ],
    [
      "a table that lies over the rings' indices",
      program([{ op: "offer-raw", slot: 0, descriptors: [raw(0x1040, 32, 4, 0)] }, publish, relay]),
    ],
    ["chains held for want of room", CROWDED],
    ["the same with event indices", CROWDED_BY_EVENT],
    ["a chain refused alone", UNMAPPED],
    ["a device that boasts", BOASTING],
    ["a device whose index runs ahead, which costs it the queue", JUMPING],
    ["a mark of a page above the hole", TWO],
  ];
  for (const [what, program] of programs) it(what, () => expect(verdict(program)).toEqual(["fine", 0, ""]));
});

describe("a harvest in the midst of a turn", () => {
  const ambushed = (access: number) =>
    program([offer(R(0x3000), W(0x5000)), ...THERE, use(0, 64), publishUsed, { op: "ambush-harvest", access }, relay], {
      eventIdx: true,
    });
  const caught = (make?: MakeRelay) =>
    Array.from({ length: 40 }, (_, access) => verdict(ambushed(access), make)[0]).filter((oracle) => oracle !== "fine");

  it("at whatever access finds nothing amiss with the shipping relay", () => expect(caught()).toEqual([]));

  it("finds a mark of the used ring that is made before its index is stored (invariant 22)", async () => {
    const early = await relayWith([
      [PUBLISH_USED, MARK_USED + PUBLISH_USED],
      [`    guest.usedMemory.fence();\n${MARK_USED}`, "    guest.usedMemory.fence();\n"],
    ]);
    expect(verdict(TWO_BY_EVENT, early)).toEqual(["fine", 0, ""]);
    const found = caught(early);
    expect(found.length).toBeGreaterThan(0);
    expect(new Set(found)).toEqual(new Set(["O4"]));
  });
});

describe("what is written past all watching", () => {
  it("shows when source and destination are compared (invariant 24)", () => {
    const rigs: Rig[] = [];
    const make: MakeRelay = (parts) => {
      const inner = SHIPPING(parts);
      const abandon = () => {
        inner.abandon();
        rigs[0]!.world.setByte(0x4000, 1);
      };
      return { step: () => inner.step(), arm: () => inner.arm(), abandon };
    };
    rigs.push(new Rig(ONE, make));
    expect(rigs[0]!.run().violation).toMatchObject({ oracle: "O4", invariant: 24 });
    expect(new Rig(ONE, SHIPPING).run().violation).toBeUndefined();
  });
});

describe("the same program twice (O9)", () => {
  const trace = (program: Program, make: MakeRelay) => {
    const accesses: number[] = [];
    runProgram(program, make, (...access) => accesses.push(...access));
    return accesses.join();
  };

  it("gives the same accesses with the shipping relay", () => {
    for (let seed = 1; seed <= 200; seed++) {
      expect(trace(seededProgram(seed), SHIPPING)).toBe(trace(seededProgram(seed), SHIPPING));
    }
  });

  it("gives others with a relay that remembers an earlier run", () => {
    let runs = 0;
    const moody: MakeRelay = (parts) => {
      const inner = SHIPPING(parts);
      const glance = runs++ % 2 === 1;
      const step = () => {
        if (glance) parts.shadow.usedMemory.observe16(parts.shadow.used + 2);
        return inner.step();
      };
      return { step, arm: () => inner.arm(), abandon: () => inner.abandon() };
    };
    expect(trace(ONE, moody)).not.toBe(trace(ONE, moody));
    expect(verdict(ONE, moody)).toEqual(["fine", 0, ""]);
  });
});

describe("random programs", () => {
  it("5000 in which everybody follows the rules: nothing is found", () => {
    const bench = new Bench();
    let honest = 0;
    for (let seed = 1; honest < 5000; seed++) {
      const program = seededProgram(seed);
      const { guest, device } = hostileSides(program);
      if (guest || device) continue;
      honest += 1;
      expect(runProgram(program, SHIPPING, undefined, bench).violation?.message, `seed ${seed}`).toBeUndefined();
    }
  });
});
