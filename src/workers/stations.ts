import { BlkDevice } from "../device/blk-device.js";
import type { DeviceModel } from "../device/device-model.js";
import type { WriteWitness } from "../device/mapped-chain.js";
import { NetDevice } from "../device/net-device.js";
import { NullDevice } from "../device/null-device.js";
import { BlkWorkload } from "../driver/blk-workload.js";
import type { QueueLayout } from "../driver/guest-layout.js";
import { NetWorkload } from "../driver/net-workload.js";
import { NullWorkload } from "../driver/null-workload.js";
import type { Workload } from "../driver/workload.js";
import { COUNTER_BLOCKS } from "../machine/arena.js";
import { guestLayout, makeDevice, makeDriver, makeRelay, type RelayOutside } from "../machine/assemble.js";
import type { MachineConfig } from "../machine/config.js";
import { DoubledUsed, type FaultPlan, flipByte, LossyCall, LossyLog, SlowNotifier } from "../machine/faults.js";
import { deviceViews, driverViews, relayViews } from "../machine/views.js";
import { PAGE_SHIFT } from "../memory/address.js";
import type { Notifier } from "../memory/bell.js";
import type { GuestMemory } from "../memory/guest-memory.js";
import { MirroredMemory } from "../memory/mirrored-memory.js";
import { RealMemory } from "../memory/real-memory.js";
import type { Role } from "../memory/role.js";
import type { SharedMemory } from "../memory/shared-memory.js";
import type { Accounting } from "../ring/driver-ring.js";
import { counterBlock } from "../telemetry/counters.js";
import { LatencyRecorder } from "../telemetry/latency-recorder.js";
import type { ControlPort } from "./control-port.js";
import { DriverTask } from "./driver-task.js";
import type { Command, DeviceStart, DriverStart, RelayStart } from "./messages.js";

/** One role with all that its thread does for it. */
export interface Station {
  readonly role: Role;
  readonly counters: Float64Array;
  /** Carries out a command that is for this role. */
  obey(command: Command): void;
  /** Notices what happened between steps. */
  notice(): void;
  /** Where the descriptors of its rings are. */
  accounting(): Accounting[];
  /** Lets go of files. */
  close(): void;
}

/** The driver's station: its workload, its clock, the jobs it is given. */
export function driverStation(start: DriverStart, control: ControlPort, now: () => number = nowNs): Station {
  const { config, mirror } = start;
  const views = driverViews(start.share);
  const regions = views.regions.map((region, i) => {
    const copy = mirror?.[i];
    return copy === undefined ? region : { ...region, memory: new MirroredMemory(region.memory, new RealMemory(copy)) };
  });
  const latency = new LatencyRecorder(start.latency);
  let workload: Workload | undefined;
  const driver = makeDriver(
    config,
    { ...views, regions },
    {
      workload: (layouts, guest) => {
        workload = makeWorkload(start, layouts, guest);
        return workload;
      },
      now,
      recordLatency: (ns) => latency.record(ns),
      wrapKick: config.exitNs === 0 ? undefined : (kick) => new SlowNotifier(kick, config.exitNs, now),
    },
  );
  const task = new DriverTask(driver, workload!, control, now);
  return {
    role: driver,
    counters: views.counters,
    obey: (command) => task.obey(command),
    notice: () => task.notice(),
    accounting: () => driver.accounting(),
    close: () => {},
  };
}

/** The relay's station: changes of data path, faults of peers. */
export function relayStation(start: RelayStart, control: ControlPort): Station {
  const { config } = start;
  const views = relayViews(start.share, config.placement);
  const relay = makeRelay(config, views, relayFault(config, start.fault, start.share.counters));
  let offered = false;
  let told = false;
  let faults = 0;
  return {
    role: relay,
    counters: views.counters,
    obey: (command) => {
      if (command.kind !== "path") return;
      relay.requestPath(command.path);
      told = true;
    },
    notice: () => {
      if (!offered && relay.state.offered === 1) {
        offered = true;
        control.send({ kind: "offered", refusals: relay.refusals.map(({ name, why }) => `${name}: ${why}`) });
      }
      for (; faults < relay.faults.length; faults++) {
        control.send({ kind: "peer-fault", role: "relay", message: relay.faults[faults]!.message });
      }
      if (!told || relay.switching) return;
      told = false;
      control.send({ kind: "switched", path: relay.path });
    },
    accounting: () => relay.accounting(),
    close: () => {},
  };
}

/** The device's station: its model, its image. */
export function deviceStation(start: DeviceStart, control: ControlPort): Station {
  const { config, fault } = start;
  const views = deviceViews(start.share, config.placement);
  const model = makeModel(start);
  const device = makeDevice(config, views, {
    model,
    witness: makeWitness(start, views.backings),
    ...deviceFault(config, fault, start.share.counters),
  });
  let told = false;
  return {
    role: device,
    counters: views.counters,
    obey: () => {},
    notice: () => {
      if (told || !(model instanceof BlkDevice) || model.hostError === undefined) return;
      told = true;
      control.send({ kind: "host-error", message: `${start.image?.path}: ${model.hostError.message}` });
    },
    accounting: () => [],
    close: () => model.close(),
  };
}

function makeWorkload(start: DriverStart, layouts: readonly QueueLayout[], guest: GuestMemory): Workload {
  const { config } = start;
  const context = {
    guest,
    slots: layouts.flatMap(({ slots }) => slots),
    requestBytes: config.requestBytes,
    segments: config.segments,
    input: new Uint8Array(start.input, 0, start.inputBytes),
    poison: start.mirror !== undefined,
  };
  if (config.device === "blk") return new BlkWorkload(context);
  return config.device === "net" ? new NetWorkload(context) : new NullWorkload(context, config.nullRequests);
}

function makeModel({ config, image }: DeviceStart): DeviceModel {
  if (config.device === "net") return new NetDevice();
  if (config.device === "null") return new NullDevice();
  if (image === undefined) throw new Error("a blk device needs an image");
  return new BlkDevice(image.path, image.bytes);
}

/** Stamps the pages a device writes, and spoils a byte where that is the fault. */
function makeWitness({ stamps, fault }: DeviceStart, backings: readonly SharedMemory[]): WriteWitness | undefined {
  const flip = fault?.kind === "flip-byte" ? flipByte(fault.at) : undefined;
  if (stamps === undefined) return flip;
  const tables = new Map(stamps.map((buffer, i) => [backings[i]!, new Int32Array(buffer)]));
  return (memory, offset, bytes) => {
    const table = tables.get(memory);
    if (table !== undefined && bytes > 0) {
      for (let page = offset >>> PAGE_SHIFT; page <= (offset + bytes - 1) >>> PAGE_SHIFT; page++) table[page]! += 1;
    }
    flip?.(memory, offset, bytes);
  };
}

function relayFault(config: MachineConfig, fault: FaultPlan | undefined, counters: SharedArrayBuffer): RelayOutside {
  const queue = fault === undefined ? undefined : guestLayout(config)[0]!;
  switch (fault?.kind) {
    case "drop-mark":
      return {
        wrapLog: (log) =>
          new LossyLog(
            log,
            queue!.slots.map((slot) => slot.in),
            fault.at,
          ),
      };
    case "lose-call":
      return { wrapCall: lossyCall(fault, counters) };
    case "double-used":
      return {
        wrapGuest: (memory, region) =>
          region === 0 ? new DoubledUsed(memory, queue!.used, queue!.avail, config.queueSize, fault.at) : memory,
      };
    default:
      return {};
  }
}

function deviceFault(config: MachineConfig, fault: FaultPlan | undefined, counters: SharedArrayBuffer) {
  // A device whose completions go through the relay is not the one to break: the relay would see through it.
  if (config.path !== "passthrough" && config.path !== "notify") return {};
  if (fault?.kind === "lose-call" && config.path === "passthrough") return { wrapCall: lossyCall(fault, counters) };
  if (fault?.kind !== "double-used") return {};
  const { avail } = guestLayout(config)[0]!;
  return {
    wrapUsed: (memory: SharedMemory, used: number, num: number) => new DoubledUsed(memory, used, avail, num, fault.at),
  };
}

function lossyCall(fault: FaultPlan, counters: SharedArrayBuffer) {
  const driver = counterBlock(counters, COUNTER_BLOCKS.driver);
  return (call: Notifier, queue: number) => (queue === 0 ? new LossyCall(call, driver, fault.at) : call);
}

function nowNs(): number {
  return performance.now() * 1e6;
}
