import {
  BOASTING,
  ONE,
  offer,
  program,
  publish,
  R,
  raw,
  relay,
  TWO,
  TWO_BY_EVENT,
  W,
  type WrongRelay,
} from "./wrong-relays.js";

const PUBLISH_AVAIL = "shadow.availMemory.publish16(shadow.avail + RING_IDX, shadowAvailIdx);";
const AVAIL_FENCE = "    shadow.availMemory.fence();\n";
const MARK_USED = "    marks.usedEntries(oldIdx, guestUsedIdx);\n";
const LAST_MARKS = "    if (log !== undefined) words += markMissing(log, markedAt, markedBits);\n";
const FREE = "      freeHead = cursor;\n";

/** Relays of which a peer, or a migration, gets something wrong; the shipping one passes in the same program. */
export const WRONG_OUTCOMES: readonly WrongRelay[] = [
  {
    what: "frees the second descriptor of a chain at once",
    faults: [[FREE, "      freeHead = rows[(freeHead << ROW_SHIFT) + ROW_NEXT]!;\n"]],
    program: program([offer(R(0x3000), W(0x5000)), offer(W(0x5000)), publish, relay]),
    caught: ["O1", 1],
  },
  {
    what: "miscounts what came free",
    faults: [["      freeCount += count;\n", "      freeCount += 1;\n"]],
    program: ONE,
    caught: ["O1", 2],
  },
  {
    what: "says that a chain is free which the device has",
    faults: [["      rows[first + ROW_COUNT] = count;\n", "      rows[first + ROW_COUNT] = count - 1;\n"]],
    program: ONE,
    caught: ["O1", 2],
  },
  {
    what: "rewrites a descriptor that the device has",
    faults: [[AVAIL_FENCE, `${AVAIL_FENCE}    shadow.descMemory.write32(shadow.desc + 8, 64);\n`]],
    program: ONE,
    caught: ["O1", 3],
  },
  {
    what: "reads its own table back",
    faults: [[AVAIL_FENCE, `${AVAIL_FENCE}    shadow.descMemory.read32(shadow.desc + 8);\n`]],
    program: ONE,
    caught: ["O1", 3],
  },
  {
    what: "reads the guest's used ring back",
    faults: [[MARK_USED, `${MARK_USED}    guest.usedMemory.read32(guest.used + 4);\n`]],
    program: ONE,
    caught: ["O1", 3],
  },
  {
    what: "offers one head twice",
    faults: [[FREE, ""]],
    program: program([offer(R(0x3000)), offer(R(0x3000)), publish, relay]),
    caught: ["O1", 4],
  },
  {
    what: "overwrites an avail entry that nobody has read",
    faults: [[AVAIL_FENCE, `${AVAIL_FENCE}    shadow.availMemory.write16(shadow.avail + RING_ENTRIES, 1);\n`]],
    program: ONE,
    caught: ["O1", 4],
  },
  {
    what: "stores over the guest's descriptors",
    faults: [["guestUsed.write32(to, head);", "guestUsed.write32(guest.desc, head);"]],
    program: ONE,
    caught: ["O6", 5],
  },
  {
    what: "moves its index by a read-modify-write",
    faults: [[PUBLISH_AVAIL, "shadow.availMemory.setBits32(shadow.avail, shadowAvailIdx << 16);"]],
    program: ONE,
    caught: ["O6", 5],
  },
  {
    what: "gives the device a byte less",
    faults: [["shadowDesc.write32(to + 8, length);", "shadowDesc.write32(to + 8, length - 1);"]],
    program: ONE,
    caught: ["O2", 6],
  },
  {
    what: "lets the device write what it may only read",
    faults: [["(word & (NEXT | WRITE)) | (cursor << 16)", "(word & NEXT) | WRITE | (cursor << 16)"]],
    program: ONE,
    caught: ["O2", 6],
  },
  {
    what: "moves its avail index without release",
    faults: [[PUBLISH_AVAIL, "shadow.availMemory.write16(shadow.avail + RING_IDX, shadowAvailIdx);"]],
    program: ONE,
    caught: ["O2", 6],
  },
  {
    what: "stores flags and index at once",
    faults: [[PUBLISH_AVAIL, "shadow.availMemory.write32(shadow.avail, shadowAvailIdx << 16);"]],
    program: ONE,
    caught: ["O2", 6],
  },
  {
    what: "reads the guest's index without acquire",
    faults: [
      ["guest.availMemory.observe16(guest.avail + RING_IDX)", "guest.availMemory.read16(guest.avail + RING_IDX)"],
    ],
    program: ONE,
    caught: ["O2", 6],
  },
  {
    what: "returns its own head instead of the guest's",
    faults: [["guestUsed.write32(to, head);", "guestUsed.write32(to, id);"]],
    program: TWO,
    caught: ["O3", 8],
  },
  {
    what: "rewrites an entry that the guest may be reading",
    faults: [[MARK_USED, `    guest.usedMemory.write32(guest.used + 4 + (oldIdx & 3) * 8, 0);\n${MARK_USED}`]],
    program: ONE,
    caught: ["O3", 8],
  },
  {
    what: "reads the device's index without acquire",
    faults: [
      ["shadow.usedMemory.observe16(shadow.used + RING_IDX)", "shadow.usedMemory.read16(shadow.used + RING_IDX)"],
    ],
    program: ONE,
    caught: ["O3", 8],
  },
  {
    what: "publishes though nothing moved",
    faults: [
      ["#observeShadowUsed();\n    if (waiting === 0) return false;\n", "#observeShadowUsed();\n"],
      ["    if (guestUsedIdx === oldIdx) return;\n", ""],
    ],
    program: ONE,
    caught: ["O3", 13],
  },
  {
    what: "gives the device an address of nobody's",
    faults: [["(iovaHigh + (frame >>> 20)) | 0", "(iovaHigh + 1 + (frame >>> 20)) | 0"]],
    program: ONE,
    caught: ["O2", 14],
  },
  {
    what: "does not mark the last buffers",
    faults: [[LAST_MARKS, ""]],
    program: ONE,
    caught: ["O4", 20],
  },
  {
    what: "marks buffers when the guest has seen them",
    faults: [
      [LAST_MARKS, ""],
      ["this.#publishUsed(oldIdx);\n    if (fault", "this.#publishUsed(oldIdx);\n    this.abandon();\n    if (fault"],
    ],
    program: ONE,
    caught: ["O4", 20],
  },
  {
    what: "does not mark the used ring",
    faults: [[MARK_USED, ""]],
    program: TWO_BY_EVENT,
    caught: ["O4", 20],
  },
  {
    what: "takes marks away",
    faults: [[LAST_MARKS, `${LAST_MARKS}    log?.takeBits32(0);\n`]],
    program: ONE,
    caught: ["O4", 20],
  },
  {
    what: "marks what the device only read",
    faults: [[LAST_MARKS, `${LAST_MARKS}    if (log !== undefined) log.setBits32(0, 1 << 3);\n`]],
    program: ONE,
    caught: ["O4", 21],
  },
  {
    what: "marks by a plain store",
    faults: [["!== 0) log.setBits32(at, bits);", "!== 0) log.write32(at, bits);"]],
    program: ONE,
    caught: ["O4", 22],
  },
  {
    what: "marks beyond the last page",
    faults: [["!== 0) log.setBits32(at, bits);", "!== 0) log.setBits32(at, bits | (at === 32 ? 1 << 31 : 0));"]],
    program: TWO,
    caught: ["O4", 23],
  },
  {
    what: "reads where there is no memory",
    faults: [["if (index >= limit) {", "if (index >= 65_536) {"]],
    program: program([{ op: "offer-raw", slot: 0, descriptors: [raw(0x3000, 8, 1, 60_000)] }, publish, relay]),
    caught: ["O6", 36],
  },
  {
    what: "passes on what the device boasts of",
    faults: [["        length = Math.min(length >>> 0, writable, 0xffffffff) | 0;\n", ""]],
    program: BOASTING,
    caught: ["O3", 39],
  },
];
