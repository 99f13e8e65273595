import { describe, expect, test } from "vitest";
import { ReportDesk } from "../../src/lab/report-desk.js";
import type { Report } from "../../src/workers/messages.js";

const live: Report = { kind: "live" };
const ready: Report = { kind: "ready", tid: 1 };
const isLive = (report: Report) => report.kind === "live";

describe("ReportDesk", () => {
  test("gives a report to the first who takes it, once", async () => {
    const desk = new ReportDesk();
    const [first, second] = [desk.expect(isLive), desk.expect(isLive)];
    desk.hear(ready);
    desk.hear(live);
    await expect(first).resolves.toBe(live);
    expect(await Promise.race([second, Promise.resolve("waiting")])).toBe("waiting");
    desk.hear(live);
    await expect(second).resolves.toBe(live);
  });

  test("fails all who wait and will wait, with the first error", async () => {
    const desk = new ReportDesk();
    const heard: string[] = [];
    desk.onBreak(({ message }) => void heard.push(message));
    const waiting = desk.expect(isLive);
    desk.break(new Error("first"));
    desk.break(new Error("second"));
    await expect(waiting).rejects.toThrow("first");
    await expect(desk.expect(isLive)).rejects.toThrow("first");
    expect(heard).toEqual(["first"]);
  });

  test("a failure that nobody waits for any more is no failure of the process", async () => {
    const desk = new ReportDesk();
    void desk.expect(isLive);
    desk.break(new Error("nobody hears this"));
    // An unhandled rejection would be reported before this turn is over.
    await new Promise((resolve) => setImmediate(resolve));
  });
});
