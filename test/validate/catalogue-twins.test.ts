import { expect, test } from "vitest";
import type { ShadowVirtqueue } from "../../src/relay/shadow-virtqueue.js";
import { runCatalogue } from "../../src/validate/catalogue/run-catalogue.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

const WALK = "relay/shadow-virtqueue.ts";
const RULES = "ring/chain-rules.ts";
const ODD = "relay/odd-buffers.ts";
/** Leads the copy of the walk to a copy of the rules, by a copy of what stands between them. */
const BETWEEN: Patch = [ODD, "export const NO_ROOM = 0xff;", "export const NO_ROOM = 0xff;"];

/** A relay with one check less, the rows that have to notice, and others that it still does well in. */
interface Twin {
  readonly what: string;
  readonly patches: readonly Patch[];
  readonly rows: readonly string[];
  readonly spared: readonly string[];
}

const TWINS: readonly Twin[] = [
  {
    what: "no bound on next",
    patches: [[WALK, "if (index >= limit) {", "if (index < 0) {"]],
    rows: ["BI-14", "BI-58", "BI-106"],
    spared: ["BI-03", "BI-19"],
  },
  {
    what: "a limit on elements far above the ring",
    patches: [
      [WALK, "if (elements === num ||", "if (elements === 1000 ||"],
      [WALK, "fault = elements === num ?", "fault = elements === 1000 ?"],
    ],
    rows: ["BI-12", "BI-58"],
    spared: ["BI-14", "BI-19"],
  },
  {
    what: "no rule of order",
    patches: [[WALK, "|| (flagsSeen & ~word & WRITE) !== 0) {", ") {"]],
    rows: ["BI-19", "BI-58"],
    spared: ["BI-12", "BI-24"],
  },
  {
    what: "no check of permissions",
    patches: [
      [
        WALK,
        "mappings[mapping + MAP_PERM]! & (writable ? DEVICE_WRITES : DEVICE_READS)",
        "DEVICE_READS | DEVICE_WRITES",
      ],
    ],
    rows: ["BI-24", "BI-100"],
    spared: ["BI-12", "BI-19"],
  },
  {
    what: "no clamp on lengths",
    patches: [[WALK, "if (length < 0 || length > writable) {", "if (length < 0 && length > 0) {"]],
    rows: ["BI-50"],
    spared: ["BI-44", "BI-51"],
  },
  {
    what: "no check of what is outstanding",
    patches: [[WALK, "HEAD_OUT_OF_RANGE : outstanding[head]!", "HEAD_OUT_OF_RANGE : 0"]],
    rows: ["BI-04"],
    spared: ["BI-03", "BI-19"],
  },
  {
    what: "no bound on heads",
    patches: [[WALK, "head >= num ? HEAD_OUT_OF_RANGE", "head < 0 ? HEAD_OUT_OF_RANGE"]],
    rows: ["BI-03", "BI-58", "BI-106"],
    spared: ["BI-14", "BI-19"],
  },
  {
    what: "tables in tables",
    patches: [[RULES, "if (nested) return INDIRECT_NESTED;", "void INDIRECT_NESTED;"], BETWEEN],
    rows: ["BI-28"],
    spared: ["BI-26", "BI-29", "BI-32"],
  },
  {
    what: "pointers that go on",
    patches: [[RULES, "if ((flags & NEXT) !== 0) return INDIRECT_WITH_NEXT;", "void INDIRECT_WITH_NEXT;"], BETWEEN],
    rows: ["BI-29", "BI-58"],
    spared: ["BI-28", "BI-32"],
  },
  {
    what: "tables that nobody agreed on",
    patches: [[RULES, "if (!negotiated) return INDIRECT_NOT_NEGOTIATED;", "void INDIRECT_NOT_NEGOTIATED;"], BETWEEN],
    rows: ["BI-30"],
    spared: ["BI-28", "BI-32"],
  },
  {
    what: "tables of any length",
    patches: [
      [RULES, "if (bytes === 0 || bytes % DESC_SIZE !== 0) return INDIRECT_LENGTH;", "void INDIRECT_LENGTH;"],
      BETWEEN,
    ],
    rows: ["BI-27"],
    spared: ["BI-26", "BI-32"],
  },
  {
    what: "no check of used ids",
    patches: [[WALK, "num ? rows[first + ROW_COUNT]! : 0;", "num ? rows[first + ROW_COUNT]! || 1 : 1;"]],
    rows: ["BI-44", "BI-45", "BI-46", "BI-47"],
    spared: ["BI-48", "BI-50"],
  },
  {
    what: "no bound on the guest's index",
    patches: [[WALK, "if (waiting > guest.num) {", "if (waiting < 0) {"]],
    rows: ["BI-01", "BI-02", "BI-05"],
    spared: ["BI-48", "BI-19"],
  },
  {
    what: "no bound on the device's index",
    patches: [[WALK, "if (waiting > this.inFlight) {", "if (waiting < 0) {"]],
    rows: ["BI-48", "BI-49"],
    spared: ["BI-01", "BI-45"],
  },
  {
    what: "a buffer's first page alone",
    patches: [[WALK, "last <= mappings[mapping + MAP_LAST]! && ", ""]],
    rows: ["BI-15", "BI-18", "BI-24"],
    spared: ["BI-12", "BI-19"],
  },
  {
    what: "addresses cut to what a number holds",
    patches: [[WALK, "(high & ~0x7ff) === 0 ?", "true ?"]],
    rows: ["BI-16", "BI-107", "BI-108"],
    spared: ["BI-15", "BI-19"],
  },
  {
    what: "no sum of a chain's bytes",
    patches: [[WALK, "if (pages > CHAIN_PAGES_EASY) fault", "if (count === 0) fault"]],
    rows: ["BI-17", "BI-100"],
    spared: ["BI-19", "BI-15"],
  },
  {
    what: "a length that is read twice",
    patches: [[WALK, "source.read32(at + 8);", "source.read32(at + 8) && source.read32(at + 8);"]],
    rows: ["BI-12", "BI-19", "BI-58"],
    spared: ["BI-06", "BI-77"],
  },
  {
    what: "the last marks of a batch forgotten",
    patches: [[WALK, "if (log !== undefined) words += markMissing(log, markedAt, markedBits);", ""]],
    rows: ["BI-51", "BI-59", "BI-65", "BI-66", "BI-68", "BI-69"],
    spared: ["BI-67", "BI-107"],
  },
  {
    what: "only the first descriptor of a chain freed",
    patches: [[WALK, "freeCount += count;", "freeCount += 1;"]],
    rows: ["BI-57", "BI-21"],
    spared: ["BI-03", "BI-44"],
  },
  {
    what: "chains taken back by count",
    patches: [[WALK, "first === undefined || rows[(first << ROW_SHIFT) + ROW_HEAD] !== head", "first === undefined"]],
    rows: ["BI-98"],
    spared: ["BI-03", "BI-53"],
  },
];

test.each(TWINS)("a relay with $what is found: $rows", async ({ patches, rows, spared }) => {
  const faulty = await patchedCopy<{ ShadowVirtqueue: typeof ShadowVirtqueue }>(WALK, ...patches);
  const { failures } = runCatalogue({ rows: [...rows, ...spared], make: (parts) => new faulty.ShadowVirtqueue(parts) });
  expect([...new Set(failures.map(({ id }) => id))].sort()).toEqual([...rows].sort());
});
