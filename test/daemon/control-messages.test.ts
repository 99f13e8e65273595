import * as fc from "fast-check";
import { expect, test } from "vitest";
import { logFields, parseDeviceLine, timestampOf } from "../../src/daemon/control-messages.js";

test("a reply, an error, an event and a log line are read", () => {
  expect(parseDeviceLine('{"return":{"a":1},"id":7}')).toEqual({ kind: "return", id: 7, value: { a: 1 } });
  expect(parseDeviceLine('{"error":{"class":"DeviceNotActive","desc":"gone"},"id":8}')).toMatchObject({
    kind: "error",
    id: 8,
    error: { errorClass: "DeviceNotActive", message: "gone" },
  });
  const timestamp = { seconds: 5, microseconds: 6 };
  expect(parseDeviceLine(JSON.stringify({ event: "CONNECTED", data: { n: 1 }, timestamp }))).toEqual({
    kind: "event",
    event: { event: "CONNECTED", data: { n: 1 }, timestamp },
  });
  expect(parseDeviceLine('{"log":{"level":"warn","msg":"odd","queue":2}}')).toEqual({
    kind: "log",
    log: { level: "warn", msg: "odd", fields: { queue: 2 } },
  });
});

test.each([
  "",
  "null",
  "[]",
  "7",
  "{",
  "{}",
  '{"return":{}}',
  '{"return":7,"id":1}',
  '{"return":{},"id":1.5}',
  '{"return":{},"id":"1"}',
  '{"error":{},"id":1}',
  '{"event":7}',
  '{"event":"lower"}',
  '{"event":"A B"}',
  '{"event":"A","data":7}',
  '{"log":7}',
  '{"log":{"level":"loud","msg":""}}',
  '{"log":{"level":"info"}}',
])("a line that makes no sense is bad, and says why: %s", (line) => {
  expect(parseDeviceLine(line)).toEqual({ kind: "bad", why: expect.stringMatching(/^(a|an) |^event /) });
});

test("no line makes parseDeviceLine() throw", () => {
  const message = fc.record(
    { event: fc.jsonValue(), data: fc.jsonValue(), id: fc.jsonValue(), return: fc.jsonValue(), log: fc.jsonValue() },
    { requiredKeys: [] },
  );
  const line = fc.oneof(
    fc.string(),
    fc.json(),
    message.map((value) => JSON.stringify(value)),
  );
  fc.assert(
    fc.property(line, (text) => {
      expect(["return", "error", "event", "log", "bad"]).toContain(parseDeviceLine(text).kind);
    }),
  );
});

test("a field of a log line never takes one of the log's own names", () => {
  const given = { level: "fatal", time: 0, msg: "no", device: "no", event: "no", queue: 1, deep: { a: 1 } };
  expect(logFields(given)).toEqual({ queue: 1 });
});

test("a moment is seconds and microseconds", () => {
  expect(timestampOf(1_700_000_000_123.5)).toEqual({ seconds: 1_700_000_000, microseconds: 123_500 });
});

test("a line that nests so deeply that writing it again would end the daemon is bad, and so is an endless event", () => {
  const nested = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;
  expect(() => JSON.stringify(JSON.parse(nested(1e6)))).toThrow(RangeError);
  for (const line of [`{"return":${nested(1e6)},"id":1}`, `{"event":"A","data":{"a":${nested(1e6)}}}`]) {
    expect(parseDeviceLine(line)).toEqual({ kind: "bad", why: "a line that nests deeper than 32" });
  }
  expect(parseDeviceLine(`{"return":${nested(31)},"id":1}`).kind).toBe("return");
  const why = "x".repeat(16_384);
  expect(parseDeviceLine(JSON.stringify({ event: "A", data: { why } })).kind).toBe("bad");
  expect(parseDeviceLine(JSON.stringify({ log: { level: "info", msg: why } })).kind).toBe("bad");
  expect(parseDeviceLine(JSON.stringify({ return: { why }, id: 1 })).kind).toBe("return");
});
