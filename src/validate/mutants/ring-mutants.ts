import { inWalk, type Mutant } from "./mutant.js";

/** Books, chains and ids: rows 1 to 5, 25 to 27 and 30 of the behaviour map's history. */
export const RING_MUTANTS: readonly Mutant[] = [
  {
    name: "free-slots-by-chain",
    row: "SVQ-6.1",
    what: "takes one free descriptor off for a chain, however many it has",
    patches: [inWalk("freeCount -= count;", "freeCount -= 1;")],
  },
  {
    name: "free-list-at-head",
    row: "SVQ-6.2",
    what: "links a returned chain into the free list at its head instead of its tail",
    patches: [inWalk("rows[row + ROW_NEXT] = freeHead;", "rows[first + ROW_NEXT] = freeHead;")],
  },
  {
    name: "first-descriptor-freed",
    row: "SVQ-6.2",
    what: "counts only the first descriptor of a returned chain as free",
    patches: [inWalk("freeCount += count;", "freeCount += 1;")],
  },
  {
    name: "free-list-shared",
    row: "SVQ-6.3",
    what: "finds the next descriptor of a chain in the table that the device can write",
    patches: [
      inWalk(
        "row = rows[row + ROW_NEXT] << ROW_SHIFT) {",
        "row = shadow.descMemory.read16(shadow.desc + (row << 1) + 14) << ROW_SHIFT) {",
      ),
    ],
  },
  {
    name: "length-of-the-guest",
    row: "SVQ-6.4",
    what: "books a chain with as many descriptors as the guest's has",
    patches: [inWalk("rows[first + ROW_COUNT] = count;", "rows[first + ROW_COUNT] = elements;")],
  },
  {
    name: "used-id-not-outstanding",
    row: "SVQ-6.5",
    what: "takes back a chain that the device does not have",
    patches: [inWalk("num ? rows[first + ROW_COUNT] : 0;", "num ? rows[first + ROW_COUNT] || 1 : 0;")],
  },
  {
    name: "used-id-cut",
    row: "SVQ-6.5",
    what: "looks at the low half of a used id only",
    patches: [inWalk("const id = shadowUsed.read32(from);", "const id = shadowUsed.read16(from);")],
    tries: ["BI-44"],
  },
  {
    name: "empty-flush",
    row: "SVQ-6.25",
    what: "publishes its used index though nothing was returned",
    patches: [
      inWalk(
        "#observeShadowUsed();\n        if (waiting === 0)\n            return false;\n",
        "#observeShadowUsed();\n",
      ),
      inWalk("if (guestUsedIdx === oldIdx)\n            return;\n", ""),
    ],
  },
  {
    name: "half-added-chain",
    row: "SVQ-6.26",
    what: "keeps the descriptors of a chain that turned out bad in its middle",
    patches: [
      inWalk(
        "if (pieces < 0) {\n",
        "if (pieces < 0) {\n                        freeHead = cursor;\n                        freeCount -= count;\n",
      ),
    ],
  },
  {
    name: "bad-id-for-ever",
    row: "SVQ-6.27",
    what: "asks again and again for an entry whose id it refused",
    patches: [inWalk("fault = USED_ID_UNKNOWN;\n                break;", "taken--;\n                continue;")],
  },
  {
    name: "bad-id-null",
    row: "SVQ-6.27",
    what: "stumbles over an id that it never gave away",
    patches: [inWalk("fault = USED_ID_UNKNOWN;", "rows.missing.element;")],
  },
  {
    name: "load-fence-for-full",
    row: "SVQ-6.27",
    what: "orders loads only between its available index and the device's wish",
    patches: [inWalk("shadow.availMemory.fence();", "shadow.usedMemory.observe16(shadow.used + RING_IDX);")],
  },
  {
    name: "endless-chain",
    row: "SVQ-6.30",
    what: "follows a chain through the ring however many elements it has",
    patches: [
      inWalk("if (elements === num || (flagsSeen", "if ((elements === num && source !== guestDesc) || (flagsSeen"),
    ],
  },
  {
    name: "used-id-of-num",
    row: "SVQ-6.30",
    what: "lets an id pass that is as large as the ring",
    patches: [
      inWalk("id >>> 0 < num ? rows[first + ROW_COUNT] : 0;", "id >>> 0 <= num ? (rows[first + ROW_COUNT] ?? 1) : 0;"),
    ],
  },
  {
    name: "head-of-num",
    row: "SVQ-6.30",
    what: "lets a head pass that is as large as the ring",
    patches: [inWalk("head >= num ? HEAD_OUT_OF_RANGE", "head > num ? HEAD_OUT_OF_RANGE")],
  },
  {
    name: "next-beyond-table",
    row: "SVQ-6.30",
    what: "checks next in an indirect table against the size of the ring",
    patches: [inWalk("limit = length >>> DESC_SHIFT;", "limit = num;")],
  },
];
