import { describe, expect, it } from "vitest";
import { availEventOffset, usedEventOffset } from "../../src/layout/virtio-ring.js";
import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import { u16 } from "../../src/memory/shared-memory.js";
import * as notification from "../../src/ring/notification.js";
import type { VringAreas } from "../../src/ring/vring-areas.js";
import { CanaryRing } from "../helpers/canary-ring.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";
import { seeded } from "../iova/seeded.js";

type Notification = typeof notification;

/** Walks the entries from `oldIdx` to `newIdx`: is one of them the event? */
function walk(eventIdx: number, newIdx: number, oldIdx: number): boolean {
  for (let entry = oldIdx; entry !== newIdx; entry = u16(entry + 1)) if (entry === eventIdx) return true;
  return false;
}

const BATCH_MAX = 5;
/** Old indices around the wrap, around the sign of an int16, and elsewhere. */
const OLD = [0xfffb, 0xfffd, 0xfffe, 0xffff, 0, 1, 0x7ffd, 0x8000, 12_345];

/** The first question on which vringNeedEvent() and the walk disagree. */
function disagreement({ vringNeedEvent }: Notification): string | undefined {
  for (const oldIdx of OLD) {
    for (let batch = 0; batch <= BATCH_MAX; batch++) {
      const newIdx = u16(oldIdx + batch);
      for (let event = 0; event < 65_536; event++) {
        if (vringNeedEvent(event, newIdx, oldIdx) !== walk(event, newIdx, oldIdx))
          return `${event} ${newIdx} ${oldIdx}`;
      }
    }
  }
  return undefined;
}

const NEED_EVENT = "return u16(newIdx - eventIdx - 1) < u16(newIdx - oldIdx);";
const FILE = "ring/notification.ts";

describe("vringNeedEvent()", () => {
  it("agrees with a walk, for all events and batches of 0 to 5 (NOTIF-08, NOTIF-09, NOTIF-15, NOTIF-16)", () => {
    expect(disagreement(notification)).toBeUndefined();
  });

  it("agrees with it for batches up to 65 535", () => {
    const below = seeded(7);
    for (let i = 0; i < 600; i++) {
      const [event, oldIdx, batch] = [below(65_536), below(65_536), below(65_536)];
      const newIdx = u16(oldIdx + batch);
      expect(notification.vringNeedEvent(event, newIdx, oldIdx)).toBe(walk(event, newIdx, oldIdx));
    }
  });

  it.each([
    ["the entry before the batch counts too", "return u16(newIdx - eventIdx - 1) <= u16(newIdx - oldIdx);"],
    ["the index is compared, not the entry", "return u16(newIdx - eventIdx) < u16(newIdx - oldIdx);"],
    ["only the last entry is looked at", "return u16(newIdx - 1) === eventIdx;"],
    ["only the first entry is looked at", "return oldIdx === eventIdx && newIdx !== oldIdx;"],
    ["the indices do not wrap", "return eventIdx >= oldIdx && eventIdx < newIdx;"],
    ["the difference is signed", "return ((newIdx - eventIdx - 1) << 16) >> 16 < ((newIdx - oldIdx) << 16) >> 16;"],
  ])("disagrees where %s", async (_, instead) => {
    expect(disagreement(await patchedCopy<Notification>(FILE, [FILE, NEED_EVENT, instead]))).toBeTypeOf("string");
  });
});

const NUM = 4;

/** Both directions: who asks, which words it may look at, and which it may not. */
const DIRECTIONS = [
  {
    asks: "kickWanted",
    flags: ({ used }: VringAreas) => used,
    event: ({ used }: VringAreas) => used + availEventOffset(NUM),
    ids: { flags: "NOTIF-11, NOTIF-12, NOTIF-13", event: "NOTIF-14, NOTIF-15" },
  },
  {
    asks: "callWanted",
    flags: ({ avail }: VringAreas) => avail,
    event: ({ avail }: VringAreas) => avail + usedEventOffset(NUM),
    ids: { flags: "NOTIF-01, NOTIF-04, NOTIF-05, NOTIF-06", event: "NOTIF-07, NOTIF-08" },
  },
] as const;

/** The first value of a word at which an answer is not the one that is due; undefined when there is none. */
function wrongAnswer(offset: number, ring: CanaryRing, ask: () => boolean, due: (value: number) => boolean) {
  for (let value = 0; value < 65_536; value++) {
    ring.memory.write16(offset, value);
    if (ask() !== due(value)) return value;
  }
  return undefined;
}

/** What is wrong with one direction, by mode. */
function wrongAnswers(module: Notification, { asks, flags, event }: (typeof DIRECTIONS)[number]) {
  const wrong: string[] = [];
  const check = (what: string, value: number | undefined) => {
    if (value !== undefined) wrong.push(`${what}: ${value}`);
  };
  for (const [oldIdx, newIdx] of [
    [10, 11],
    [0xfffe, 3],
  ] as const) {
    const ring = new CanaryRing(NUM, false);
    const { areas, memory } = ring;
    const ask = (eventIdx: boolean) => () => module[asks](areas, eventIdx, newIdx, oldIdx);
    check(
      "flags without EVENT_IDX",
      wrongAnswer(flags(areas), ring, ask(false), (value) => value % 2 === 0),
    );
    memory.write16(flags(areas), 0);
    check(
      "event without EVENT_IDX, asked",
      wrongAnswer(event(areas), ring, ask(false), () => true),
    );
    memory.write16(flags(areas), 1);
    check(
      "event without EVENT_IDX, not asked",
      wrongAnswer(event(areas), ring, ask(false), () => false),
    );
    check(
      "event",
      wrongAnswer(event(areas), ring, ask(true), (value) => walk(value, newIdx, oldIdx)),
    );
    memory.write16(event(areas), oldIdx);
    check(
      "flags with EVENT_IDX, at the event",
      wrongAnswer(flags(areas), ring, ask(true), () => true),
    );
    memory.write16(event(areas), newIdx);
    check(
      "flags with EVENT_IDX, past the event",
      wrongAnswer(flags(areas), ring, ask(true), () => false),
    );
  }
  return wrong;
}

for (const direction of DIRECTIONS) {
  const { asks, ids } = direction;
  describe(`${asks}()`, () => {
    it(`heeds flags without EVENT_IDX (${ids.flags}), the event with it (${ids.event}), and nothing else`, () => {
      expect(wrongAnswers(notification, direction)).toEqual([]);
    });

    it("looks at one word, and at that once (S1)", () => {
      for (const eventIdx of [true, false]) {
        const offsets: number[] = [];
        const { [asks]: wanted } = notification;
        const ring = new CanaryRing(NUM, eventIdx);
        const memory = new ObservedMemory(ring.memory, offsets);
        wanted({ ...ring.areas, availMemory: memory, usedMemory: memory }, eventIdx, 5, 4);
        expect(offsets).toEqual([eventIdx ? direction.event(ring.areas) : direction.flags(ring.areas)]);
      }
    });
  });
}

class ObservedMemory extends ForwardingMemory {
  readonly #offsets: number[];

  constructor(inner: CanaryRing["memory"], offsets: number[]) {
    super(inner);
    this.#offsets = offsets;
  }

  override observe16(offset: number): number {
    this.#offsets.push(offset);
    return super.observe16(offset);
  }
}

describe("these questions notice", () => {
  const faults: (readonly [what: string, direction: 0 | 1, patch: Patch, says: string])[] = [
    [
      "that all bits of used.flags count",
      0,
      [FILE, "VRING_USED.offsets.flags) & VRING_USED_F_NO_NOTIFY) === 0", "VRING_USED.offsets.flags)) === 0"],
      "flags without EVENT_IDX: 2",
    ],
    [
      "that all bits of avail.flags count",
      1,
      [FILE, "VRING_AVAIL.offsets.flags) & VRING_AVAIL_F_NO_INTERRUPT) === 0", "VRING_AVAIL.offsets.flags)) === 0"],
      "flags without EVENT_IDX: 2",
    ],
    [
      "that a kick heeds the event whatever was negotiated",
      0,
      [
        FILE,
        "if (eventIdx) {\n    return vringNeedEvent(ring.usedMemory",
        "{\n    return vringNeedEvent(ring.usedMemory",
      ],
      "event without EVENT_IDX, asked: 0",
    ],
    [
      "that a call looks for its event in the used ring",
      1,
      [
        FILE,
        "ring.availMemory.observe16(ring.avail + usedEventOffset",
        "ring.usedMemory.observe16(ring.used + availEventOffset",
      ],
      "event: ",
    ],
  ];
  for (const [what, which, patch, says] of faults) {
    it(what, async () => {
      const wrong = wrongAnswers(await patchedCopy<Notification>(FILE, patch), DIRECTIONS[which]);
      expect(wrong.join("\n")).toContain(says);
    });
  }
});

/** Stores and fences of one call, as "publish <offset> <value>" and "fence". */
function recorded(run: (ring: VringAreas) => void): { log: string[]; ring: CanaryRing } {
  const log: string[] = [];
  const ring = new CanaryRing(NUM, true);
  class Recorder extends ForwardingMemory {
    override publish16(offset: number, value: number): void {
      log.push(`publish ${offset} ${value}`);
      super.publish16(offset, value);
    }

    override fence(): void {
      log.push("fence");
    }
  }
  const memory = new Recorder(ring.memory);
  run({ ...ring.areas, availMemory: memory, usedMemory: memory });
  expect(ring.brokenCanaries()).toEqual([]);
  return { log, ring };
}

describe("asking to be told", () => {
  it("publishes where the asker stands, or clears the flag, and then fences (S10)", () => {
    const { avail, used } = new CanaryRing(NUM, true).areas;
    const { armKicks, armCalls } = notification;
    expect(recorded((ring) => armKicks(ring, true, 0xffff)).log).toEqual([
      `publish ${used + 4 + 8 * NUM} 65535`,
      "fence",
    ]);
    expect(recorded((ring) => armKicks(ring, false, 0xffff)).log).toEqual([`publish ${used} 0`, "fence"]);
    expect(recorded((ring) => armCalls(ring, true, 7)).log).toEqual([`publish ${avail + 4 + 2 * NUM} 7`, "fence"]);
    expect(recorded((ring) => armCalls(ring, false, 7)).log).toEqual([`publish ${avail} 0`, "fence"]);
  });
});

describe("asking not to be told", () => {
  it("sets the flag to 1 without EVENT_IDX, and does nothing with it (NOTIF-02, NOTIF-17, NOTIF-18)", () => {
    const { avail, used } = new CanaryRing(NUM, true).areas;
    const { suppressKicks, suppressCalls } = notification;
    expect(recorded((ring) => suppressKicks(ring, false)).log).toEqual([`publish ${used} 1`]);
    expect(recorded((ring) => suppressCalls(ring, false)).log).toEqual([`publish ${avail} 1`]);
    expect(recorded((ring) => suppressKicks(ring, true)).log).toEqual([]);
    expect(recorded((ring) => suppressCalls(ring, true)).log).toEqual([]);
  });
});
