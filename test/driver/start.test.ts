import { expect, it } from "vitest";
import { checkedConfig, DEFAULT_CONFIG } from "../../src/machine/config.js";
import { DEVICE_REGISTERS as R } from "../../src/transport/registers.js";
import { testMachine } from "../helpers/inline-machine.js";
import { ACKNOWLEDGE, DRIVER, DRIVER_OK, FAILED } from "../transport/transport-bench.js";

/** A machine whose device offers less than ours do: the high half of its features is `high`. */
function started(high: number) {
  const machine = testMachine({ nullRequests: 8, device: "null" });
  new DataView(machine.arena.deviceRegisters).setUint32(R.deviceFeatures + 4, high, true);
  const result = machine.pass();
  const status = new DataView(machine.arena.guestRegisters).getUint16(R.statusWritten, true);
  return { machine, result, status };
}

it("a driver sets FAILED and stops when the device lacks VERSION_1, which it cannot do without (FEAT-07)", () => {
  const { machine, result, status } = started(0);
  expect([machine.driver.failed, status]).toEqual([true, ACKNOWLEDGE | DRIVER | FAILED]);
  expect(result).toMatchObject({ requests: 0, lost: 8 });
  machine.settle();
  expect(machine.usedRing().every((byte) => byte === 0)).toBe(true);
});

it("a driver goes on with VERSION_1 alone, and with bits that it has never heard of (FEAT-06, FEAT-08)", () => {
  for (const high of [1, 1 | (1 << 28), 0x7fff_ffff]) {
    const { result, status } = started(high);
    expect(result).toMatchObject({ requests: 8, lost: 0, fault: undefined });
    expect([status & FAILED, status & DRIVER_OK]).toEqual([0, DRIVER_OK]);
  }
});

it("a machine has 1 to 64 queues, of the 65 536 that VIRTIO has numbers for (IMPL-25)", () => {
  for (const queues of [1, 2, 63, 64]) expect(checkedConfig({ ...DEFAULT_CONFIG, queues }).queues).toBe(queues);
  for (const queues of [0, -1, 65, 65_535, 65_536, 65_537, 1.5, Number.NaN, 2 ** 32 + 1]) {
    expect(() => checkedConfig({ ...DEFAULT_CONFIG, queues }), `${queues}`).toThrow(/queues .* from 1 to 64/);
  }
});
