/** What somebody's relay does wrong outside of memory is a violation, whatever it catches. */
import { expect, test } from "vitest";
import { adapt, lacks } from "../../src/validate/own-relay/adapt.js";
import type { CreateRelay, OwnRelay } from "../../src/validate/own-relay/interface.js";
import { forgets } from "../../src/validate/own-relay/save-check.js";
import type { Program } from "../../src/validate/rig/program.js";
import { runProgram } from "../../src/validate/rig/rig.js";
import { BUFFERS_GPA, READ_ONLY_GPA, UNMAPPED_GPA } from "../../src/validate/rig/world.js";

const PROGRAM: Program = {
  setup: { num: 4, shadowNum: 4, eventIdx: false, indirect: true, log: true, map: "split", start: 0 },
  actions: [{ op: "relay" }],
};
const IDLE: OwnRelay = { step: () => false, arm: () => true, abandon: () => {} };

function found(createRelay: CreateRelay): string | undefined {
  return runProgram(PROGRAM, adapt(createRelay)).violation?.message;
}

test.each<[string, CreateRelay, RegExp]>([
  [
    "throws as it is made",
    () => {
      throw new Error("no room");
    },
    /O8.*no room/,
  ],
  ["has no arm()", () => ({ ...IDLE, arm: undefined }) as unknown as OwnRelay, /O8.*its relay has no arm\(\)/],
  ["is no object", () => undefined as unknown as OwnRelay, /O8.*createRelay\(\) gives no object/],
  [
    "throws in a step",
    () => ({
      ...IDLE,
      step: () => {
        throw new TypeError("a of undefined");
      },
    }),
    /O8.*a of undef/,
  ],
  ["is asynchronous", () => ({ ...IDLE, step: async () => false }) as unknown as OwnRelay, /O8.*gives object/],
  [
    "breaks the queue for nothing",
    ({ fault }) => ({ ...IDLE, step: () => fault("chain-too-long") }),
    /O8.*queue broke/,
  ],
  ["breaks it for no reason", ({ fault }) => ({ ...IDLE, step: () => fault("x" as "chain-empty") }), /O8.*no fault x/],
  [
    "throws as it is abandoned",
    () => ({
      step: () => false,
      arm: () => true,
      abandon: () => {
        throw 1;
      },
    }),
    /./,
  ],
])("a relay that %s", (_, createRelay, message) => {
  expect(found(createRelay)).toMatch(message);
});

test("an oracle is heard by whoever catches everything", () => {
  const deaf: CreateRelay = ({ shadow }) => ({
    ...IDLE,
    step() {
      try {
        shadow.usedMemory.write32(shadow.used, 1);
      } catch {
        // Goes on as if nothing had been found.
      }
      return false;
    },
  });
  expect(found(deaf)).toMatch(/^O6/);
});

test("a turn without end is ended where no rig counts", () => {
  const busy: CreateRelay = ({ guest }) => ({
    ...IDLE,
    step() {
      for (;;) guest.availMemory.observe16(guest.avail + 2);
    },
  });
  expect(found(busy)).toMatch(/^O7/);
});

test("translates mapping by mapping, and names what the device may not reach", () => {
  const seen: unknown[] = [];
  runProgram(
    PROGRAM,
    adapt(({ translate }) => {
      seen.push(translate(BUFFERS_GPA, 0, true), translate(UNMAPPED_GPA, 0, false), translate(2 ** 63, 8, false));
      seen.push(translate(READ_ONLY_GPA, 8, true), translate(READ_ONLY_GPA - 4, 8, false));
      return IDLE;
    }),
  );
  expect(seen.slice(0, 4)).toEqual([[], "address-unmapped", "address-unmapped", "permission-denied"]);
  expect(seen[4]).toMatchObject([{ bytes: 4 }, { bytes: 4 }]);
});

test("says what is missing of a relay", () => {
  expect(lacks(IDLE)).toBeUndefined();
  expect(lacks({ ...IDLE, abandon: 1 })).toBe("its relay has no abandon()");
});

test("what save() leaves out is found where it makes a difference", () => {
  // Every other turn it looks first at the guest's index, and it says nothing of which turn it is.
  const blinks =
    (save: boolean): CreateRelay =>
    ({ guest, saved }) => {
      let turns = (saved as number | undefined) ?? 0;
      const relay: OwnRelay = {
        ...IDLE,
        step() {
          turns += 1;
          if (turns % 2 === 0) guest.availMemory.observe16(guest.avail + 2);
          return false;
        },
      };
      return { ...relay, save: () => (save ? turns : 0) };
    };
  expect(forgets(blinks(true), 1)).toBeUndefined();
  expect(forgets(blinks(false), 1)).toMatchObject({ id: "O9", where: "save()" });
});
