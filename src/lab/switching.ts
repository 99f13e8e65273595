import { setTimeout as sleep } from "node:timers/promises";
import type { WindowSeries } from "./windows.js";

/** Changes of data path that a switching run makes at least. */
const SWITCHES_MIN = 50;

/**
 * Sends a queue to and fro between its path and passthrough while windows of load run; returns the number of changes.
 *
 * Ends on the path it began with. Needs at least five windows, as every row does.
 */
export async function switchUnderLoad(
  series: WindowSeries,
  everyMs: number,
  windowNs: number,
  signal: AbortSignal,
): Promise<number> {
  const { machine } = series;
  const home = machine.config.path;
  let switches = 0;
  let loading = true;
  const load = (async () => {
    await series.take(windowNs, false);
    while (series.samples.length < 5 || switches < SWITCHES_MIN) await series.take(windowNs, true);
  })().finally(() => {
    loading = false;
  });
  const change = async (): Promise<void> => {
    while (loading || switches % 2 === 1) {
      signal.throwIfAborted();
      await machine.ask("relay", { kind: "path", path: switches % 2 === 0 ? "passthrough" : home }, "switched");
      switches += 1;
      await sleep(everyMs);
    }
  };
  await Promise.all([load, change()]);
  return switches;
}
