/** Whatever a client sends, each line has its reply, and the daemon keeps nothing of it. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { COMMANDS } from "../../src/daemon/commands.js";
import { ControlSocket } from "../../src/daemon/control-socket.js";
import { type RoutedDevice, Router } from "../../src/daemon/router.js";
import { memoryLog } from "../helpers/memory-log.js";
import { QmpTalk } from "../helpers/qmp-talk.js";

const LINES = 10_000;
const LINES_A_SESSION = 100;

const FACTS = { index: 0, listen: "/g", connect: "/d", process: "ready", pid: 1, restarts: 0 } as const;
const word = fc.oneof(fc.constantFrom(...COMMANDS.keys(), "stop", "__proto__"), fc.string());
const argument = fc.oneof(fc.constantFrom(0, "0", "/g", "svq", null), fc.jsonValue());
const command = fc.record(
  {
    execute: fc.oneof(word, fc.jsonValue()),
    arguments: fc.oneof(fc.dictionary(fc.constantFrom("device", "datapath", "x"), argument), fc.jsonValue()),
    id: fc.jsonValue(),
    other: fc.jsonValue(),
  },
  { requiredKeys: [] },
);
const text = fc.oneof(
  command.map((value) => JSON.stringify(value)),
  command.chain((value) => fc.nat(200).map((length) => JSON.stringify(value).slice(0, length))),
  fc.json(),
  fc.string({ unit: "binary", maxLength: 200 }),
);
const line = text.map((value) => value.replaceAll("\n", " "));

/** Sends lines over sessions of a socket; how many replies came, and the descriptors open before and after. */
async function fuzzed(device: RoutedDevice): Promise<{ sent: number; replies: number; grown: number }> {
  const folder = mkdtempSync(join(tmpdir(), "test-fuzz-"));
  const path = join(folder, "c.sock");
  const control = await ControlSocket.listen(path, new Router([device], () => {}), "0.1.0", memoryLog().log);
  const lines = fc.sample(line, { numRuns: LINES, seed: 1 });
  const total = { sent: 0, replies: 0, grown: 0 };
  try {
    for (let at = 0; at < LINES; at += LINES_A_SESSION) {
      const some = lines.slice(at, at + LINES_A_SESSION);
      const talk = await QmpTalk.connect(path);
      talk.socket.end(`{"execute":"qmp_capabilities"}\n${some.map((one) => `${one}\n`).join("")}`);
      await talk.over();
      total.sent += some.filter((one) => one.trim() !== "").length;
      // The greeting and the reply to the negotiation come besides.
      total.replies += talk.messages.filter((message) => "return" in message || "error" in message).length - 1;
      if (at === 0) total.grown = -openFds();
    }
    total.grown += openFds();
    return total;
  } finally {
    await control.close();
    rmSync(folder, { recursive: true });
  }
}

function openFds(): number {
  return readdirSync("/proc/self/fd").length;
}

test(`${LINES} odd lines have a reply each, and descriptors stay as they were`, async () => {
  const device: RoutedDevice = { facts: () => FACTS, request: async (execute) => ({ execute }) };
  const { sent, replies, grown } = await fuzzed(device);
  expect(sent).toBeGreaterThan(0.9 * LINES);
  expect(replies).toBe(sent);
  expect(grown).toBeLessThanOrEqual(4);
});

test("twin: a device that leaks a descriptor at each command is seen", async () => {
  const { openSync, closeSync } = await import("node:fs");
  const leaked: number[] = [];
  const request = async (execute: string) => {
    leaked.push(openSync("/dev/null", "r"));
    return { execute };
  };
  try {
    expect((await fuzzed({ facts: () => FACTS, request })).grown).toBeGreaterThan(4);
  } finally {
    for (const fd of leaked) closeSync(fd);
  }
});
