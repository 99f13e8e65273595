import { describe, expect, it } from "vitest";
import { VHOST_F_LOG_ALL } from "../../src/layout/vhost.js";
import * as vu from "../../src/layout/vhost-user.js";
import { featureBit } from "../../src/layout/virtio-config.js";
import { gpa } from "../../src/memory/address.js";
import { awaitsReply, checkMessage, checkReply, faultAction } from "../../src/vhost-user/check-message.js";
import { encodeAck, encodeMessage, encodeReply, type Message, MessageReader } from "../../src/vhost-user/codec.js";
import { encodeMemRegion, encodeMemTable, type MemRegion } from "../../src/vhost-user/memory-regions.js";
import { MESSAGE_FAULTS, MessageFault, type MessageFaultReason } from "../../src/vhost-user/message-fault.js";
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
import {
  ADDR,
  agreedSession,
  bytesOf,
  FEATURES,
  HIGH,
  joined,
  LOW,
  PROTOCOL_FEATURES,
  readOnce,
  runningSession,
  sample,
} from "./samples.js";

/** A case gives a fault, or undefined when all is well. */
type Case = () => MessageFault | undefined;

const OWNER = encodeMessage(vu.VHOST_USER_SET_OWNER, 0);
const KICK = bytesOf(sample(vu.VHOST_USER_SET_VRING_KICK));

/** Per reason: cases that end in exactly it, and legal neighbours. */
const CASES: Readonly<Record<MessageFaultReason, { bad: readonly Case[]; good: readonly Case[] }>> = {
  "version-unknown": {
    bad: [() => header(1, 0, 0), () => header(1, 2, 0), () => header(1, 3, 0)],
    good: [() => header(1, 1, 0)],
  },
  "flags-reserved": {
    bad: [() => header(1, 0x11, 0), () => header(1, 0x8000_0001, 0)],
    good: [() => header(1, 1 | vu.VHOST_USER_NEED_REPLY_MASK, 0)],
  },
  "reply-in-request": {
    bad: [() => check({ ...sample(vu.VHOST_USER_SET_OWNER), flags: 5 })],
    good: [() => check({ ...sample(vu.VHOST_USER_SET_OWNER), flags: 9 })],
  },
  "size-over-limit": {
    bad: [() => header(1, 1, 4097), () => header(1, 1, 70_000), () => header(1, 1, 0xffff_ffff)],
    good: [() => header(1, 1, 4096)],
  },
  "fds-over-limit": {
    bad: [() => readOnce(KICK, numbers(9)).fault, () => readOnce(KICK, numbers(253)).fault],
    good: [() => readOnce(KICK, numbers(8)).fault],
  },
  "fds-truncated": {
    bad: [() => readOnce(KICK, [1], true).fault, () => readOnce(KICK, [], true).fault],
    good: [() => readOnce(KICK, [1]).fault],
  },
  "fds-mid-message": {
    bad: [() => inTwo(KICK, 1, [], [1]), () => inTwo(KICK, 12, [1], [2]), () => readOnce(new Uint8Array(0), [1]).fault],
    good: [() => inTwo(KICK, 1, [1], []), () => inTwo(joined(OWNER, KICK), 5, [], [1])],
  },
  "stream-cut": {
    bad: [() => ended(KICK.subarray(0, 1)), () => ended(KICK.subarray(0, 12)), () => ended(KICK.subarray(0, 19))],
    good: [() => ended(KICK), () => ended(new Uint8Array(0))],
  },
  "request-unknown": {
    bad: [0, 44, 255, 0xffff_ffff].map((request) => () => check({ ...sample(vu.VHOST_USER_SET_OWNER), request })),
    good: [() => check(sample(vu.VHOST_USER_SET_OWNER))],
  },
  "size-mismatch": {
    bad: [
      () => check(withPayload(vu.VHOST_USER_SET_VRING_NUM, new Uint8Array(7))),
      () => check(withPayload(vu.VHOST_USER_SET_MEM_TABLE, encodeMemTable([LOW, HIGH]).subarray(0, 71))),
      () => check(withPayload(vu.VHOST_USER_SET_MEM_TABLE, joined(encodeMemTable([LOW, HIGH]), Uint8Array.of(0)))),
      () => check(withPayload(vu.VHOST_USER_GET_CONFIG, config(0, 57).subarray(0, 68))),
      () => check(withPayload(vu.VHOST_USER_GET_INFLIGHT_FD, inflight(2, 128).subarray(0, 21))),
    ],
    good: [
      () => check(withPayload(vu.VHOST_USER_GET_CONFIG, config(0, 57))),
      () => check(withPayload(vu.VHOST_USER_GET_INFLIGHT_FD, inflight(2, 128).subarray(0, 20))),
    ],
  },
  "fd-count": {
    bad: [
      () => check({ ...sample(vu.VHOST_USER_SET_OWNER), fds: [1] }),
      () => check({ ...sample(vu.VHOST_USER_SET_MEM_TABLE), fds: [1] }),
      () => check({ ...sample(vu.VHOST_USER_SET_MEM_TABLE), fds: [1, 2, 3] }),
      () => check({ ...sample(vu.VHOST_USER_ADD_MEM_REG), fds: [] }),
      () => check(file(false, [1])),
      () => check(file(true, [])),
    ],
    good: [() => check(file(true, [1])), () => check(file(false, [])), () => check(removeWithFd())],
  },
  "not-negotiated": {
    bad: [
      () => check(sample(vu.VHOST_USER_GET_STATUS), { protocolFeaturesAcked: 0n }),
      () => check(sample(vu.VHOST_USER_GET_STATUS), { protocolFeaturesAcked: undefined }),
      () => check(sample(vu.VHOST_USER_GET_PROTOCOL_FEATURES), { featuresOffered: 0n }),
      () => check(sample(vu.VHOST_USER_SET_PROTOCOL_FEATURES), { featuresOffered: 0n }),
      () => check(enable(1), { featuresAcked: 0n, protocolFeaturesAcked: undefined }),
      () => check(sample(vu.VHOST_USER_IOTLB_MSG), { featuresAcked: 0n }),
    ],
    good: [
      () => check(sample(vu.VHOST_USER_GET_QUEUE_NUM), { owner: false, protocolFeaturesAcked: undefined }),
      () => check(enable(1), { featuresAcked: 0n }),
      () => check(enable(1), { protocolFeaturesAcked: undefined }),
    ],
  },
  "feature-not-offered": {
    bad: [
      () => check(withPayload(vu.VHOST_USER_SET_FEATURES, encodeBits(1n << 34n))),
      () => check(withPayload(vu.VHOST_USER_SET_FEATURES, encodeBits(1n << 63n))),
      () => check(withPayload(vu.VHOST_USER_SET_PROTOCOL_FEATURES, encodeBits(1n << 20n))),
    ],
    good: [() => check(withPayload(vu.VHOST_USER_SET_FEATURES, encodeBits(0n)))],
  },
  "wrong-state": {
    bad: [
      () => check(sample(vu.VHOST_USER_SET_MEM_TABLE), { owner: false }),
      () => running(withPayload(vu.VHOST_USER_SET_VRING_NUM, encodeVringState({ index: 1, num: 128 }))),
      () => running(withPayload(vu.VHOST_USER_SET_VRING_BASE, encodeVringState({ index: 1, num: 0 }))),
      () => running(sample(vu.VHOST_USER_SET_INFLIGHT_FD)),
      () => running(withPayload(vu.VHOST_USER_SET_VRING_ADDR, encodeVringAddr({ ...ADDR, used: ADDR.used + 4096 }))),
      () => running(withPayload(vu.VHOST_USER_SET_FEATURES, encodeBits(0n))),
      () => running(withPayload(vu.VHOST_USER_SET_PROTOCOL_FEATURES, encodeBits(0n))),
    ],
    good: [
      () => check(sample(vu.VHOST_USER_GET_FEATURES), { owner: false }),
      () => running(withPayload(vu.VHOST_USER_SET_VRING_NUM, encodeVringState({ index: 0, num: 128 }))),
      // Logging starts and stops while queues run.
      () => running(sample(vu.VHOST_USER_SET_VRING_ADDR)),
      () => running(withPayload(vu.VHOST_USER_SET_FEATURES, encodeBits(FEATURES))),
      () => running(withPayload(vu.VHOST_USER_SET_FEATURES, encodeBits(FEATURES & ~featureBit(VHOST_F_LOG_ALL)))),
      () => running(withPayload(vu.VHOST_USER_SET_PROTOCOL_FEATURES, encodeBits(PROTOCOL_FEATURES))),
      () => running(sample(vu.VHOST_USER_SET_MEM_TABLE)),
      () => running(sample(vu.VHOST_USER_SET_VRING_CALL)),
      () => running(sample(vu.VHOST_USER_SET_LOG_BASE)),
    ],
  },
  "ring-index": {
    bad: [
      ...[2, 255, 0x8000_0000, 0xffff_ffff].flatMap((index) =>
        [8, 10, 11, 18, 23, 35].map(
          (request) => () => check(withPayload(request, encodeVringState({ index, num: 1 }))),
        ),
      ),
      () => check(withPayload(vu.VHOST_USER_SET_VRING_ADDR, encodeVringAddr({ ...ADDR, index: 2 }))),
      () => check(withPayload(vu.VHOST_USER_SET_VRING_KICK, encodeVringFile({ index: 2, hasFd: true }))),
      () => check(withPayload(vu.VHOST_USER_SET_VRING_CALL, encodeVringFile({ index: 255, hasFd: true }))),
      () => check(withPayload(4, encodeVringState({ index: 2, num: 0 })), {}, "back-end"),
    ],
    good: [8, 10, 11, 18, 23, 35].map(
      (request) => () => check(withPayload(request, encodeVringState({ index: 1, num: 1 }))),
    ),
  },
  "number-over-limit": {
    bad: [
      () => check(withPayload(vu.VHOST_USER_NET_SET_MTU, encodeBits(1n << 53n))),
      ...[0, 8, 16, 24].map((at) => () => check(poked(vu.VHOST_USER_ADD_MEM_REG, 8 + at, 1n << 53n))),
      ...[8, 16, 24, 32].map((at) => () => check(poked(vu.VHOST_USER_SET_VRING_ADDR, at, (1n << 64n) - 4096n))),
      ...[0, 8].map((at) => () => check(poked(vu.VHOST_USER_SET_LOG_BASE, at, 1n << 53n))),
      ...[0, 8].map((at) => () => check(poked(vu.VHOST_USER_SET_INFLIGHT_FD, at, 1n << 53n))),
    ],
    good: [
      () => check(withPayload(vu.VHOST_USER_NET_SET_MTU, encodeU64(2 ** 53 - 1))),
      () => check(notLogged((1n << 64n) - 1n)),
    ],
  },
  "region-count": {
    bad: [
      () => check(table([])),
      () => check(poked(vu.VHOST_USER_SET_MEM_TABLE, 0, 9n)),
      () => check(poked(vu.VHOST_USER_SET_MEM_TABLE, 0, 0xffff_ffffn)),
      () => check(table(apart(8))),
      () => check(add(LOW), { regions: apart(7) }),
    ],
    good: [() => check(table(apart(7))), () => check(table(apart(8)), { memSlots: 8 }), () => check(add(LOW))],
  },
  "region-empty": {
    bad: [() => check(add({ ...LOW, memorySize: 0 })), () => check(table([{ ...LOW, memorySize: 0 }]))],
    good: [() => check(add({ ...LOW, memorySize: 4096 }))],
  },
  "region-wraps": {
    bad: [
      () => check(add({ ...LOW, guestPhysAddr: gpa(END - 4096), memorySize: 8192 })),
      () => check(add({ ...LOW, userspaceAddr: END - 4096, memorySize: 8192 })),
      () => check(add({ ...LOW, mmapOffset: END - 4096, memorySize: 8192 })),
    ],
    good: [() => check(add({ ...LOW, guestPhysAddr: gpa(END - 8192), memorySize: 4096 }))],
  },
  "region-misaligned": {
    bad: [
      () => check(add({ ...LOW, guestPhysAddr: gpa(1) })),
      () => check(add({ ...LOW, memorySize: 4097 })),
      () => check(add({ ...LOW, userspaceAddr: LOW.userspaceAddr + 8 })),
      () => check(add({ ...LOW, mmapOffset: 2048 })),
    ],
    good: [() => check(add({ ...LOW, mmapOffset: 4096 }))],
  },
  "region-overlap": {
    bad: [
      () => check(table([HIGH, HIGH])),
      () => check(table([LOW, { ...HIGH, guestPhysAddr: gpa(0x8000_0000 - 4096) }])),
      () => check(add({ ...LOW, guestPhysAddr: gpa(HIGH.guestPhysAddr + HIGH.memorySize - 4096) })),
      () => check(add({ ...LOW, guestPhysAddr: gpa(HIGH.guestPhysAddr - LOW.memorySize + 4096) })),
    ],
    good: [
      () => check(table([LOW, { ...HIGH, guestPhysAddr: gpa(0x8000_0000) }])),
      () => check(add({ ...LOW, guestPhysAddr: gpa(HIGH.guestPhysAddr + HIGH.memorySize) })),
      () => check(add({ ...LOW, guestPhysAddr: gpa(HIGH.guestPhysAddr - LOW.memorySize) })),
    ],
  },
  "region-contradiction": {
    bad: [
      () => check(table([LOW, { ...HIGH, userspaceAddr: LOW.userspaceAddr }])),
      () => check(add({ ...LOW, userspaceAddr: HIGH.userspaceAddr - LOW.memorySize + 4096 })),
      () => check(add({ ...LOW, userspaceAddr: HIGH.userspaceAddr + HIGH.memorySize - 4096 })),
    ],
    good: [
      // The same memory at two guest addresses.
      () => check(table([LOW, { ...LOW, guestPhysAddr: HIGH.guestPhysAddr }])),
      () => check(add({ ...LOW, userspaceAddr: HIGH.userspaceAddr - LOW.memorySize, mmapOffset: 0x4000_0000 })),
    ],
  },
  "region-unknown": {
    bad: [
      () => check(remove(LOW)),
      () => check(remove({ ...HIGH, memorySize: HIGH.memorySize - 4096 })),
      () => check(remove({ ...HIGH, userspaceAddr: LOW.userspaceAddr })),
    ],
    good: [() => check(remove(HIGH)), () => check(remove({ ...HIGH, mmapOffset: 0 }))],
  },
  "ring-size": {
    bad: [0, 3, 255, 65_536, 0xffff_ffff].map(
      (num) => () => check(withPayload(vu.VHOST_USER_SET_VRING_NUM, encodeVringState({ index: 0, num }))),
    ),
    good: [1, 128, 256, 32_768].map(
      (num) => () => check(withPayload(vu.VHOST_USER_SET_VRING_NUM, encodeVringState({ index: 0, num }))),
    ),
  },
  "ring-base": {
    bad: [65_536, 0xffff_ffff].map(
      (num) => () => check(withPayload(vu.VHOST_USER_SET_VRING_BASE, encodeVringState({ index: 0, num }))),
    ),
    good: [0, 65_535].map(
      (num) => () => check(withPayload(vu.VHOST_USER_SET_VRING_BASE, encodeVringState({ index: 0, num }))),
    ),
  },
  "ring-misaligned": {
    bad: [
      () => check(withPayload(vu.VHOST_USER_SET_VRING_ADDR, encodeVringAddr({ ...ADDR, desc: ADDR.desc + 8 }))),
      () => check(withPayload(vu.VHOST_USER_SET_VRING_ADDR, encodeVringAddr({ ...ADDR, used: ADDR.used + 2 }))),
      () => check(withPayload(vu.VHOST_USER_SET_VRING_ADDR, encodeVringAddr({ ...ADDR, avail: ADDR.avail + 1 }))),
    ],
    good: [
      () => check(withPayload(vu.VHOST_USER_SET_VRING_ADDR, encodeVringAddr({ ...ADDR, desc: ADDR.desc + 16 }))),
      () => check(withPayload(vu.VHOST_USER_SET_VRING_ADDR, encodeVringAddr({ ...ADDR, used: ADDR.used + 4 }))),
      () => check(withPayload(vu.VHOST_USER_SET_VRING_ADDR, encodeVringAddr({ ...ADDR, avail: ADDR.avail + 2 }))),
    ],
  },
  "ring-wraps": {
    bad: [8, 16, 24].map((at) => () => check(poked(vu.VHOST_USER_SET_VRING_ADDR, at, (1n << 53n) - 4096n))),
    good: [8, 16, 24].map((at) => () => check(poked(vu.VHOST_USER_SET_VRING_ADDR, at, (1n << 53n) - (1n << 20n)))),
  },
  "value-reserved": {
    bad: [
      () => check(poked(vu.VHOST_USER_SET_VRING_ADDR, 0, 1n | (2n << 32n))),
      () => check(withPayload(vu.VHOST_USER_SET_VRING_KICK, encodeU64(0x200))),
      () => check(withPayload(vu.VHOST_USER_SET_VRING_KICK, encodeU64(2 ** 32))),
      () => check(enable(2)),
      () => check(withPayload(vu.VHOST_USER_SET_VRING_ENDIAN, encodeVringState({ index: 0, num: 2 }))),
      () =>
        check(withPayload(vu.VHOST_USER_SET_CONFIG, encodeConfig({ offset: 0, flags: 2, data: new Uint8Array(1) }))),
      () => check(withPayload(vu.VHOST_USER_SET_STATUS, encodeU64(256))),
    ],
    good: [
      () => check(enable(0)),
      () =>
        check(withPayload(vu.VHOST_USER_SET_CONFIG, encodeConfig({ offset: 0, flags: 1, data: new Uint8Array(1) }))),
      () => check(withPayload(vu.VHOST_USER_SET_STATUS, encodeU64(255))),
    ],
  },
  "log-range": {
    bad: [
      () => check(withPayload(vu.VHOST_USER_SET_LOG_BASE, encodeLog({ mmapSize: 0, mmapOffset: 0 }))),
      () => check(withPayload(vu.VHOST_USER_SET_LOG_BASE, encodeLog({ mmapSize: 4096, mmapOffset: END - 1 }))),
    ],
    good: [() => check(withPayload(vu.VHOST_USER_SET_LOG_BASE, encodeLog({ mmapSize: 1, mmapOffset: 0 })))],
  },
  "config-range": {
    bad: [
      () => check(withPayload(vu.VHOST_USER_GET_CONFIG, config(0, 0))),
      () => check(withPayload(vu.VHOST_USER_GET_CONFIG, config(200, 57))),
      () => check(withPayload(vu.VHOST_USER_GET_CONFIG, config(0xffff_ffff, 1))),
    ],
    good: [
      () => check(withPayload(vu.VHOST_USER_GET_CONFIG, config(0, 256))),
      () => check(withPayload(vu.VHOST_USER_GET_CONFIG, config(199, 57))),
    ],
  },
  "inflight-shape": {
    bad: [
      () => check(withPayload(vu.VHOST_USER_SET_INFLIGHT_FD, inflight(0, 128))),
      () => check(withPayload(vu.VHOST_USER_SET_INFLIGHT_FD, inflight(2, 0))),
      () => check(withPayload(vu.VHOST_USER_SET_INFLIGHT_FD, inflight(3, 128))),
      () => check(withPayload(vu.VHOST_USER_SET_INFLIGHT_FD, inflight(2, 32_769))),
      () => check(withPayload(vu.VHOST_USER_SET_INFLIGHT_FD, inflight(2, 128, 2 * 16 * 129 - 1))),
      () => check(withPayload(vu.VHOST_USER_SET_INFLIGHT_FD, inflight(2, 128, 0x1_0000, END - 1))),
    ],
    good: [
      () => check(withPayload(vu.VHOST_USER_SET_INFLIGHT_FD, inflight(2, 128, 2 * 16 * 129))),
      // A request to make one says no size.
      () => check(withPayload(vu.VHOST_USER_GET_INFLIGHT_FD, inflight(2, 128, 0))),
    ],
  },
  "reply-missing": {
    bad: [() => reply(OWNER, vu.VHOST_USER_SET_OWNER)],
    good: [() => reply(encodeAck(vu.VHOST_USER_SET_OWNER, true), vu.VHOST_USER_SET_OWNER)],
  },
  "reply-request": {
    bad: [() => reply(encodeAck(vu.VHOST_USER_SET_OWNER, true), vu.VHOST_USER_SET_MEM_TABLE)],
    good: [() => reply(encodeAck(vu.VHOST_USER_SET_MEM_TABLE, false), vu.VHOST_USER_SET_MEM_TABLE)],
  },
  "reply-size": {
    bad: [
      () => reply(encodeReply(vu.VHOST_USER_SET_MEM_TABLE), vu.VHOST_USER_SET_MEM_TABLE),
      () => reply(encodeReply(vu.VHOST_USER_GET_FEATURES, new Uint8Array(4)), vu.VHOST_USER_GET_FEATURES),
      () => reply(encodeReply(vu.VHOST_USER_GET_CONFIG, config(0, 56)), vu.VHOST_USER_GET_CONFIG),
    ],
    good: [
      () => reply(encodeReply(vu.VHOST_USER_GET_FEATURES, new Uint8Array(8)), vu.VHOST_USER_GET_FEATURES),
      () => reply(encodeReply(vu.VHOST_USER_GET_CONFIG, config(0, 57)), vu.VHOST_USER_GET_CONFIG),
      // The back end could not read its configuration space.
      () => reply(encodeReply(vu.VHOST_USER_GET_CONFIG), vu.VHOST_USER_GET_CONFIG),
      () => reply(encodeReply(vu.VHOST_USER_SET_LOG_BASE), vu.VHOST_USER_SET_LOG_BASE),
      () => reply(encodeReply(vu.VHOST_USER_SET_LOG_BASE, new Uint8Array(8)), vu.VHOST_USER_SET_LOG_BASE),
    ],
  },
  "reply-fds": {
    bad: [
      () => reply(encodeAck(vu.VHOST_USER_SET_OWNER, true), vu.VHOST_USER_SET_OWNER, [1]),
      () => reply(encodeReply(vu.VHOST_USER_GET_INFLIGHT_FD, inflight(2, 128)), vu.VHOST_USER_GET_INFLIGHT_FD),
    ],
    good: [
      () => reply(encodeReply(vu.VHOST_USER_GET_INFLIGHT_FD, inflight(2, 128)), vu.VHOST_USER_GET_INFLIGHT_FD, [1]),
    ],
  },
};

const END = 2 ** 53;

describe.each(Object.entries(CASES))("%s", (reason, { bad, good }) => {
  it("is what exactly these cases end in", () => {
    expect(bad.length).toBeGreaterThan(0);
    expect(bad.map((run) => run()?.reason)).toEqual(bad.map(() => reason));
  });

  it("has legal neighbours", () => {
    expect(good.length).toBeGreaterThan(0);
    expect(good.map((run) => run()?.message)).toEqual(good.map(() => undefined));
  });
});

describe("MessageFault", () => {
  it("says its reason first, and what it costs", () => {
    const fault = new MessageFault("ring-index", "queue 9 of 2");
    expect([fault.name, fault.message, fault.outcome]).toEqual([
      "MessageFault",
      "ring-index: queue 9 of 2",
      "error-reply",
    ]);
  });

  it("has a case for each reason of the list", () => {
    expect(Object.keys(CASES).sort()).toEqual(Object.keys(MESSAGE_FAULTS).sort());
  });
});

describe("awaitsReply() and faultAction()", () => {
  const plain = sample(vu.VHOST_USER_SET_VRING_NUM);
  const asking = { ...plain, flags: 9 };
  const fault = new MessageFault("ring-size", "");

  it("reply to who asks, once REPLY_ACK is agreed", () => {
    expect([plain, asking].map((message) => awaitsReply(message, agreedSession()))).toEqual([false, true]);
    expect(awaitsReply(asking, { ...agreedSession(), protocolFeaturesAcked: 0n })).toBe(false);
    expect(awaitsReply(asking, { ...agreedSession(), protocolFeaturesAcked: undefined })).toBe(false);
  });

  it("always reply where the reply has a body", () => {
    expect(awaitsReply(sample(vu.VHOST_USER_GET_FEATURES), { ...agreedSession(), protocolFeaturesAcked: 0n })).toBe(
      true,
    );
  });

  it("answer a fault with an error only if the stream is in step and the sender asked for a code", () => {
    expect(faultAction(fault, asking, agreedSession())).toBe("error-reply");
    expect(faultAction(fault, plain, agreedSession())).toBe("close");
    expect(faultAction(new MessageFault("reply-in-request", ""), asking, agreedSession())).toBe("close");
    expect(faultAction(fault, { ...sample(vu.VHOST_USER_GET_VRING_BASE), flags: 9 }, agreedSession())).toBe("close");
  });
});

function check(message: Message<number>, more: object = {}, channel: "front-end" | "back-end" = "front-end") {
  return checkMessage(message, { ...agreedSession(), ...more }, channel);
}

function running(message: Message<number>) {
  return checkMessage(message, runningSession());
}

function reply(bytes: Uint8Array, request: number, fds: readonly number[] = []) {
  const { messages } = readOnce(bytes, fds);
  return checkReply(messages[0]!, sample(request));
}

function header(request: number, flags: number, size: number): MessageFault | undefined {
  const bytes = new Uint8Array(12);
  new Uint32Array(bytes.buffer).set([request, flags, size]);
  return readOnce(bytes).fault;
}

function inTwo(bytes: Uint8Array, cut: number, first: readonly number[], second: readonly number[]) {
  const reader = new MessageReader<number>();
  return reader.read(bytes.subarray(0, cut), first).fault ?? reader.read(bytes.subarray(cut), second).fault;
}

function ended(bytes: Uint8Array) {
  const reader = new MessageReader<number>();
  return reader.read(bytes).fault ?? reader.end();
}

function numbers(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}

function withPayload(request: number, payload: Uint8Array): Message<number> {
  return { ...sample(request), payload };
}

/** A legal message with 64 bits of its payload replaced. */
function poked(request: number, at: number, value: bigint): Message<number> {
  const { payload } = sample(request);
  new DataView(payload.buffer).setBigUint64(at, value, true);
  return withPayload(request, payload);
}

function notLogged(log: bigint): Message<number> {
  const { payload } = poked(vu.VHOST_USER_SET_VRING_ADDR, 32, log);
  payload[4] = 0;
  return withPayload(vu.VHOST_USER_SET_VRING_ADDR, payload);
}

function file(hasFd: boolean, fds: readonly number[]): Message<number> {
  return { ...withPayload(vu.VHOST_USER_SET_VRING_CALL, encodeVringFile({ index: 0, hasFd })), fds };
}

function enable(num: number): Message<number> {
  return withPayload(vu.VHOST_USER_SET_VRING_ENABLE, encodeVringState({ index: 0, num }));
}

function add(region: MemRegion): Message<number> {
  return withPayload(vu.VHOST_USER_ADD_MEM_REG, encodeMemRegion(region));
}

function remove(region: MemRegion): Message<number> {
  return withPayload(vu.VHOST_USER_REM_MEM_REG, encodeMemRegion(region));
}

function removeWithFd(): Message<number> {
  return { ...remove(HIGH), fds: [1] };
}

function table(regions: readonly MemRegion[]): Message<number> {
  const payload = regions.length > 0 ? encodeMemTable(regions) : new Uint8Array(8);
  return { ...withPayload(vu.VHOST_USER_SET_MEM_TABLE, payload), fds: numbers(Math.max(regions.length, 1)) };
}

/** Regions that do not touch. */
function apart(count: number): MemRegion[] {
  return numbers(count).map((i) => ({
    guestPhysAddr: gpa((i + 8) * 2 ** 32),
    memorySize: 4096,
    userspaceAddr: (i + 8) * 2 ** 32,
    mmapOffset: 0,
  }));
}

function config(offset: number, size: number): Uint8Array {
  return encodeConfig({ offset, flags: 0, data: new Uint8Array(size) });
}

function inflight(numQueues: number, queueSize: number, mmapSize = 0x1_0000, mmapOffset = 0): Uint8Array {
  return encodeInflight({ mmapSize, mmapOffset, numQueues, queueSize });
}
