import { expect, test } from "vitest";
import { PoliteClock, RealClock } from "../../src/lab/migrate/clocks.js";
import { UniformMigration } from "../helpers/uniform-migration.js";

const MIB = 2 ** 20;

test("virtual time passes as told, and leaves others on this thread a turn now and then", async () => {
  const clock = new PoliteClock();
  let turns = 0;
  const others = setInterval(() => turns++, 1);
  const until = performance.now() + 200;
  let told = 0;
  while (performance.now() < until) {
    const wait = clock.pass(1e6);
    told += 1e6;
    if (wait !== undefined) await wait;
  }
  clearInterval(others);
  expect(clock.now()).toBe(told);
  expect(turns).toBeGreaterThan(0);
});

test("by the wall a migration takes no less than its bytes take to send, and is as sound", async () => {
  const rig = new UniformMigration();
  const clock = new RealClock();
  const outcome = await rig.migrate({ clock, parameters: { maxBandwidthBytes: 64 * MIB } });
  expect(outcome).toMatchObject({ status: "completed", verdict: { misses: 0, differing: 0 } });
  expect(clock.now()).toBeGreaterThan(0.9 * ((outcome.totalBytes * 1e9) / (64 * MIB)));
  expect(rig.guest.verify()).toBe(true);
});
