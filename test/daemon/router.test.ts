import { expect, test } from "vitest";
import { COMMANDS } from "../../src/daemon/commands.js";
import type { RoutedDevice } from "../../src/daemon/router.js";
import { Router } from "../../src/daemon/router.js";

function routed(count: number) {
  const asked: unknown[] = [];
  let quits = 0;
  const devices = Array.from({ length: count }, (_, index): RoutedDevice => {
    const facts = {
      index,
      listen: `/g${index}`,
      connect: `/d${index}`,
      process: "ready",
      pid: 1,
      restarts: 0,
    } as const;
    const request = async (execute: string, args: object, limitMs: number) => {
      asked.push([index, execute, args, limitMs]);
      return { index };
    };
    return { facts: () => facts, request };
  });
  const router = new Router(devices, () => quits++);
  return { router, asked, quits: () => quits };
}

test("a command goes to the only device, to the one with its index, or to the one with its path", async () => {
  expect(await routed(1).router.execute("query-stats", {})).toEqual({ index: 0 });
  const { router, asked } = routed(2);
  expect(await router.execute("query-status", { device: 1 })).toEqual({ index: 1 });
  expect(await router.execute("query-status", { device: "1" })).toEqual({ index: 1 });
  expect(await router.execute("set-datapath", { device: "/g0", datapath: "auto" })).toEqual({ index: 0 });
  expect(asked.at(-1)).toEqual([0, "set-datapath", { datapath: "auto" }, 30_000]);
});

test.each<[string, Record<string, unknown>, string, RegExp]>([
  ["query-nothing", {}, "CommandNotFound", /there is no command "query-nothing"/],
  ["constructor", {}, "CommandNotFound", /"constructor"/],
  ["__proto__", {}, "CommandNotFound", /"__proto__"/],
  ["stop", {}, "CommandNotFound", /"stop"/],
  ["qmp_capabilities", {}, "CommandNotFound", /qmp_capabilities/],
  ["query-status", {}, "GenericError", /"device" is missing: one of 0 \(\/g0\), 1 \(\/g1\)/],
  ["query-status", { device: 2 }, "GenericError", /there is no device 2: one of 0/],
  ["query-status", { device: "toString" }, "GenericError", /there is no device "toString"/],
  ["query-status", { device: null }, "GenericError", /argument "device" of query-status is null/],
  ["query-status", { device: {} }, "GenericError", /is an object/],
  ["query-status", { device: 0, verbose: true }, "GenericError", /query-status has no argument "verbose"/],
  ["query-devices", { device: 0 }, "GenericError", /query-devices has no argument "device"/],
  [
    "set-datapath",
    { device: 0 },
    "GenericError",
    /set-datapath needs argument "datapath": one of svq, passthrough, auto/,
  ],
  ["set-datapath", { device: 0, datapath: "fast" }, "GenericError", /"datapath" of set-datapath is "fast": one of svq/],
  ["set-datapath", { device: 0, datapath: ["svq"] }, "GenericError", /is a list: one of svq/],
])("what is wrong with a command is named: %s %j", async (name, args, errorClass, message) => {
  const { router, asked } = routed(2);
  await expect(router.execute(name, args)).rejects.toThrow(message);
  await expect(router.execute(name, args)).rejects.toMatchObject({ errorClass });
  expect(asked).toEqual([]);
});

test("the main process answers for itself: commands, devices, quit", async () => {
  const { router, asked, quits } = routed(2);
  const names = (await router.execute("query-commands", {})) as { name: string }[];
  expect(names.map(({ name }) => name)).toEqual([...COMMANDS.keys()]);
  expect(await router.execute("query-devices", {})).toMatchObject({ devices: [{ listen: "/g0" }, { listen: "/g1" }] });
  expect(quits()).toBe(0);
  expect(await router.execute("quit", {})).toEqual({});
  await new Promise((resolve) => void setImmediate(resolve));
  expect(quits()).toBe(1);
  expect(asked).toEqual([]);
});
