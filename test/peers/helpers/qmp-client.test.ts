import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { QmpClient } from "./qmp-client.js";
import { peerScope } from "./scope.js";

interface Command {
  readonly execute: string;
  readonly id: number;
}

/** A monitor that answers each command with the lines that `answer` gives, cut into pieces. */
function monitor(answer: (command: Command) => object[]): string {
  const path = peerScope().path("qmp");
  const server = createServer((socket) => {
    socket.write('{"QMP": {}}\r\n');
    socket.setEncoding("utf8").on("data", (text: string) => {
      for (const line of text.trim().split("\n")) {
        const command = JSON.parse(line) as Command;
        const lines = answer(command).map((reply) => `${JSON.stringify(reply)}\r\n`);
        if (lines.length === 0) socket.destroy();
        for (const part of lines.join("").match(/.{1,7}/gs) ?? []) socket.write(part);
      }
    });
    socket.on("error", () => {});
  });
  server.listen(path);
  onTestFinished(() => void server.close());
  return path;
}

async function client(answer: (command: Command) => object[]): Promise<QmpClient> {
  const opened = await QmpClient.connect(monitor(answer));
  onTestFinished(() => opened.close());
  return opened;
}

test("execute() returns what the command returns, whatever comes between", async () => {
  const qmp = await client(({ execute, id }) => [
    { event: "STOP", data: { a: 1 } },
    { return: { was: execute }, id },
  ]);
  expect(await Promise.all([qmp.execute("one"), qmp.execute("two")])).toEqual([{ was: "one" }, { was: "two" }]);
  expect(await qmp.event("STOP", 0)).toMatchObject({ data: { a: 1 } });
});

test("execute() throws with the monitor's words", async () => {
  const refusal = { class: "GenericError", desc: "no such device" };
  const qmp = await client(({ execute, id }) => [
    execute === "qmp_capabilities" ? { return: {}, id } : { error: refusal, id },
  ]);
  await expect(qmp.execute("device_del")).rejects.toThrow("device_del: no such device");
});

test("a monitor that hangs up fails what waits, and what comes after", async () => {
  const qmp = await client(({ execute, id }) => (execute === "qmp_capabilities" ? [{ return: {}, id }] : []));
  await expect(qmp.execute("quit")).rejects.toThrow("quit: the monitor hung up");
  await expect(qmp.execute("stop")).rejects.toThrow("stop: the monitor is gone");
});

test("connect() and event() give up in time", async () => {
  await expect(QmpClient.connect(peerScope().path("none"), 30)).rejects.toThrow("no monitor at");
  const qmp = await client(({ id }) => [{ return: {}, id }]);
  await expect(qmp.event("RESUME", 30)).rejects.toThrow("30 ms without the event RESUME");
});
