import { existsSync } from "node:fs";
import { expect, it } from "vitest";
import { osThreadId } from "../../src/telemetry/os-thread.js";

it.runIf(existsSync("/proc/thread-self"))("osThreadId() of the main thread is the process id", () => {
  expect(osThreadId()).toBe(process.pid);
});
