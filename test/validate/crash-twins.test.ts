/** Records and recoveries that are wrong in one place: each has to lose, double or miss something at some point. */
import { describe, expect, test } from "vitest";
import { ShadowVirtqueue } from "../../src/relay/shadow-virtqueue.js";
import { type CrashReport, runCrashPoints } from "../../src/validate/crash/crash-points.js";
import type { CrashRelays } from "../../src/validate/crash/crash-relays.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

const QUEUE = "relay/recorded-queue.ts";
const RECORD = "relay/inflight-record.ts";
/** Makes copies of both files, though nothing is wrong in them. */
const LINKS: readonly Patch[] = [
  [QUEUE, "export function recordedQueue(", "export function recordedQueue("],
  [RECORD, "export class InflightRecord ", "export class InflightRecord "],
];

async function relaysWith(...patches: readonly Patch[]): Promise<CrashRelays> {
  const wrong = await patchedCopy<{ SHIPPING_CRASH: CrashRelays }>(
    "validate/crash/crash-relays.ts",
    ...LINKS,
    ...patches,
  );
  return wrong.SHIPPING_CRASH;
}

async function reportWith(...patches: readonly Patch[]): Promise<CrashReport> {
  return runCrashPoints({ chains: [2], shadowNums: [16], make: await relaysWith(...patches) });
}

const FORWARDED = `this.#record.forwarding(this.#batch);
    super.publish16(offset, value);
    this.#again`;
const RETURNED = `super.publish16(offset, value);
    this.#record.returned(this.#batch, value);`;

test("copies in which nothing is wrong lose nothing", async () => {
  expect((await reportWith()).failures).toEqual([]);
});

describe("the harness reports", () => {
  test.each<readonly [what: string, patch: Patch, how: RegExp]>([
    ["a recovery that does not mark the used ring", [QUEUE, "  marks.all();\n", ""], /page 1 was written .* before/],
    [
      "a recovery that marks no extents",
      [QUEUE, "  markExtents(parts, heads);\n", ""],
      /page \d+ was written .* before/,
    ],
    [
      "a recovery that marks only the first extent of a chain",
      [QUEUE, "i < chain.count;", "i < chain.readableCount + 1;"],
      /page \d+ was written .* before/,
    ],
    [
      "a record that is cleared before the used index is published",
      [
        QUEUE,
        RETURNED,
        `this.#record.returned(this.#batch, value);
    super.publish16(offset, value);`,
      ],
      /lost|doubled|came back|used in a ring/,
    ],
    [
      "a record that is set after the available index is published",
      [
        QUEUE,
        FORWARDED,
        `super.publish16(offset, value);
    this.#record.forwarding(this.#batch);
    this.#again`,
      ],
      /page \d+ was written .* before/,
    ],
    [
      "a recovery that ignores the batch head",
      [RECORD, "const batch = this.#lastBatch(left, u16(usedIdx - left.usedIdx));", "const batch: number[] = [];"],
      /doubled/,
    ],
    [
      "a batch whose head is recorded after the used index is published",
      [
        QUEUE,
        `this.#record.returning(this.#batch);
    ${RETURNED}`,
        `super.publish16(offset, value);
    this.#record.returning(this.#batch);
    this.#record.returned(this.#batch, value);`,
      ],
      /lost|doubled|came back/,
    ],
    [
      "a batch of which only the last head is struck out",
      [RECORD, "batch.length < count;", "batch.length < Math.min(count, 1);"],
      /doubled/,
    ],
    [
      "a record that begins at 0 wherever the ring stands",
      [RECORD, "memory.write16(this.#offset + QUEUE_USED_IDX, usedIdx);", ""],
      /used in a ring of 16/,
    ],
    [
      "a recovery that forwards what the ring names instead of what is in flight",
      [
        QUEUE,
        "keepingRecord({ ...parts, start: { lastAvailIdx: usedIdx, usedIdx } }, record, heads)",
        "keepingRecord({ ...parts, start: { lastAvailIdx: usedIdx, usedIdx } }, record, [])",
      ],
      /lost|doubled|came back/,
    ],
    [
      "a recovery that starts at the available index and forgets what is in flight",
      [
        QUEUE,
        "start: { lastAvailIdx: usedIdx, usedIdx } }, record, heads)",
        "start: { lastAvailIdx: usedIdx + heads.length, usedIdx } }, record, [])",
      ],
      /lost/,
    ],
    ["a recovery that calls nobody", [QUEUE, "  guestCall.signal();\n", ""], /never called/],
  ])("%s", async (_, patch, how) => {
    const { failures } = await reportWith(patch);
    expect(failures.map(({ message }) => message)).toContainEqual(expect.stringMatching(how));
  });
});

test("a queue that keeps no record loses what was in flight, or doubles it", () => {
  const start: CrashRelays["start"] = (parts) => new ShadowVirtqueue(parts);
  const restart: CrashRelays["restart"] = (parts) => new ShadowVirtqueue(parts);
  expect(runCrashPoints({ chains: [1], make: { start, restart } }).failures).not.toEqual([]);
});
