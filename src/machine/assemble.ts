import type { Behaviour } from "../device/completions.js";
import { Device } from "../device/device.js";
import type { DeviceModel } from "../device/device-model.js";
import type { WriteWitness } from "../device/mapped-chain.js";
import { DirtyLog } from "../dirty/dirty-log.js";
import { Driver } from "../driver/driver.js";
import { layOutGuest, type QueueLayout } from "../driver/guest-layout.js";
import type { Workload } from "../driver/workload.js";
import { Iotlb, iotlbPlace } from "../iova/iotlb.js";
import { IotlbRing } from "../iova/iotlb-ring.js";
import { IotlbServer } from "../iova/iotlb-server.js";
import type { IovaMapping } from "../iova/iova-tree.js";
import { EventFd, type Notifier } from "../memory/bell.js";
import { GuestMemory } from "../memory/guest-memory.js";
import type { SharedMemory } from "../memory/shared-memory.js";
import { type AddressPlan, planAddresses } from "../relay/address-plan.js";
import type { DataPathName } from "../relay/data-path.js";
import { Relay } from "../relay/relay.js";
import type { RingState } from "../ring/ring-state.js";
import { DeviceTransport } from "../transport/device-transport.js";
import { DriverTransport } from "../transport/driver-transport.js";
import { bellNumbers, guestRegions, IOTLB_OFFSETS, NOTIFIERS, notifierOffset, shadowRingPlaces } from "./arena.js";
import { chainLength, type MachineConfig } from "./config.js";
import type { Bells, DeviceViews, DriverViews, RelayViews } from "./views.js";

/** Stands between a role and a notification, for fault injection and delays. */
type WrapNotifier = (notifier: Notifier, queue: number) => Notifier;

/** Where the guest keeps its rings and buffers; throws ConfigError when its RAM is too small. */
export function guestLayout(config: MachineConfig): QueueLayout[] {
  return layOutGuest(guestRegions(config.ramBytes, config.hole), {
    queues: config.queues,
    num: config.queueSize,
    depth: config.depth,
    chainLength: chainLength(config),
    dataBytes: config.requestBytes + 64,
  });
}

/** Plans the device's address space for a data path; throws ConfigError when the aperture cannot hold it. */
export function addressPlan(config: MachineConfig, path: DataPathName) {
  return planAddresses({
    path,
    policy: path === "used-only" ? "fixed" : config.iovaPolicy,
    aperture: { first: config.apertureFirst, last: config.apertureLast },
    regions: guestRegions(config.ramBytes, config.hole),
    mappings: config.mappings,
    rings: shadowRingPlaces(config),
  });
}

/** What a driver takes from outside. */
export interface DriverOutside {
  readonly workload: (slots: readonly QueueLayout[], guest: GuestMemory) => Workload;
  readonly now: () => number;
  readonly recordLatency: (ns: number) => void;
  readonly wrapKick?: WrapNotifier | undefined;
}

/** Puts a driver together. */
export function makeDriver(config: MachineConfig, views: DriverViews, outside: DriverOutside): Driver {
  const bells = bellNumbers(config.placement);
  const guest = new GuestMemory(views.regions);
  const layouts = guestLayout(config);
  return new Driver({
    transport: new DriverTransport(views.guestRegisters, 0, views.bells[bells.relay]!),
    guest,
    layouts,
    num: config.queueSize,
    workload: outside.workload(layouts, guest),
    depth: config.depth,
    batch: config.batch,
    eventIdx: config.eventIdx,
    indirect: config.indirect,
    kicks: layouts.map((_, queue) => wrapped(outside.wrapKick, notifier(views, queue, NOTIFIERS.guestKick), queue)),
    counters: views.counters,
    now: outside.now,
    recordLatency: outside.recordLatency,
  });
}

/** What a relay takes from outside: what another relay left behind, and what injects faults. */
export interface RelayOutside {
  /** Where the guest's rings stand, by queue, for a relay that takes over a live guest from another. */
  readonly ringStates?: readonly RingState[] | undefined;
  /** Makes the device's address space, where that is not to be the config's. */
  readonly plan?: ((path: DataPathName) => AddressPlan) | undefined;
  readonly wrapKick?: WrapNotifier | undefined;
  readonly wrapCall?: WrapNotifier | undefined;
  readonly wrapLog?: ((memory: SharedMemory) => SharedMemory) | undefined;
  readonly wrapGuest?: ((guest: SharedMemory, region: number) => SharedMemory) | undefined;
}

/** Puts a relay together. */
export function makeRelay(config: MachineConfig, views: RelayViews, outside: RelayOutside = {}): Relay {
  const bells = bellNumbers(config.placement);
  const regions = views.regions.map((region, i) => ({
    ...region,
    memory: outside.wrapGuest?.(region.memory, i) ?? region.memory,
  }));
  const guestMemory = new GuestMemory(regions);
  const toDevice = new IotlbRing(views.iotlb, IOTLB_OFFSETS.toDevice);
  const toRelay = new IotlbRing(views.iotlb, IOTLB_OFFSETS.toRelay);
  const log = new DirtyLog(outside.wrapLog?.(views.log) ?? views.log, 0, guestMemory.end);
  const places = shadowRingPlaces(config);
  const guestSide = new DeviceTransport(views.guestRegisters, 0, views.bells[bells.driver]!, config.queues);
  if (outside.ringStates !== undefined) guestSide.takeOver();
  return new Relay(
    {
      guestSide,
      deviceSide: new DriverTransport(views.deviceRegisters, 0, views.bells[bells.device]!),
      iotlb: new IotlbServer(toDevice, toRelay, views.bells[bells.device]!, (mapping) => placeOf(guestMemory, mapping)),
      guestMemory,
      queues: places.map((place, queue) => ({
        notifiers: {
          guestKick: notifier(views, queue, NOTIFIERS.guestKick),
          guestCall: wrapped(outside.wrapCall, notifier(views, queue, NOTIFIERS.guestCall), queue),
          deviceKick: wrapped(outside.wrapKick, notifier(views, queue, NOTIFIERS.deviceKick), queue),
          deviceCall: notifier(views, queue, NOTIFIERS.deviceCall),
        },
        err: notifier(views, queue, NOTIFIERS.err),
        shadow: { memory: views.shadowRings, place, num: config.shadowQueueSize },
      })),
      bells,
      plan: outside.plan ?? ((path) => addressPlan(config, path)),
      queueSizeMax: config.queueSize,
      log: config.dirtyLog ? log : undefined,
      ringStates: outside.ringStates,
      markPolicy: config.markPolicy,
      counters: views.counters,
    },
    config.path,
  );
}

/** What a device takes from outside. */
export interface DeviceOutside {
  readonly model: DeviceModel;
  /** Whether it goes on for a device that is gone, from the bases in the queues' registers. */
  readonly takesOver?: boolean | undefined;
  /** When it returns what it has served, where that is not to be the config's. */
  readonly behaviour?: Behaviour | undefined;
  readonly witness?: WriteWitness | undefined;
  readonly wrapCall?: WrapNotifier | undefined;
  readonly wrapUsed?: ((memory: SharedMemory, used: number, num: number) => SharedMemory) | undefined;
}

/** Puts a device together; it shows itself to its driver at once. */
export function makeDevice(config: MachineConfig, views: DeviceViews, outside: DeviceOutside): Device {
  const bells = bellNumbers(config.placement);
  const behaviour: Behaviour = {
    order: config.order,
    delaySteps: config.delaySteps,
    batch: config.deviceBatch,
    seed: config.seed,
  };
  const fromRelay = new IotlbRing(views.iotlb, IOTLB_OFFSETS.toDevice);
  const toRelay = new IotlbRing(views.iotlb, IOTLB_OFFSETS.toRelay);
  const queues = Array.from({ length: config.queues }, (_, queue) => queue);
  const transport = new DeviceTransport(views.deviceRegisters, 0, views.bells[bells.relay]!, config.queues);
  if (outside.takesOver === true) transport.takeOver();
  return new Device({
    transport,
    iotlb: new Iotlb(views.iotlbTable, fromRelay, toRelay, views.bells[bells.relay]!, views.backings),
    model: outside.model,
    behaviour: outside.behaviour ?? behaviour,
    calls: queues.map((queue) => [
      wrapped(outside.wrapCall, notifier(views, queue, NOTIFIERS.guestCall), queue),
      notifier(views, queue, NOTIFIERS.deviceCall),
    ]),
    counters: views.counters,
    witness: outside.witness,
    wrapUsed: outside.wrapUsed,
  });
}

function notifier(views: { notifiers: SharedMemory; bells: Bells }, queue: number, which: number): EventFd {
  return new EventFd(views.notifiers, notifierOffset(queue, which), views.bells);
}

function wrapped(wrap: WrapNotifier | undefined, inner: Notifier, queue: number): Notifier {
  return wrap?.(inner, queue) ?? inner;
}

/** Guest mappings never cross a region, since each region is mapped by itself. */
function placeOf(guest: GuestMemory, { target }: IovaMapping): number {
  if (target.kind === "host") return iotlbPlace(target.backing, target.offset);
  const backing = guest.regions.findIndex(({ gpa, bytes }) => target.gpa >= gpa && target.gpa < gpa + bytes);
  return iotlbPlace(backing, target.gpa - guest.regions[backing]!.gpa);
}
