import { VHOST_VRING_ADDR, VHOST_VRING_F_LOG, VHOST_VRING_STATE } from "../layout/vhost.js";
import {
  VHOST_SET_CONFIG_TYPE_MIGRATION,
  VHOST_USER_CONFIG,
  VHOST_USER_INFLIGHT,
  VHOST_USER_LOG,
  VHOST_USER_MAX_CONFIG_SIZE,
  VHOST_USER_VRING_IDX_MASK,
  VHOST_USER_VRING_NOFD_MASK,
} from "../layout/vhost-user.js";
import {
  descTableBytes,
  QUEUE_SIZE_MAX,
  VRING_AVAIL_ALIGN_SIZE,
  VRING_DESC_ALIGN_SIZE,
  VRING_USED_ALIGN_SIZE,
} from "../layout/virtio-ring.js";
import { assert } from "../memory/assert.js";
import { demand } from "./message-fault.js";
import { demandSize, hex, readU64, viewOf, writeU64 } from "./wire.js";

/** A queue and a number: its size, its base, or whether it is enabled. */
export interface VringState {
  readonly index: number;
  readonly num: number;
}

/** Where a queue's areas lie in the front end's user addresses. */
export interface VringAddr {
  readonly index: number;
  /** Where in guest memory writes to the used ring are logged; undefined when they are not. */
  readonly log: number | undefined;
  readonly desc: number;
  readonly used: number;
  readonly avail: number;
}

/** A queue, and whether a file descriptor comes along. */
export interface VringFile {
  readonly index: number;
  readonly hasFd: boolean;
}

/** Where the dirty log lies in its file, in bytes. */
export interface LogArea {
  readonly mmapSize: number;
  readonly mmapOffset: number;
}

/** An access to configuration space; `data` are its bytes, of any value in a request to read. */
export interface ConfigAccess {
  readonly offset: number;
  /** VHOST_SET_CONFIG_TYPE_FRONTEND or VHOST_SET_CONFIG_TYPE_MIGRATION. */
  readonly flags: number;
  readonly data: Uint8Array;
}

/** Where the in-flight record lies in its file, in bytes, and for how many queues of which size. */
export interface InflightArea {
  readonly mmapSize: number;
  readonly mmapOffset: number;
  readonly numQueues: number;
  readonly queueSize: number;
}

/** 64 bits that are a set: features. */
export function decodeBits(payload: Uint8Array): bigint {
  demandSize(payload, 8, "a set of bits");
  return viewOf(payload).getBigUint64(0, true);
}

/** The payload of a set of bits, below 2^64. */
export function encodeBits(bits: bigint): Uint8Array {
  assert(bits >= 0n && bits < 1n << 64n, "a set of bits has 64");
  const payload = new Uint8Array(8);
  viewOf(payload).setBigUint64(0, bits, true);
  return payload;
}

/** 64 bits that are a number below 2^53. */
export function decodeU64(payload: Uint8Array): number {
  demandSize(payload, 8, "a number");
  return readU64(viewOf(payload), 0, "the number");
}

/** The payload of a number below 2^53. */
export function encodeU64(value: number): Uint8Array {
  const payload = new Uint8Array(8);
  writeU64(viewOf(payload), 0, value);
  return payload;
}

/** A queue and a number; what the number may be depends on the message. */
export function decodeVringState(payload: Uint8Array): VringState {
  demandSize(payload, VHOST_VRING_STATE.size, "the state of a queue");
  const view = viewOf(payload);
  const { index, num } = VHOST_VRING_STATE.offsets;
  return { index: view.getUint32(index, true), num: view.getUint32(num, true) };
}

/** The payload of a queue and a number. */
export function encodeVringState(state: VringState): Uint8Array {
  const payload = new Uint8Array(VHOST_VRING_STATE.size);
  const view = viewOf(payload);
  view.setUint32(VHOST_VRING_STATE.offsets.index, state.index, true);
  view.setUint32(VHOST_VRING_STATE.offsets.num, state.num, true);
  return payload;
}

/** Where a queue's areas lie: aligned, and not at the end of all addresses; whether memory is there is not said. */
export function decodeVringAddr(payload: Uint8Array): VringAddr {
  demandSize(payload, VHOST_VRING_ADDR.size, "the addresses of a queue");
  const view = viewOf(payload);
  const at = VHOST_VRING_ADDR.offsets;
  const flags = view.getUint32(at.flags, true);
  demand((flags & ~(1 << VHOST_VRING_F_LOG)) === 0, "value-reserved", `queue flags ${hex(flags)}`);
  const logged = (flags & (1 << VHOST_VRING_F_LOG)) !== 0;
  return {
    index: view.getUint32(at.index, true),
    log: logged ? readU64(view, at.log_guest_addr, "the log address of a used ring") : undefined,
    desc: areaAddress(view, at.desc_user_addr, VRING_DESC_ALIGN_SIZE, "descriptor table"),
    used: areaAddress(view, at.used_user_addr, VRING_USED_ALIGN_SIZE, "used ring"),
    avail: areaAddress(view, at.avail_user_addr, VRING_AVAIL_ALIGN_SIZE, "available ring"),
  };
}

/** The payload of a queue's addresses. */
export function encodeVringAddr(addr: VringAddr): Uint8Array {
  const payload = new Uint8Array(VHOST_VRING_ADDR.size);
  const view = viewOf(payload);
  const at = VHOST_VRING_ADDR.offsets;
  view.setUint32(at.index, addr.index, true);
  view.setUint32(at.flags, addr.log === undefined ? 0 : 1 << VHOST_VRING_F_LOG, true);
  writeU64(view, at.desc_user_addr, addr.desc);
  writeU64(view, at.used_user_addr, addr.used);
  writeU64(view, at.avail_user_addr, addr.avail);
  writeU64(view, at.log_guest_addr, addr.log ?? 0);
  return payload;
}

/** The queue of an eventfd, and whether there is one. */
export function decodeVringFile(payload: Uint8Array): VringFile {
  const bits = decodeU64(payload);
  demand(bits <= (VHOST_USER_VRING_IDX_MASK | VHOST_USER_VRING_NOFD_MASK), "value-reserved", `queue bits ${hex(bits)}`);
  return { index: bits & VHOST_USER_VRING_IDX_MASK, hasFd: (bits & VHOST_USER_VRING_NOFD_MASK) === 0 };
}

/** The payload of SET_VRING_KICK, CALL and ERR; `index` is below 256. */
export function encodeVringFile(file: VringFile): Uint8Array {
  assert(file.index >= 0 && file.index <= VHOST_USER_VRING_IDX_MASK, "eight bits name a queue");
  return encodeU64(file.index | (file.hasFd ? 0 : VHOST_USER_VRING_NOFD_MASK));
}

/** Where the dirty log lies: not empty, and its end below 2^53. */
export function decodeLog(payload: Uint8Array): LogArea {
  demandSize(payload, VHOST_USER_LOG.size, "the place of the log");
  const view = viewOf(payload);
  const mmapSize = readU64(view, VHOST_USER_LOG.offsets.mmap_size, "the size of the log");
  const mmapOffset = readU64(view, VHOST_USER_LOG.offsets.mmap_offset, "the offset of the log");
  demand(mmapSize > 0, "log-range", "a log of no bytes");
  demand(Number.isSafeInteger(mmapSize + mmapOffset), "log-range", `a log of ${mmapSize} bytes at ${mmapOffset}`);
  return { mmapSize, mmapOffset };
}

/** The payload of SET_LOG_BASE. */
export function encodeLog({ mmapSize, mmapOffset }: LogArea): Uint8Array {
  const payload = new Uint8Array(VHOST_USER_LOG.size);
  writeU64(viewOf(payload), VHOST_USER_LOG.offsets.mmap_size, mmapSize);
  writeU64(viewOf(payload), VHOST_USER_LOG.offsets.mmap_offset, mmapOffset);
  return payload;
}

/** An access to configuration space, of at least one byte and within VHOST_USER_MAX_CONFIG_SIZE. */
export function decodeConfig(payload: Uint8Array): ConfigAccess {
  const head = VHOST_USER_CONFIG.size;
  demand(payload.length >= head, "size-mismatch", `an access to configuration space of ${payload.length} bytes`);
  const view = viewOf(payload);
  const offset = view.getUint32(VHOST_USER_CONFIG.offsets.offset, true);
  const size = view.getUint32(VHOST_USER_CONFIG.offsets.size, true);
  const flags = view.getUint32(VHOST_USER_CONFIG.offsets.flags, true);
  demandSize(payload, head + size, `an access to ${size} bytes`);
  const fits = size > 0 && offset + size <= VHOST_USER_MAX_CONFIG_SIZE;
  demand(fits, "config-range", `${size} bytes of configuration space at ${offset}`);
  demand(flags <= VHOST_SET_CONFIG_TYPE_MIGRATION, "value-reserved", `flags ${hex(flags)} of configuration space`);
  return { offset, flags, data: payload.slice(head) };
}

/** The payload of GET_CONFIG and SET_CONFIG, in either direction. */
export function encodeConfig({ offset, flags, data }: ConfigAccess): Uint8Array {
  const payload = new Uint8Array(VHOST_USER_CONFIG.size + data.length);
  const view = viewOf(payload);
  view.setUint32(VHOST_USER_CONFIG.offsets.offset, offset, true);
  view.setUint32(VHOST_USER_CONFIG.offsets.size, data.length, true);
  view.setUint32(VHOST_USER_CONFIG.offsets.flags, flags, true);
  payload.set(data, VHOST_USER_CONFIG.offsets.region);
  return payload;
}

/** Where the in-flight record lies: for at least one queue, its end below 2^53; a request to make one has no place. */
export function decodeInflight(payload: Uint8Array): InflightArea {
  const { mmap_size, mmap_offset, num_queues, queue_size } = VHOST_USER_INFLIGHT.offsets;
  // Peers disagree on the padding at the end.
  const sized = payload.length === VHOST_USER_INFLIGHT.size || payload.length === queue_size + 2;
  demand(sized, "size-mismatch", `the place of the in-flight record has ${payload.length} bytes`);
  const view = viewOf(payload);
  const mmapSize = readU64(view, mmap_size, "the size of the in-flight record");
  const mmapOffset = readU64(view, mmap_offset, "the offset of the in-flight record");
  const numQueues = view.getUint16(num_queues, true);
  const queueSize = view.getUint16(queue_size, true);
  const shaped = numQueues > 0 && queueSize > 0 && queueSize <= QUEUE_SIZE_MAX;
  demand(shaped, "inflight-shape", `an in-flight record of ${numQueues} queues of ${queueSize}`);
  const ends = Number.isSafeInteger(mmapSize + mmapOffset);
  demand(ends, "inflight-shape", `an in-flight record of ${mmapSize} bytes at ${mmapOffset}`);
  return { mmapSize, mmapOffset, numQueues, queueSize };
}

/** The payload of GET_INFLIGHT_FD and SET_INFLIGHT_FD, in either direction. */
export function encodeInflight(area: InflightArea): Uint8Array {
  const payload = new Uint8Array(VHOST_USER_INFLIGHT.size);
  const view = viewOf(payload);
  const { mmap_size, mmap_offset, num_queues, queue_size } = VHOST_USER_INFLIGHT.offsets;
  writeU64(view, mmap_size, area.mmapSize);
  writeU64(view, mmap_offset, area.mmapOffset);
  view.setUint16(num_queues, area.numQueues, true);
  view.setUint16(queue_size, area.queueSize, true);
  return payload;
}

function areaAddress(view: DataView, at: number, align: number, area: string): number {
  const address = readU64(view, at, `the address of the ${area}`);
  demand(address % align === 0, "ring-misaligned", `the ${area} at ${hex(address)} is not aligned to ${align}`);
  const ends = Number.isSafeInteger(address + descTableBytes(QUEUE_SIZE_MAX));
  demand(ends, "ring-wraps", `the ${area} at ${hex(address)} passes the end of all addresses`);
  return address;
}
