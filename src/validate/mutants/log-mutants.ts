import { inWalk, type Mutant } from "./mutant.js";

const LAST_MARKS = "if (log !== undefined)\n            words += markMissing(log, markedAt, markedBits);\n";
const MARK_USED = "marks.usedEntries(oldIdx, guestUsedIdx);\n";
const PUBLISH_USED =
  "guest.usedMemory.publish16(guest.used + RING_IDX, guestUsedIdx);\n        guest.usedMemory.fence();\n";

/** Marks that are lost, wrong or in the wrong order: rows 36 to 38 and 44 of the history, and rule S9. */
export const LOG_MUTANTS: readonly Mutant[] = [
  {
    name: "log-not-atomic",
    row: "SVQ-6.36",
    what: "marks by a load and a store, between which another's mark can come",
    patches: [inWalk("log.setBits32(at, bits);", "log.write32(at, log.read32(at) | bits);")],
  },
  {
    name: "log-by-the-word",
    row: "SVQ-6.36",
    what: "marks thirty-two pages where one was written",
    patches: [inWalk("log.setBits32(at, bits);", "log.setBits32(at, -1);")],
  },
  {
    name: "marks-not-counted",
    row: "SVQ-6.37",
    what: "collects marks that it then takes for none",
    patches: [inWalk("markedBits |= (-1 << page) & (-1 >>> (31 - last));", "")],
  },
  {
    name: "batch-unmarked",
    row: "SVQ-6.38",
    what: "marks the first buffer of a chain only",
    patches: [inWalk("if (log !== undefined) {\n", "if (log !== undefined && row === first) {\n")],
  },
  {
    name: "end-of-batch-unmarked",
    row: "SVQ-6.38",
    what: "forgets the marks that it collected last",
    patches: [inWalk(LAST_MARKS, "")],
  },
  {
    name: "reads-marked",
    row: "SVQ-6.38",
    what: "marks what the device could only read",
    patches: [
      inWalk(
        "const extent = rows[row + ROW_LENGTH];\n",
        `const extent = rows[row + ROW_LENGTH];
                if (extent < 0 && log !== undefined)
                    log.setBits32(logBase + ((rows[row + ROW_PAGE] >>> 5) << 2), 1 << rows[row + ROW_PAGE]);
`,
      ),
    ],
  },
  {
    name: "empty-elements-free",
    row: "SVQ-6.41",
    what: "does not count elements of the ring that have no bytes",
    patches: [inWalk("elements++;", "elements += length === 0 && source === guestDesc ? 0 : 1;")],
    tries: ["BI-12"],
  },
  {
    name: "call-by-a-stale-index",
    row: "SVQ-6.44",
    what: "decides on a call by the used index of the batch before",
    patches: [
      inWalk(
        "callWanted(guest, eventIdx, guestUsedIdx, oldIdx)",
        "callWanted(guest, eventIdx, oldIdx, u16(oldIdx - 1))",
      ),
    ],
  },
  {
    name: "last-byte-unmarked",
    row: "SVQ-6.44",
    what: "marks up to the byte before the last",
    patches: [inWalk("rows[row + ROW_OFFSET] + extent - 1) >>> 12);", "rows[row + ROW_OFFSET] + extent - 2) >>> 12);")],
  },
  {
    name: "page-zero-unmarked",
    row: "SVQ-6.44",
    what: "takes guest address 0 for none",
    patches: [inWalk("if (log !== undefined) {\n", "if (log !== undefined && rows[row + ROW_PAGE] !== 0) {\n")],
  },
  {
    name: "buffers-marked-late",
    row: "S9",
    also: "M4",
    what: "marks buffers when the guest has seen their used index (BI-68)",
    patches: [
      inWalk(LAST_MARKS, ""),
      inWalk("this.#publishUsed(oldIdx);\n", "this.#publishUsed(oldIdx);\n        this.abandon();\n"),
    ],
  },
  {
    name: "used-ring-marked-early",
    row: "S9",
    also: "M4",
    what: "marks the used ring before its index is stored",
    patches: [inWalk(`${PUBLISH_USED}        ${MARK_USED}`, `${MARK_USED}        ${PUBLISH_USED}`)],
  },
];
