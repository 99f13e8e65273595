import { inWalk, type Mutant, NOTIFICATION, type SourcePatch } from "./mutant.js";

/** One for each row of the table of barriers, section 2.6 of the behaviour map, and row 31 of its history. */
export const ORDER_MUTANTS: readonly Mutant[] = [
  {
    name: "avail-index-plain",
    row: "SVQ-2.6.1",
    what: "reads the guest's available index without acquire",
    patches: [
      inWalk("guest.availMemory.observe16(guest.avail + RING_IDX)", "guest.availMemory.read16(guest.avail + RING_IDX)"),
    ],
  },
  {
    name: "avail-publish-plain",
    row: "SVQ-2.6.2",
    what: "stores its available index without release",
    patches: [inWalk("shadow.availMemory.publish16(", "shadow.availMemory.write16(")],
  },
  {
    name: "kick-without-fence",
    row: "SVQ-2.6.3",
    what: "looks at the device's wish before its available index is sure to show",
    patches: [inWalk("shadow.availMemory.fence();\n", "")],
  },
  {
    name: "call-without-fence",
    row: "SVQ-2.6.3",
    what: "looks at the guest's wish before its used index is sure to show",
    patches: [inWalk("guest.usedMemory.fence();\n", "")],
  },
  {
    name: "used-index-plain",
    row: "SVQ-2.6.4",
    what: "reads the device's used index without acquire",
    patches: [
      inWalk("shadow.usedMemory.observe16(shadow.used + RING_IDX)", "shadow.usedMemory.read16(shadow.used + RING_IDX)"),
    ],
  },
  {
    name: "used-publish-plain",
    row: "SVQ-2.6.5",
    what: "stores its used index without release",
    patches: [inWalk("guest.usedMemory.publish16(", "guest.usedMemory.write16(")],
  },
  {
    name: "calls-armed-without-fence",
    row: "SVQ-2.6.6",
    what: "asks for calls and looks again before that is sure to show",
    patches: [notified("    ring.availMemory.fence();\n", "")],
  },
  {
    name: "kicks-armed-without-fence",
    row: "SVQ-2.6.7",
    what: "asks for kicks and looks again before that is sure to show",
    patches: [notified("    ring.usedMemory.fence();\n", "")],
  },
  {
    name: "no-second-look",
    row: "SVQ-2.6.7",
    also: "M17",
    what: "asks for kicks and sleeps without looking again",
    patches: [inWalk("return this.#observeGuestAvail() === 0;", "return true;")],
  },
  {
    name: "event-word-marked-early",
    row: "SVQ-2.6.8",
    what: "marks the word by which it asks for kicks before that is stored",
    patches: [
      inWalk(
        "armKicks(guest, eventIdx, state.lastAvailIdx);\n        this.#parts.marks.eventWord();",
        "this.#parts.marks.eventWord();\n        armKicks(guest, eventIdx, state.lastAvailIdx);",
      ),
    ],
  },
  {
    name: "kicks-asked-for-throughout",
    row: "SVQ-6.31",
    what: "does not tell the guest to leave kicks off while it is looking anyway",
    patches: [inWalk("suppressKicks(guest, eventIdx);\n", "")],
  },
];

function notified(find: string, replace: string): SourcePatch {
  return { file: NOTIFICATION, find, replace };
}
