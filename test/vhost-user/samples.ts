import { VHOST_F_LOG_ALL } from "../../src/layout/vhost.js";
import * as vu from "../../src/layout/vhost-user.js";
import { featureBit, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1 } from "../../src/layout/virtio-config.js";
import { gpa } from "../../src/memory/address.js";
import { encodeMessage, type Message, MessageReader } from "../../src/vhost-user/codec.js";
import { encodeMemRegion, encodeMemTable, type MemRegion } from "../../src/vhost-user/memory-regions.js";
import {
  encodeBits,
  encodeConfig,
  encodeInflight,
  encodeLog,
  encodeU64,
  encodeVringAddr,
  encodeVringFile,
  encodeVringState,
} from "../../src/vhost-user/payloads.js";
import { MESSAGE_RULES, type MessageRule, type PayloadKind } from "../../src/vhost-user/requests.js";
import { newSession, type Session } from "../../src/vhost-user/session.js";

/** Two regions such as QEMU sends for a machine with a hole below 4 GiB. */
export const LOW: MemRegion = {
  guestPhysAddr: gpa(0),
  memorySize: 0x8000_0000,
  userspaceAddr: 0x7f00_0000_0000,
  mmapOffset: 0,
};
export const HIGH: MemRegion = {
  guestPhysAddr: gpa(0x1_0000_0000),
  memorySize: 0x4000_0000,
  userspaceAddr: 0x7f00_8000_0000,
  mmapOffset: 0x8000_0000,
};

export const FEATURES =
  featureBit(VHOST_F_LOG_ALL) |
  featureBit(vu.VHOST_USER_F_PROTOCOL_FEATURES) |
  featureBit(VIRTIO_F_VERSION_1) |
  featureBit(VIRTIO_F_ACCESS_PLATFORM);
export const PROTOCOL_FEATURES = (1n << 20n) - 1n;

export const ADDR = {
  index: 1,
  log: 0x3000,
  desc: 0x7f00_0000_1000,
  used: 0x7f00_0000_3000,
  avail: 0x7f00_0000_2000,
};

/** A session of two queues in which everything is offered and agreed, HIGH is mapped and nothing runs. */
export function agreedSession(): Session {
  const session = newSession({
    ringCount: 2,
    features: FEATURES,
    protocolFeatures: PROTOCOL_FEATURES,
    memSlots: 7,
  });
  session.owner = true;
  session.featuresAcked = FEATURES & ~featureBit(VHOST_F_LOG_ALL);
  session.protocolFeaturesAcked = PROTOCOL_FEATURES;
  session.regions = [HIGH];
  return session;
}

/** The same with queue 1 running. */
export function runningSession(): Session {
  const session = agreedSession();
  Object.assign(session.rings[1]!, { num: 256, addr: { ...ADDR, log: undefined }, kick: true, enabled: true });
  session.rings[1]!.running = true;
  return session;
}

const PAYLOADS: Readonly<Record<PayloadKind, () => Uint8Array>> = {
  none: () => new Uint8Array(0),
  opaque: () => new Uint8Array(0),
  bits: () => encodeBits(featureBit(1)),
  u64: () => encodeU64(4),
  vringState: () => encodeVringState({ index: 1, num: 1 }),
  vringAddr: () => encodeVringAddr(ADDR),
  vringFile: () => encodeVringFile({ index: 1, hasFd: true }),
  memTable: () => encodeMemTable([LOW, HIGH]),
  memRegion: () => encodeMemRegion(LOW),
  log: () => encodeLog({ mmapSize: 0x1_0000, mmapOffset: 0 }),
  config: () => encodeConfig({ offset: 0, flags: 0, data: new Uint8Array(57) }),
  inflight: () => encodeInflight({ mmapSize: 0x1_0000, mmapOffset: 0, numQueues: 2, queueSize: 128 }),
  iotlb: () => new Uint8Array(32),
  vringArea: () => new Uint8Array(24),
  uuid: () => new Uint8Array(16),
  deviceState: () => new Uint8Array(8),
};

/** What a row's own payload cannot be taken from its kind. */
const SPECIAL: Readonly<Record<number, () => Uint8Array>> = {
  [vu.VHOST_USER_SET_FEATURES]: () => encodeBits(FEATURES),
  [vu.VHOST_USER_SET_PROTOCOL_FEATURES]: () => encodeBits(PROTOCOL_FEATURES),
  [vu.VHOST_USER_REM_MEM_REG]: () => encodeMemRegion(HIGH),
};

/** A legal message of a row of the table; descriptors are numbers from 100 on. */
export function sampleOf(rule: MessageRule): Message<number> {
  const special = rule.channel === "front-end" ? SPECIAL[rule.request] : undefined;
  const payload = (special ?? PAYLOADS[rule.payload])();
  const count = rule.payload === "memTable" ? 2 : rule.payload === "vringFile" ? 1 : rule.fds.min;
  const fds = Array.from({ length: count }, (_, i) => 100 + i);
  return { request: rule.request, flags: vu.VHOST_USER_VERSION, payload, fds };
}

/** A legal message of the front end. */
export function sample(request: number): Message<number> {
  const rule = MESSAGE_RULES.find((row) => row.channel === "front-end" && row.request === request);
  if (rule === undefined) throw new Error(`no row for request ${request}`);
  return sampleOf(rule);
}

/** The bytes of a message. */
export function bytesOf({ request, flags, payload }: Message<unknown>): Uint8Array {
  return encodeMessage(request, flags, payload);
}

/** Several pieces of bytes in one. */
export function joined(...pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

/** What a fresh reader makes of one piece. */
export function readOnce(bytes: Uint8Array, fds: readonly number[] = [], truncated = false) {
  return new MessageReader<number>().read(bytes, fds, truncated);
}
