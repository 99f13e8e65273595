import { VHOST_F_LOG_ALL } from "../layout/vhost.js";
import * as vu from "../layout/vhost-user.js";
import { featureBit, VIRTIO_F_ACCESS_PLATFORM } from "../layout/virtio-config.js";
import { isQueueSize } from "../layout/virtio-ring.js";
import { isReply, type Message, needsReply } from "./codec.js";
import { decodeMemRegion, decodeMemTable, demandRoom, findRegion } from "./memory-regions.js";
import { demand, MessageFault, type MessageOutcome } from "./message-fault.js";
import {
  decodeBits,
  decodeConfig,
  decodeInflight,
  decodeLog,
  decodeU64,
  decodeVringAddr,
  decodeVringFile,
  decodeVringState,
  type VringAddr,
} from "./payloads.js";
import { type Channel, type MessageRule, messageRule, type PayloadKind, type Range, requestName } from "./requests.js";
import type { RingSession, Session } from "./session.js";

/**
 * Holds a request against the table and the session: the fault, or undefined when it is legal.
 *
 * After a request that passes, its decoder throws nothing. The session is not changed.
 */
export function checkMessage(
  message: Message<unknown>,
  session: Session,
  channel: Channel = "front-end",
): MessageFault | undefined {
  return faultOf(() => {
    demand(!isReply(message), "reply-in-request", `${requestName(message.request, channel)} as a reply`);
    const rule = messageRule(message.request, channel);
    if (rule === undefined) throw new MessageFault("request-unknown", `request ${message.request}`);
    demandNegotiated(rule, session);
    demandWithin(rule.sizes, message.payload.length, "size-mismatch", `${rule.name} with bytes of payload:`);
    demandWithin(rule.fds, message.fds.length, "fd-count", `${rule.name} with descriptors:`);
    demand(rule.legal in OWNERLESS || session.owner, "wrong-state", `${rule.name} before VHOST_USER_SET_OWNER`);
    const anyRunning = session.rings.some(({ running }) => running);
    demand(rule.legal !== "rings-stopped" || !anyRunning, "wrong-state", `${rule.name} while a queue runs`);
    CONTENT[rule.payload](message, rule, session);
  });
}

/** Holds a reply against the request that it answers: the fault, or undefined. */
export function checkReply(
  reply: Message<unknown>,
  request: Pick<Message<unknown>, "request" | "payload">,
  channel: Channel = "front-end",
): MessageFault | undefined {
  return faultOf(() => {
    const name = requestName(request.request, channel);
    demand(isReply(reply), "reply-missing", `${requestName(reply.request, channel)} in place of a reply to ${name}`);
    const other = requestName(reply.request, channel);
    demand(reply.request === request.request, "reply-request", `a reply to ${other}, not to ${name}`);
    const rule = messageRule(request.request, channel);
    const body = rule?.reply === "always" ? rule.body : undefined;
    demandWithin(body?.sizes ?? { min: 8, max: 8 }, reply.payload.length, "reply-size", `a reply to ${name} of bytes:`);
    const { length } = reply.payload;
    const same = body?.payload !== "config" || length === 0 || length === request.payload.length;
    demand(same, "reply-size", `a reply to ${name} of ${length} bytes for ${request.payload.length}`);
    demandWithin(
      body?.fds ?? { min: 0, max: 0 },
      reply.fds.length,
      "reply-fds",
      `a reply to ${name} with descriptors:`,
    );
  });
}

/** Whether a request gets a reply: always, or because it asks for one and REPLY_ACK is agreed. */
export function awaitsReply(message: Message<unknown>, session: Session, channel: Channel = "front-end"): boolean {
  if (messageRule(message.request, channel)?.reply === "always") return true;
  const acked = session.protocolFeaturesAcked ?? 0n;
  return needsReply(message) && (acked & featureBit(vu.VHOST_USER_PROTOCOL_F_REPLY_ACK)) !== 0n;
}

/** What to do about a message that has a fault: send an error code as reply, or close the connection. */
export function faultAction(
  fault: MessageFault,
  message: Message<unknown>,
  session: Session,
  channel: Channel = "front-end",
): MessageOutcome {
  const body = messageRule(message.request, channel)?.reply === "always";
  return fault.outcome === "error-reply" && !body && awaitsReply(message, session, channel) ? "error-reply" : "close";
}

const OWNERLESS = { any: 0, features: 0, "protocol-features": 0 };

function faultOf(check: () => void): MessageFault | undefined {
  try {
    check();
    return undefined;
  } catch (fault) {
    if (fault instanceof MessageFault) return fault;
    throw fault;
  }
}

function demandNegotiated(rule: MessageRule, session: Session): void {
  const { protocolFeature, gate, name, request, channel } = rule;
  if (protocolFeature !== undefined) {
    const bits = gate === "offered" ? session.protocolFeaturesOffered : (session.protocolFeaturesAcked ?? 0n);
    demand(
      (bits & featureBit(protocolFeature)) !== 0n,
      "not-negotiated",
      `${name} needs protocol feature ${protocolFeature}`,
    );
  }
  if (channel !== "front-end") return;
  const protocol = featureBit(vu.VHOST_USER_F_PROTOCOL_FEATURES);
  const offered = (session.featuresOffered & protocol) !== 0n;
  if (request === vu.VHOST_USER_GET_PROTOCOL_FEATURES || request === vu.VHOST_USER_SET_PROTOCOL_FEATURES) {
    demand(offered, "not-negotiated", `${name} without the offer of protocol features`);
  }
  if (request === vu.VHOST_USER_IOTLB_MSG) {
    const iommu = ((session.featuresAcked ?? 0n) & featureBit(VIRTIO_F_ACCESS_PLATFORM)) !== 0n;
    demand(iommu, "not-negotiated", `${name} without VIRTIO_F_ACCESS_PLATFORM`);
  }
  if (request === vu.VHOST_USER_SET_VRING_ENABLE) {
    // Some front ends agree on protocol features and never acknowledge the bit for them.
    const agreed = ((session.featuresAcked ?? 0n) & protocol) !== 0n || session.protocolFeaturesAcked !== undefined;
    demand(agreed, "not-negotiated", `${name} without protocol features`);
  }
}

type Reason = ConstructorParameters<typeof MessageFault>[0];

function demandWithin({ min, max }: Range, count: number, reason: Reason, what: string): void {
  demand(count >= min && count <= max, reason, `${what} ${count}, not ${min === max ? min : `${min} to ${max}`}`);
}

type ContentCheck = (message: Message<unknown>, rule: MessageRule, session: Session) => void;

/** What each kind of payload must hold beyond its decoder. */
const CONTENT: Readonly<Record<PayloadKind, ContentCheck>> = {
  none: () => {},
  opaque: () => {},
  uuid: () => {},
  deviceState: () => {},
  iotlb: () => {},
  vringArea: () => {},
  bits: checkBits,
  u64: ({ payload, request }, rule) => {
    const value = decodeU64(payload);
    demand(request !== vu.VHOST_USER_SET_STATUS || value <= 0xff, "value-reserved", `${rule.name} to ${value}`);
  },
  vringState: checkVringState,
  vringAddr: ({ payload }, rule, session) => {
    const addr = decodeVringAddr(payload);
    const ring = ringOf(session, addr.index, rule);
    demand(
      !ring.running || sameAreas(addr, ring.addr),
      "wrong-state",
      `${rule.name} moves queue ${addr.index}, which runs`,
    );
  },
  vringFile: ({ payload, fds }, rule, session) => {
    const { index, hasFd } = decodeVringFile(payload);
    ringOf(session, index, rule);
    demand(
      fds.length === (hasFd ? 1 : 0),
      "fd-count",
      `${rule.name} says ${hasFd ? "a" : "no"} descriptor, not ${fds.length}`,
    );
  },
  memTable: ({ payload, fds }, rule, session) => {
    const { length } = decodeMemTable(payload);
    demand(fds.length === length, "fd-count", `${rule.name} of ${length} regions with ${fds.length} descriptors`);
    demand(length <= session.memSlots, "region-count", `${length} regions, at most ${session.memSlots}`);
  },
  memRegion: checkMemRegion,
  log: ({ payload }) => void decodeLog(payload),
  config: ({ payload }) => void decodeConfig(payload),
  inflight: checkInflight,
};

function checkBits({ payload, request }: Message<unknown>, rule: MessageRule, session: Session): void {
  const bits = decodeBits(payload);
  if (rule.legal !== "features" && rule.legal !== "protocol-features") return;
  const features = request === vu.VHOST_USER_SET_FEATURES;
  const offered = features ? session.featuresOffered : session.protocolFeaturesOffered;
  const extra = bits & ~offered;
  demand(extra === 0n, "feature-not-offered", `${rule.name} with 0x${extra.toString(16)}, which was not offered`);
  if (!session.rings.some(({ running }) => running)) return;
  const before = (features ? session.featuresAcked : session.protocolFeaturesAcked) ?? 0n;
  const may = features ? featureBit(VHOST_F_LOG_ALL) : 0n;
  const changed = (bits ^ before) & ~may;
  demand(changed === 0n, "wrong-state", `${rule.name} changes 0x${changed.toString(16)} while a queue runs`);
}

function checkVringState({ payload, request }: Message<unknown>, rule: MessageRule, session: Session): void {
  const { index, num } = decodeVringState(payload);
  const ring = ringOf(session, index, rule);
  demand(rule.legal !== "ring-stopped" || !ring.running, "wrong-state", `${rule.name} for queue ${index}, which runs`);
  if (request === vu.VHOST_USER_SET_VRING_NUM) {
    demand(isQueueSize(num), "ring-size", `queue ${index} of ${num} entries`);
  } else if (request === vu.VHOST_USER_SET_VRING_BASE) {
    demand(num <= 0xffff, "ring-base", `queue ${index} goes on at ${num}`);
  } else if (request === vu.VHOST_USER_SET_VRING_ENABLE || request === vu.VHOST_USER_SET_VRING_ENDIAN) {
    demand(num <= 1, "value-reserved", `${rule.name} with ${num} for queue ${index}`);
  }
}

function checkMemRegion({ payload, request }: Message<unknown>, rule: MessageRule, session: Session): void {
  const region = decodeMemRegion(payload);
  if (request === vu.VHOST_USER_ADD_MEM_REG) {
    demand(
      session.regions.length < session.memSlots,
      "region-count",
      `${rule.name} beyond ${session.memSlots} regions`,
    );
    demandRoom(session.regions, region);
  } else {
    const known = findRegion(session.regions, region) !== undefined;
    demand(known, "region-unknown", `${rule.name} for 0x${region.guestPhysAddr.toString(16)}, which is not there`);
  }
}

function checkInflight({ payload, request }: Message<unknown>, rule: MessageRule, session: Session): void {
  const { mmapSize, numQueues, queueSize } = decodeInflight(payload);
  demand(numQueues <= session.rings.length, "inflight-shape", `${rule.name} for ${numQueues} queues`);
  // A head of 16 bytes a queue, then 16 bytes an entry (protocol text, Inflight I/O tracking, split virtqueue).
  const bytes = numQueues * (16 + 16 * queueSize);
  const fits = request !== vu.VHOST_USER_SET_INFLIGHT_FD || mmapSize >= bytes;
  demand(fits, "inflight-shape", `${rule.name} with ${mmapSize} bytes for ${bytes}`);
}

function ringOf(session: Session, index: number, rule: MessageRule): RingSession {
  const ring = session.rings[index];
  if (ring === undefined)
    throw new MessageFault("ring-index", `${rule.name} for queue ${index} of ${session.rings.length}`);
  return ring;
}

function sameAreas(addr: VringAddr, now: VringAddr | undefined): boolean {
  return addr.desc === now?.desc && addr.used === now.used && addr.avail === now.avail;
}
