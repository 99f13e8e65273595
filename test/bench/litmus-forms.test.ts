/** The forms of the litmus in every order of their accesses: what the run on a machine can only hope to hit. */
import { expect, test } from "vitest";
import {
  ALWAYS,
  FORMS,
  type Form,
  harvest,
  MARK_BEFORE_WRITE,
  type Page,
  TEST_FIRST_HANDED_OVER,
  TEST_FIRST_OWN_WRITE,
} from "../../bench/litmus/forms.js";
import { everyOrder, once, type StoreOrder } from "../helpers/every-order.js";

const PAGE: Page = { payload: 0, word: 4, bit: 1, used: 8 };
const COPY = 12;
const TOO_EARLY = 16;
const BYTES = 20;
const VALUE = 77;
const ORDERS: readonly StoreOrder[] = ["sc", "tso", "pso"];

/** What becomes of a page, marked before or not, by a harvester that looks first or not. */
function outcomes(touch: Form["touch"], order: StoreOrder): string[] {
  const seen = new Set<string>();
  for (const marked of [0, PAGE.bit]) {
    for (const looksFirst of [false, true]) {
      const bytes = new Uint8Array(BYTES);
      bytes[PAGE.word] = marked;
      const marker = once("marker", (memory) => touch(memory, PAGE, VALUE));
      const harvester = once("harvester", (memory) => {
        const copy = harvest(memory, PAGE, looksFirst);
        if (copy !== undefined) memory.write32(COPY, copy);
      });
      for (const outcome of everyOrder({ order, bytes, parties: [marker, harvester], outcome: judge }).orders.keys()) {
        seen.add(outcome);
      }
    }
  }
  return [...seen].sort();
}

/** As at the end of a round: a page that differs from its copy, and no mark that says so. */
function judge(bytes: Uint8Array): string {
  return bytes[COPY] !== bytes[PAGE.payload] && bytes[PAGE.word] === 0 ? "lost" : "whole";
}

test("each form has a name of its own", () => {
  expect(new Set(FORMS.map(({ name }) => name)).size).toBe(FORMS.length);
});

test.each(ORDERS)("a mark that is always set loses nothing: %s", (order) => {
  expect(outcomes(ALWAYS.touch, order)).toEqual(["whole"]);
});

test.each(ORDERS)("a mark before the write loses pages: %s", (order) => {
  expect(outcomes(MARK_BEFORE_WRITE.touch, order)).toEqual(["lost", "whole"]);
});

test("a test behind one's own write loses pages where stores wait in a buffer, and nowhere else", () => {
  expect(outcomes(TEST_FIRST_OWN_WRITE.touch, "sc")).toEqual(["whole"]);
  expect(outcomes(TEST_FIRST_OWN_WRITE.touch, "tso")).toEqual(["lost", "whole"]);
  expect(outcomes(TEST_FIRST_OWN_WRITE.touch, "pso")).toEqual(["lost", "whole"]);
});

test.each(ORDERS)("a test behind a hand-over with its fence loses nothing: %s", (order) => {
  expect(outcomes(TEST_FIRST_HANDED_OVER.touch, order)).toEqual(["whole"]);
});

test("it is the fence behind the publish that carries this on one thread: a publish alone may wait in the buffer", () => {
  const unfenced: Form["touch"] = (memory, page, value) => {
    TEST_FIRST_HANDED_OVER.touch(Object.create(memory, { fence: { value: () => {} } }), page, value);
  };
  expect(outcomes(unfenced, "sc")).toEqual(["whole"]);
  expect(outcomes(unfenced, "tso")).toEqual(["lost", "whole"]);
});

test("from another thread the index orders the payload before the test, fence or not", () => {
  for (const order of ORDERS) {
    const bytes = new Uint8Array(BYTES);
    bytes[PAGE.word] = PAGE.bit;
    const device = once("device", (memory) => {
      memory.write32(PAGE.payload, VALUE);
      memory.publish16(PAGE.used, 1);
    });
    const relay = once("relay", (memory) => {
      if (memory.observe16(PAGE.used) === 0) memory.write32(TOO_EARLY, 1);
      else if ((memory.read32(PAGE.word) & PAGE.bit) === 0) memory.setBits32(PAGE.word, PAGE.bit);
    });
    const harvester = once("harvester", (memory) => {
      const copy = harvest(memory, PAGE, true);
      if (copy !== undefined) memory.write32(COPY, copy);
    });
    // A relay that came too early would come again: its orders say nothing.
    const outcome = (end: Uint8Array) => (end[TOO_EARLY] === 0 ? judge(end) : "too early");
    const { orders } = everyOrder({ order, bytes, parties: [device, relay, harvester], outcome });
    expect([...orders.keys()].sort()).toEqual(["too early", "whole"]);
  }
});
