import type { DirtyLog } from "../dirty/dirty-log.js";
import { availRingBytes, descTableBytes, usedRingBytes } from "../layout/virtio-ring.js";
import type { GuestMemory, Place } from "../memory/guest-memory.js";
import type { SharedMemory } from "../memory/shared-memory.js";
import { PeerFault } from "../ring/peer-fault.js";
import type { RingState } from "../ring/ring-state.js";
import { checkedAreas, clearRings, type VringAreas } from "../ring/vring-areas.js";
import type { QueueSetup } from "../transport/driver-transport.js";
import type { AddressPlan, ShadowRingPlace } from "./address-plan.js";
import type { DataPath, DataPathName } from "./data-path.js";
import { GuestMarks, type MarkPolicy } from "./guest-marks.js";
import { NotifyRelay, Passthrough, type QueueNotifiers } from "./passthrough.js";
import { ShadowVirtqueue } from "./shadow-virtqueue.js";
import { UsedRelay } from "./used-relay.js";

/** Which EventFd a device signals for used buffers: the guest's own, or the one the relay polls. */
const CALL_GUEST = 0;
const CALL_RELAY = 1;

/** The relay's own ring for one queue. */
export interface ShadowRing {
  readonly memory: SharedMemory;
  readonly place: ShadowRingPlace;
  /** Size of the shadow ring; the guest's own size where 0. */
  readonly num: number;
}

/** All that a data path of one queue is built from. */
export interface PathContext {
  readonly path: DataPathName;
  readonly queue: number;
  /** The queue as the guest set it up; addresses are guest physical. */
  readonly setup: QueueSetup;
  /** Where the guest's ring stands. */
  readonly base: RingState;
  readonly plan: AddressPlan;
  readonly shadow: ShadowRing;
  readonly notifiers: QueueNotifiers;
  readonly guestMemory: GuestMemory;
  readonly log: DirtyLog | undefined;
  readonly markPolicy: MarkPolicy;
  /** Marks of the caller's own, where the log comes and goes while the path runs. */
  readonly marks?: GuestMarks;
  readonly counters: Float64Array;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
}

/** Builds what runs between guest and device; throws PeerFault when the guest's ring cannot be reached. */
export function buildPath(context: PathContext): DataPath {
  const { path, notifiers, counters, guestMemory, indirect, eventIdx } = context;
  const guest = guestAreas(context.setup, guestMemory);
  if (path === "passthrough") return new Passthrough();
  if (path === "notify") return new NotifyRelay(notifiers, counters);
  const marks =
    context.marks ?? new GuestMarks(context.log, context.markPolicy, context.setup.used, guest.num, counters);
  const shadow = shadowAreas(context);
  clearRings(shadow);
  const common = { guest, guestMemory, marks, indirect, guestCall: notifiers.guestCall, counters, start: context.base };
  if (path === "used-only") {
    const { usedIdx } = context.base;
    shadow.usedMemory.publish16(shadow.used + 2, usedIdx);
    return new UsedRelay({ ...common, mediated: { memory: shadow.usedMemory, used: shadow.used } });
  }
  const map = context.plan.tree.guestMap;
  return new ShadowVirtqueue({ ...common, shadow, map, eventIdx, deviceKick: notifiers.deviceKick });
}

/** How the device is to set the queue up for a path. */
export function queueAddresses(context: PathContext): QueueSetup {
  const { path, setup, base, plan, queue } = context;
  const guest = { ...setup, ...base, alwaysCall: false };
  if (path === "passthrough") return { ...guest, call: CALL_GUEST };
  if (path === "notify") return { ...guest, call: CALL_RELAY };
  const iovas = plan.rings[queue]!;
  if (path === "used-only") {
    return { ...translated(context, guest), used: iovas.deviceArea, call: CALL_RELAY, alwaysCall: true };
  }
  const num = shadowNum(context);
  return {
    size: num,
    desc: iovas.driverArea,
    avail: iovas.driverArea + descTableBytes(num),
    used: iovas.deviceArea,
    lastAvailIdx: 0,
    usedIdx: 0,
    call: CALL_RELAY,
    alwaysCall: false,
  };
}

/** The guest's own areas as the device reaches them under the plan. */
function translated(context: PathContext, setup: QueueSetup): QueueSetup {
  const at = (address: number) => context.plan.tree.findByGpa(address as never)!;
  const iova = (address: number) => at(address).iova + (address - (at(address).target as { gpa: number }).gpa);
  return { ...setup, desc: iova(setup.desc), avail: iova(setup.avail) };
}

/** The guest's ring, where the relay reaches it; throws PeerFault for one that lies outside guest memory. */
function guestAreas(setup: QueueSetup, guestMemory: GuestMemory): VringAreas {
  const desc = place(guestMemory, "descriptor table", setup.desc, descTableBytes(setup.size));
  const avail = place(guestMemory, "available ring", setup.avail, availRingBytes(setup.size));
  const used = place(guestMemory, "used ring", setup.used, usedRingBytes(setup.size));
  return checkedAreas({
    num: setup.size,
    descMemory: desc.memory,
    desc: desc.offset,
    availMemory: avail.memory,
    avail: avail.offset,
    usedMemory: used.memory,
    used: used.offset,
  });
}

function shadowAreas(context: PathContext): VringAreas {
  const { memory, place } = context.shadow;
  const num = shadowNum(context);
  return checkedAreas({
    num,
    descMemory: memory,
    desc: place.driverArea.offset,
    availMemory: memory,
    avail: place.driverArea.offset + descTableBytes(num),
    usedMemory: memory,
    used: place.deviceArea.offset,
  });
}

function shadowNum({ shadow, setup, path }: PathContext): number {
  return shadow.num === 0 || path === "used-only" ? setup.size : shadow.num;
}

function place(guestMemory: GuestMemory, what: string, address: number, bytes: number): Place {
  const found = guestMemory.locate(address, bytes);
  if (found === undefined) throw new PeerFault("ring-outside-memory", `${what}: ${bytes} bytes at ${address}`);
  return found;
}
