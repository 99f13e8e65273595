import RingBuffer from "ringbufferjs";
import { describe, expect, it } from "vitest";
import { type FlightEvent, FlightRecorder } from "../../src/report/flight-recorder.js";

function event(at_ns: number, detail: FlightEvent["detail"] = {}): FlightEvent {
  return { at_ns, source: "relay", event: "switch", detail };
}

function recorderWith(capacity: number, count: number): FlightRecorder {
  const recorder = new FlightRecorder(capacity);
  for (let at = 0; at < count; at++) recorder.record(event(at * 1_000));
  return recorder;
}

describe("FlightRecorder", () => {
  it("holds the last events, oldest first, and counts the others", () => {
    for (const capacity of [1, 2, 7]) {
      for (const count of [0, 1, capacity, capacity + 1, 3 * capacity + 2]) {
        const held = Array.from({ length: count }, (_, at) => event(at * 1_000)).slice(-capacity);
        const recorder = recorderWith(capacity, count);
        expect(recorder.snapshot()).toEqual(held);
        expect(recorder.dropped).toBe(count - held.length);
      }
    }
  });

  it("gives snapshots that later events do not change", () => {
    const recorder = recorderWith(2, 2);
    const before = recorder.snapshot();
    recorder.record(event(9));
    expect(before.map(({ at_ns }) => at_ns)).toEqual([0, 1_000]);
  });

  it("refuses a capacity below 1, which the library takes for 50", () => {
    expect(new RingBuffer(0).capacity()).toBe(50);
    for (const capacity of [0, -1, 1.5, Number.NaN]) expect(() => new FlightRecorder(capacity)).toThrow(RangeError);
  });

  it("dumps one line an event, with times from the first", () => {
    const recorder = new FlightRecorder(3);
    recorder.record(event(5_000_000));
    recorder.record(event(5_000_000, { queue: 0, to: "svq" }));
    recorder.record(event(5_001_900, { ok: true, error: null }));
    expect(recorder.dump()).toEqual([
      "     +0 ns relay switch",
      "     +0 ns relay switch queue=0 to=svq",
      "   +1.9 µs relay switch ok=true error=null",
    ]);
    recorder.record(event(5_002_000));
    expect(recorder.dump()[0]).toBe("(1 earlier events dropped)");
    expect(recorder.dump()).toHaveLength(4);
  });

  it("keeps what a peer wrote on its line", () => {
    const recorder = new FlightRecorder(1);
    recorder.record(event(0, { reason: "a\nb \u001b[2J" }));
    expect(recorder.dump()).toEqual(['     +0 ns relay switch reason="a\\nb \\u001b[2J"']);
  });
});
