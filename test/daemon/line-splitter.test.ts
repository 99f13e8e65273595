import * as fc from "fast-check";
import { expect, test } from "vitest";
import { LineSplitter } from "../../src/daemon/line-splitter.js";

const LIMIT_BYTES = 8;

/** Cuts bytes into pieces of the given lengths, the last one over and over. */
function pieces(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const cut: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[Math.min(i, lengths.length - 1)]!;
    cut.push(bytes.subarray(at, at + length));
    at += length;
  }
  return cut;
}

test("LineSplitter gives the same lines however they are cut, undefined for those that are too long", () => {
  const line = fc.string({ maxLength: 2 * LIMIT_BYTES, unit: fc.constantFrom("a", "b", "é", " ") });
  const lengths = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 });
  fc.assert(
    fc.property(fc.array(line), lengths, (lines, cuts) => {
      const splitter = new LineSplitter(LIMIT_BYTES);
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""));
      const got = pieces(bytes, cuts).flatMap((piece) => splitter.push(piece));
      expect(got).toEqual(lines.map((text) => (Buffer.byteLength(text) > LIMIT_BYTES ? undefined : text)));
    }),
  );
});

test("LineSplitter says that a line is too long before its end comes", () => {
  const splitter = new LineSplitter(LIMIT_BYTES);
  expect(splitter.push(Buffer.from("12345678"))).toEqual([]);
  expect(splitter.push(Buffer.from("9"))).toEqual([undefined]);
  expect(splitter.push(Buffer.from("more and more"))).toEqual([]);
  expect(splitter.push(Buffer.from("rest\nnext\n"))).toEqual(["next"]);
});

test("LineSplitter holds no more than its limit, also of a line that comes byte by byte", () => {
  const splitter = new LineSplitter(2 ** 20);
  const byte = Buffer.from("x");
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 2 ** 20; i++) splitter.push(byte);
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 2 ** 20);
  expect(splitter.push(Buffer.from("\n"))[0]).toHaveLength(2 ** 20);
});
