import * as vu from "../../layout/vhost-user.js";
import { EventFdNotifier } from "../../sys/event-fd.js";
import type { OwnedFd } from "../../sys/fd.js";
import type { Message } from "../../vhost-user/codec.js";
import { decodeMemRegion, decodeMemTable } from "../../vhost-user/memory-regions.js";
import { MessageFault } from "../../vhost-user/message-fault.js";
import {
  decodeBits,
  decodeLog,
  decodeU64,
  decodeVringAddr,
  decodeVringFile,
  decodeVringState,
  encodeBits,
  encodeU64,
  encodeVringState,
} from "../../vhost-user/payloads.js";
import type { LiveQueue } from "./live-queue.js";
import type { VhostDevice } from "./vhost-device.js";

/** What a message does; a payload that it returns goes into the reply. The message has been checked. */
type Answer = (device: VhostDevice, message: Message<OwnedFd>) => unknown;

const EMPTY = new Uint8Array(0);

/** Carries out a message of the front end's that was checked; returns the payload of its reply, if it has one. */
export function answerTo(message: Message<OwnedFd>, device: VhostDevice): Uint8Array | undefined {
  const answer = ANSWERS.get(message.request);
  if (answer === undefined) throw new MessageFault("request-unknown", `request ${message.request} is not carried out`);
  const payload = answer(device, message);
  return payload instanceof Uint8Array ? payload : undefined;
}

/** In the order in which a front end sends them. */
const ANSWERS: ReadonlyMap<number, Answer> = new Map<number, Answer>([
  [vu.VHOST_USER_GET_FEATURES, ({ session }) => encodeBits(session.featuresOffered)],
  [vu.VHOST_USER_GET_PROTOCOL_FEATURES, ({ session }) => encodeBits(session.protocolFeaturesOffered)],
  [vu.VHOST_USER_SET_PROTOCOL_FEATURES, (device, { payload }) => device.setProtocolFeatures(decodeBits(payload))],
  [vu.VHOST_USER_GET_QUEUE_NUM, passOn],
  [vu.VHOST_USER_GET_MAX_MEM_SLOTS, ({ session }) => encodeU64(session.memSlots)],
  [vu.VHOST_USER_SET_OWNER, ({ session }) => void (session.owner = true)],
  [vu.VHOST_USER_RESET_OWNER, (device) => device.stopAll()],
  [vu.VHOST_USER_GET_CONFIG, passOn],
  [vu.VHOST_USER_SET_CONFIG, passOn],
  [vu.VHOST_USER_SET_FEATURES, (device, { payload }) => device.setFeatures(decodeBits(payload))],
  [vu.VHOST_USER_SET_STATUS, setStatus],
  [vu.VHOST_USER_GET_STATUS, passOn],
  [vu.VHOST_USER_RESET_DEVICE, resetDevice],
  [vu.VHOST_USER_NET_SET_MTU, passOn],
  [vu.VHOST_USER_SEND_RARP, passOn],
  [vu.VHOST_USER_SET_MEM_TABLE, setMemTable],
  [vu.VHOST_USER_ADD_MEM_REG, addMemRegion],
  [vu.VHOST_USER_REM_MEM_REG, removeMemRegion],
  [vu.VHOST_USER_SET_LOG_BASE, setLogBase],
  // Written to by nobody: the front end looks at the log when it wants to know.
  [vu.VHOST_USER_SET_LOG_FD, () => {}],
  [vu.VHOST_USER_SET_VRING_NUM, setVringNum],
  [vu.VHOST_USER_SET_VRING_ADDR, setVringAddr],
  [vu.VHOST_USER_SET_VRING_BASE, setVringBase],
  [vu.VHOST_USER_SET_VRING_KICK, setVringKick],
  [vu.VHOST_USER_SET_VRING_CALL, setVringCall],
  [vu.VHOST_USER_SET_VRING_ERR, setVringErr],
  [vu.VHOST_USER_SET_VRING_ENABLE, setVringEnable],
  [vu.VHOST_USER_GET_VRING_BASE, getVringBase],
]);

/** A message that concerns the device itself, not its memory or queues: it goes through as it is. */
function passOn({ back }: VhostDevice, { request, payload }: Message<OwnedFd>): Uint8Array | undefined {
  return back.pass(request, payload);
}

function resetDevice(device: VhostDevice, message: Message<OwnedFd>): void {
  device.stopAll();
  for (const { session } of device.queues) {
    session.enabled = false;
    session.base = 0;
  }
  passOn(device, message);
}

/** A status of 0 resets the device: the back end then gives up queues, and the relay has to before. */
function setStatus(device: VhostDevice, message: Message<OwnedFd>): void {
  if (decodeU64(message.payload) === 0) device.stopAll();
  passOn(device, message);
}

function setMemTable(device: VhostDevice, { payload, fds }: Message<OwnedFd>): void {
  const regions = decodeMemTable(payload);
  device.changeMemory(regions, () =>
    device.table.replace(
      regions,
      fds.map((fd) => fd.move()),
    ),
  );
}

function addMemRegion(device: VhostDevice, { payload, fds }: Message<OwnedFd>): void {
  const region = decodeMemRegion(payload);
  device.changeMemory([region], () => device.table.add(region, fds[0]!.move()));
}

function removeMemRegion(device: VhostDevice, { payload }: Message<OwnedFd>): void {
  device.changeMemory([], () => device.table.remove(decodeMemRegion(payload).guestPhysAddr));
}

function setLogBase(device: VhostDevice, { payload, fds }: Message<OwnedFd>): Uint8Array {
  device.setLog(decodeLog(payload), fds[0]!.move());
  return EMPTY;
}

function setVringNum(device: VhostDevice, { payload }: Message<OwnedFd>): void {
  const { index, num } = decodeVringState(payload);
  device.queues[index]!.session.num = num;
}

function setVringAddr(device: VhostDevice, { payload }: Message<OwnedFd>): void {
  const addr = decodeVringAddr(payload);
  device.setAddress(device.queues[addr.index]!, addr);
}

function setVringBase(device: VhostDevice, { payload }: Message<OwnedFd>): void {
  const { index, num } = decodeVringState(payload);
  device.queues[index]!.session.base = num;
}

/** A queue starts with its kick. */
function setVringKick(device: VhostDevice, message: Message<OwnedFd>): void {
  const { queue, notifier } = queueFile(device, message);
  if (notifier === undefined)
    throw new MessageFault("fd-count", "a queue that is to be polled has no kick to wait for");
  try {
    if (queue.session.running) device.stopQueue(queue);
  } finally {
    queue.kick?.close();
    queue.kick = notifier;
  }
  queue.session.kick = true;
  // Without protocol features a queue is enabled as soon as it starts.
  if (!device.queuesAreEnabledByMessage) queue.session.enabled = true;
  device.startQueue(queue);
}

function setVringCall(device: VhostDevice, message: Message<OwnedFd>): void {
  const { queue, notifier } = queueFile(device, message);
  queue.call?.close();
  queue.call = notifier;
  queue.forwardCall(device.back);
  // A call that the old one swallowed is made up for.
  notifier?.signal();
}

function setVringErr(device: VhostDevice, message: Message<OwnedFd>): void {
  const { queue, notifier } = queueFile(device, message);
  queue.err?.close();
  queue.err = notifier;
}

function setVringEnable(device: VhostDevice, { request, payload }: Message<OwnedFd>): void {
  const { index, num } = decodeVringState(payload);
  const queue = device.queues[index]!;
  queue.session.enabled = num === 1;
  if (!queue.live) return;
  // Some back ends know no such message: what is not enabled is then held back by the shadow queue alone.
  if (device.offer.backHasProtocol) device.back.pass(request, encodeVringState({ index, num }));
  queue.kick?.signal();
}

function getVringBase(device: VhostDevice, { payload }: Message<OwnedFd>): Uint8Array {
  const { index } = decodeVringState(payload);
  const queue = device.queues[index]!;
  device.stopQueue(queue);
  queue.kick?.close();
  queue.kick = undefined;
  return encodeVringState({ index, num: queue.session.base });
}

/** The queue of a message, and the eventfd that came with it. */
function queueFile(device: VhostDevice, { payload, fds }: Message<OwnedFd>): QueueFile {
  const { index, hasFd } = decodeVringFile(payload);
  const notifier = hasFd ? EventFdNotifier.received(fds[0]!.move()) : undefined;
  return { queue: device.queues[index]!, notifier };
}

interface QueueFile {
  readonly queue: LiveQueue;
  readonly notifier: EventFdNotifier | undefined;
}
