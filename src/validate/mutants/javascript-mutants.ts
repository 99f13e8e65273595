import { inWalk, type Mutant, NOTIFICATION } from "./mutant.js";

/** Words that are read twice, and what numbers and arrays let pass: BI-58, BI-59 and BI-106 to BI-111. */
export const JAVASCRIPT_MUTANTS: readonly Mutant[] = [
  {
    name: "length-read-twice",
    row: "BI-58",
    what: "checks one reading of a length and uses another",
    patches: [inWalk("shadowDesc.write32(to + 8, length);", "shadowDesc.write32(to + 8, source.read32(at + 8));")],
  },
  {
    name: "avail-entry-read-twice",
    row: "BI-58",
    what: "checks one reading of a head and uses another",
    patches: [
      inWalk(
        "let source = guestDesc;",
        `head = guestAvail.read16(guestRing + ((lastAvailIdx & (num - 1)) << 1));
            let source = guestDesc;`,
      ),
    ],
  },
  {
    name: "marks-by-the-ring",
    row: "BI-59",
    what: "looks into the guest's ring again for what to mark",
    patches: [
      inWalk(
        "const extent = rows[row + ROW_LENGTH];",
        `const now = guest.descMemory.read32(guest.desc + rows[first + ROW_HEAD] * 16 + 8);
                const extent = Math.min(rows[row + ROW_LENGTH], now);`,
      ),
    ],
  },
  {
    name: "next-unbounded",
    row: "BI-106",
    what: "follows next wherever it leads",
    patches: [inWalk("if (index >= limit) {", "if (index < 0) {")],
  },
  {
    name: "head-unbounded",
    row: "BI-106",
    what: "takes any head",
    patches: [inWalk("head >= num ? HEAD_OUT_OF_RANGE", "head < 0 ? HEAD_OUT_OF_RANGE")],
  },
  {
    name: "address-cut",
    row: "BI-107",
    what: "cuts an address to the bits that a page number has",
    patches: [inWalk("(high & ~0x7ff) === 0 ?", "true ?")],
  },
  {
    name: "page-by-shift",
    row: "BI-108",
    what: "finds the page of an address by a 32-bit shift",
    patches: [
      { file: "iova/gpa-map.js", find: "this.indexOf((gpa / PAGE_BYTES) | 0)", replace: "this.indexOf(gpa >>> 12)" },
    ],
  },
  {
    name: "avail-difference-unwrapped",
    row: "BI-109",
    what: "subtracts indices without wrapping them",
    patches: [
      inWalk(
        "u16(guest.availMemory.observe16(guest.avail + RING_IDX) - this.state.lastAvailIdx)",
        "(guest.availMemory.observe16(guest.avail + RING_IDX) - this.state.lastAvailIdx)",
      ),
    ],
  },
  {
    name: "event-difference-unwrapped",
    row: "BI-109",
    what: "compares event indices without wrapping them",
    patches: [{ file: NOTIFICATION, find: "< u16(newIdx - oldIdx)", replace: "< newIdx - oldIdx" }],
  },
  {
    name: "indices-plain",
    row: "BI-110",
    what: "reads both indices of its peers by plain loads",
    patches: [
      inWalk("guest.availMemory.observe16(", "guest.availMemory.read16("),
      inWalk("shadow.usedMemory.observe16(", "shadow.usedMemory.read16("),
    ],
  },
  {
    name: "flags-plain",
    row: "BI-110",
    what: "reads the flags of its peer by plain loads",
    patches: [
      {
        file: NOTIFICATION,
        find: "ring.usedMemory.observe16(ring.used + VRING_USED.offsets.flags)",
        replace: "ring.usedMemory.read16(ring.used + VRING_USED.offsets.flags)",
      },
    ],
  },
  {
    name: "fault-as-mistake",
    row: "BI-111",
    what: "throws what its role takes for a mistake of its own",
    patches: [inWalk("throw new PeerFault(reason, ", "throw new RangeError(reason, ")],
  },
  {
    name: "fault-uncaught",
    row: "BI-111",
    what: "lets a fault of one queue end its turn for all",
    patches: [
      {
        file: "relay/relay-queues.js",
        find: "catch (error) {\n                this.#break(queue, error);",
        replace: "catch (error) {\n                throw error;",
      },
    ],
  },
];
