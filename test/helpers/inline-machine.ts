import type { Device } from "../../src/device/device.js";
import type { DeviceModel } from "../../src/device/device-model.js";
import { NetDevice } from "../../src/device/net-device.js";
import { NullDevice } from "../../src/device/null-device.js";
import { BlkWorkload } from "../../src/driver/blk-workload.js";
import type { Driver, JobResult } from "../../src/driver/driver.js";
import { NetWorkload } from "../../src/driver/net-workload.js";
import { NullWorkload } from "../../src/driver/null-workload.js";
import type { Workload, WorkloadContext } from "../../src/driver/workload.js";
import { usedRingBytes } from "../../src/layout/virtio-ring.js";
import { type Arena, allocateArena, bellNumbers } from "../../src/machine/arena.js";
import {
  type DeviceOutside,
  type DriverOutside,
  guestLayout,
  makeDevice,
  makeDriver,
  makeRelay,
  type RelayOutside,
} from "../../src/machine/assemble.js";
import { DEFAULT_CONFIG, type MachineConfig } from "../../src/machine/config.js";
import { InlineMachine } from "../../src/machine/inline.js";
import { deviceShare, deviceViews, doorbells, driverShare, driverViews, relayViews } from "../../src/machine/views.js";
import type { Role } from "../../src/memory/role.js";
import type { Relay } from "../../src/relay/relay.js";
import { driverAccounts, shadowAccounts } from "./accounting.js";
import { GuestOracle } from "./guest-oracle.js";

/** A whole machine on this thread, in real memory and virtual time. */
export interface TestMachine {
  readonly config: MachineConfig;
  readonly arena: Arena;
  readonly driver: Driver;
  readonly relay: Relay;
  readonly device: Device;
  readonly inline: InlineMachine;
  /** Judge of guest RAM; only where it was asked for. */
  readonly oracle: GuestOracle | undefined;
  /** Bytes sent and bytes that came back in the last pass. */
  readonly sent: Uint8Array;
  received(): Uint8Array;
  /** Runs one pass, or the requests given, and says what came of it; `each` is called before every turn. */
  pass(number?: number, first?: number, count?: number, each?: () => void): JobResult;
  /** Steps everybody until nothing moves. */
  settle(): void;
  /** Sentences about books that do not add up, of driver and relay. */
  bookProblems(): string[];
  /** Guest-visible used ring of a queue: index and entries, without flags and event word. */
  usedRing(queue?: number): Uint8Array;
}

/** What a test puts between the parts. */
export interface TestOutside {
  readonly driver?: Partial<DriverOutside>;
  readonly relay?: RelayOutside;
  readonly device?: Partial<DeviceOutside>;
  readonly inputBytes?: number;
  /** Whether to judge guest RAM, or only whether anything strayed; costs a copy of it. */
  readonly judged?: boolean | "strays";
  /** Stands in for a role in the turns of the machine. */
  readonly wrapRole?: (role: Role) => Role;
}

/** Smaller than the product's default, so that a test takes milliseconds. */
export const SMALL: MachineConfig = {
  ...DEFAULT_CONFIG,
  placement: "inline",
  device: "net",
  ramBytes: 2 ** 20,
  queueSize: 16,
  depth: 8,
  batch: 4,
  requestBytes: 600,
};

/** Builds a machine; `outside` injects faults. */
export function testMachine(change: Partial<MachineConfig>, outside: TestOutside = {}): TestMachine {
  const config: MachineConfig = { ...SMALL, ...change };
  const arena = allocateArena(config);
  const layouts = guestLayout(config);
  const oracle = (outside.judged ?? false) === false ? undefined : new GuestOracle(config, arena, layouts);
  const sent = Uint8Array.from({ length: outside.inputBytes ?? 40_000 }, (_, i) => (i * 31 + (i >>> 8)) & 0xff);
  let ticks = () => 0;
  let workload!: Workload;
  const unmarked: number[] = [];
  const views = driverViews(driverShare(arena));
  const regions = views.regions.map((region, i) => ({
    ...region,
    memory: oracle?.mirrored(region.memory, i) ?? region.memory,
  }));
  const driver = makeDriver(
    config,
    { ...views, regions },
    {
      workload: (queues, guest) => {
        const { requestBytes, segments } = config;
        const slots = queues.flatMap((queue) => queue.slots);
        workload = makeWorkload(config, {
          guest,
          slots,
          requestBytes,
          segments,
          input: sent,
          poison: oracle !== undefined,
        });
        if (oracle !== undefined && outside.judged === true && isLogged(config))
          watchCompletions(workload, (slot) => {
            unmarked.push(...oracle.unmarked(slots[slot]!.in, requestBytes));
          });
        return workload;
      },
      now: () => ticks(),
      recordLatency: () => {},
      ...outside.driver,
    },
  );
  const model: DeviceModel = config.device === "net" ? new NetDevice() : new NullDevice();
  const relay = makeRelay(config, relayViews(arena), outside.relay);
  const device = makeDevice(config, deviceViews(deviceShare(arena)), { model, ...outside.device });
  const bells = doorbells(arena.bells);
  const numbers = bellNumbers(config.placement);
  const party = (role: Role, number: number) => ({
    role: outside.wrapRole?.(role) ?? role,
    rung: () => bells[number]!.observe(),
  });
  const inline = new InlineMachine(
    [party(driver, numbers.driver), party(relay, numbers.relay), party(device, numbers.device)],
    config.seed,
  );
  ticks = () => inline.ticks;
  return {
    config,
    arena,
    driver,
    relay,
    device,
    inline,
    oracle,
    sent,
    received: () => workload.received,
    pass(number = 0, first = 0, count = workload.requestCount - first, each = () => {}) {
      driver.begin({ pass: number, first, count });
      inline.wake();
      inline.run(() => {
        each();
        return driver.done || driver.failed;
      });
      return driver.end();
    },
    settle() {
      for (let idle = 0; idle < 4; ) {
        const moved = [driver, relay, device].map((role) => role.step() || !role.arm());
        idle = moved.includes(true) ? 0 : idle + 1;
      }
    },
    bookProblems() {
      const accounts = [...driverAccounts(driver.parts()), ...shadowAccounts(relay.parts())];
      return [
        ...accounts.flatMap(({ problems }) => problems),
        ...unmarked.map((page) => `page ${page} used, not marked`),
      ];
    },
    usedRing(queue = 0) {
      const bytes = new Uint8Array(usedRingBytes(config.queueSize) - 4);
      new Uint8Array(arena.regions[0]!.buffer, layouts[queue]!.used + 2, bytes.length).forEach((byte, i) => {
        bytes[i] = byte;
      });
      return bytes;
    },
  };
}

/** Whether the relay sees what a device writes under this path, and marks it. */
export function isLogged({ path, dirtyLog }: Pick<MachineConfig, "path" | "dirtyLog">): boolean {
  return dirtyLog && (path === "svq" || path === "used-only");
}

function makeWorkload(config: MachineConfig, context: WorkloadContext): Workload {
  if (config.device === "blk") return new BlkWorkload(context);
  return config.device === "net" ? new NetWorkload(context) : new NullWorkload(context, config.nullRequests);
}

/** Calls `look` for a slot at the moment at which the driver learns that its request is done. */
export function watchCompletions(workload: Workload, look: (slot: number) => void): void {
  const finish = workload.finish.bind(workload);
  workload.finish = (number, slot, usedLength) => {
    look(slot);
    return finish(number, slot, usedLength);
  };
}
