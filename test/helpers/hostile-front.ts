import { openSync } from "node:fs";
import * as vu from "../../src/layout/vhost-user.js";
import { gpa } from "../../src/memory/address.js";
import { EventFdNotifier } from "../../src/sys/event-fd.js";
import { closeAll, OwnedFd } from "../../src/sys/fd.js";
import { map } from "../../src/sys/mapping.js";
import { createMemfd } from "../../src/sys/memfd.js";
import { SocketFault, UnixSocket } from "../../src/sys/unix-socket.js";
import { encodeMessage, MessageReader } from "../../src/vhost-user/codec.js";
import { encodeMemRegion, encodeMemTable } from "../../src/vhost-user/memory-regions.js";
import {
  encodeLog,
  encodeU64,
  encodeVringAddr,
  encodeVringFile,
  encodeVringState,
} from "../../src/vhost-user/payloads.js";
import { seeded } from "../iova/seeded.js";

type Random = (limit: number) => number;

/** Bytes and descriptors as they are sent. */
interface Sent {
  readonly bytes: Uint8Array;
  readonly fds: readonly OwnedFd[];
}

/** How a sequence ended: with an answer to a last question, with a closed connection, or cut off by this side. */
export type SequenceEnd = "answered" | "closed" | "cut";

const RAM_BYTES = 1 << 20;
const RAM_AT = 1 << 20;
const USER_AT = 0x7000_0000_0000;
const RINGS = 4;
const PATIENCE_MS = 20_000;
/** After that long without an answer, a message that was begun may be what is waited for. */
const UNASKED_MS = 300;
const NEED_REPLY = vu.VHOST_USER_NEED_REPLY_MASK;

/** A front end that speaks vhost-user, and now and then something else; the same for the same seed. */
export class HostileFront {
  readonly #path: string;
  readonly #ram = createMemfd("hostile-ram", RAM_BYTES);
  readonly #mapping = map(this.#ram, RAM_BYTES, 0, { prot: "read-write" });
  readonly #words = new Uint32Array(this.#mapping.windows[0]!.buffer);
  readonly #kick = EventFdNotifier.create();
  readonly #log = createMemfd("hostile-log", 1 << 16);
  /** Descriptors that are wrong nearly everywhere. */
  readonly #odd: readonly OwnedFd[];
  /** Messages that were sent so far. */
  messages = 0;

  constructor(path: string) {
    this.#path = path;
    const [one, other] = UnixSocket.pair();
    this.#odd = [
      one.take(),
      other.take(),
      createMemfd("short", 4096),
      new OwnedFd(openSync("/dev/zero", "r+")),
      new OwnedFd(openSync("/dev/null", "r+")),
      new OwnedFd(openSync(new URL(import.meta.url).pathname, "r")),
      new OwnedFd(openSync("/tmp", "r")),
      new OwnedFd(openSync("/proc/self/status", "r")),
    ];
  }

  /** Runs one sequence of messages; throws when the other side neither answers nor closes. */
  sequence(seed: number): SequenceEnd {
    const random = seeded(seed * 2654435761 + 97);
    for (let i = 0; i < 4; i++) random(2);
    this.#scribble(random);
    const socket = UnixSocket.connect(this.#path, PATIENCE_MS);
    try {
      for (const { bytes, fds } of this.#script(random)) {
        this.messages += 1;
        if (!send(socket, bytes, fds)) return "closed";
        if (random(3) === 0) this.#kick.signal();
        if (random(40) === 0) this.#scribble(random);
        if (bytes.length === 0 || random(60) === 0) return "cut";
      }
      return asked(socket);
    } finally {
      socket.close();
    }
  }

  /** Sends one message after a legal beginning; returns how that ended. */
  single(request: number, flags: number, payload: Uint8Array, fdCount: number): SequenceEnd {
    const socket = UnixSocket.connect(this.#path, PATIENCE_MS);
    try {
      const raw = encodeMessage(request & 0xff, 0, payload);
      new DataView(raw.buffer).setUint32(0, request, true);
      new DataView(raw.buffer).setUint32(4, flags, true);
      const legal = this.#legal(seeded(request + 1)).slice(0, request % 16);
      const fds = [this.#ram, this.#kick.owned, ...this.#odd].slice(0, fdCount);
      for (const { bytes, fds: with_ } of [...legal, { bytes: raw, fds }]) {
        this.messages += 1;
        if (!send(socket, bytes, with_)) return "closed";
      }
      return asked(socket);
    } finally {
      socket.close();
    }
  }

  close(): void {
    this.#mapping.unmap();
    closeAll([this.#ram, this.#log, this.#kick.owned, ...this.#odd]);
  }

  /** A session by the rules, and then changed: messages left out, doubled, moved, bent. */
  #script(random: Random): Sent[] {
    const script = this.#legal(random);
    for (let changes = random(6); changes > 0; changes--) {
      const at = random(script.length);
      const what = random(7);
      if (what === 0) script.splice(at, 1);
      else if (what === 1) script.splice(at, 0, script[random(script.length)]!);
      else if (what === 2) script.push(script[at]!);
      else if (what === 3) script.splice(at, 0, this.#anything(random));
      else script[at] = this.#bent(script[at]!, random);
      if (script.length === 0) script.push(this.#anything(random));
    }
    return script;
  }

  #legal(random: Random): Sent[] {
    const region = { guestPhysAddr: gpa(RAM_AT), memorySize: RAM_BYTES, userspaceAddr: USER_AT, mmapOffset: 0 };
    const flags = random(2) * NEED_REPLY;
    const say = (request: number, payload?: Uint8Array, ...fds: OwnedFd[]): Sent => ({
      bytes: encodeMessage(request, flags, payload),
      fds,
    });
    const features = (1n << 32n) | (1n << 30n) | (BigInt(random(2)) << 26n) | (BigInt(random(2)) << 29n);
    const script = [
      say(vu.VHOST_USER_GET_FEATURES),
      say(vu.VHOST_USER_GET_PROTOCOL_FEATURES),
      say(vu.VHOST_USER_SET_PROTOCOL_FEATURES, bits(random(2) === 0 ? 0x800bn : 0x8008n)),
      say(vu.VHOST_USER_SET_OWNER),
      say(vu.VHOST_USER_SET_FEATURES, bits(features)),
      random(3) === 0
        ? say(vu.VHOST_USER_ADD_MEM_REG, encodeMemRegion(region), this.#ram)
        : say(vu.VHOST_USER_SET_MEM_TABLE, encodeMemTable([region]), this.#ram),
    ];
    for (let index = 0; index <= random(RINGS); index++) {
      const at = USER_AT + index * 0x1_0000;
      const log = random(3) === 0 ? RAM_AT + random(RAM_BYTES) : undefined;
      script.push(
        say(vu.VHOST_USER_SET_VRING_NUM, encodeVringState({ index, num: 1 << random(10) })),
        say(vu.VHOST_USER_SET_VRING_BASE, encodeVringState({ index, num: random(3) === 0 ? random(65536) : 0 })),
        say(
          vu.VHOST_USER_SET_VRING_ADDR,
          encodeVringAddr({ index, log, desc: at, avail: at + 0x8000, used: at + 0xc000 }),
        ),
        say(vu.VHOST_USER_SET_VRING_CALL, encodeVringFile({ index, hasFd: true }), this.#kick.owned),
        say(vu.VHOST_USER_SET_VRING_KICK, encodeVringFile({ index, hasFd: true }), this.#kick.owned),
        say(vu.VHOST_USER_SET_VRING_ENABLE, encodeVringState({ index, num: 1 })),
      );
    }
    if (random(2) === 0)
      script.push(say(vu.VHOST_USER_SET_LOG_BASE, encodeLog({ mmapSize: 1 << random(17), mmapOffset: 0 }), this.#log));
    if (random(2) === 0)
      script.push(say(vu.VHOST_USER_GET_VRING_BASE, encodeVringState({ index: random(RINGS), num: 0 })));
    if (random(4) === 0) script.push(say(vu.VHOST_USER_RESET_DEVICE), say(vu.VHOST_USER_RESET_OWNER));
    if (random(4) === 0) script.push(say(vu.VHOST_USER_REM_MEM_REG, encodeMemRegion(region)));
    if (random(4) === 0) script.push(say(vu.VHOST_USER_SET_FEATURES, bits(features ^ (1n << BigInt(random(64))))));
    return script;
  }

  /** A message that is bent: cut short, too long, with other words in it, with other descriptors. */
  #bent({ bytes, fds }: Sent, random: Random): Sent {
    const copy = Uint8Array.from(bytes);
    const view = new DataView(copy.buffer);
    const what = copy.length < 12 ? 4 : random(8);
    if (what === 0) return { bytes: copy.subarray(0, 1 + random(copy.length)), fds };
    if (what === 1) return { bytes: Buffer.concat([copy, new Uint8Array(random(64))]), fds };
    if (what === 2) view.setUint32(8, [0, 1, 4, 8, 4096, 4097, 70_000, 0xffff_ffff][random(8)]!, true);
    else if (what === 3) view.setUint32(4, random(2) === 0 ? random(32) : random(2 ** 31), true);
    else if (what === 4) return { bytes: copy, fds: this.#someFds(random) };
    else if (copy.length >= 16) {
      const at = 12 + (random((copy.length - 12) >> 2) << 2);
      const words = [0, 1, 0xff, 0x100, 0x1ff, 0xffff, 0x8000_0000, 0xffff_ffff, random(2 ** 31), 0x1000, RAM_BYTES];
      view.setUint32(at, words[random(words.length)]!, true);
      if (random(2) === 0) copy[12 + random(copy.length - 12)]! ^= 1 << random(8);
    }
    return { bytes: copy, fds };
  }

  #anything(random: Random): Sent {
    const payload = Uint8Array.from(
      { length: [0, 8, 8, 16, 40, 12, 20, random(300)][random(8)]! },
      () => random(4) * random(256),
    );
    const bytes = encodeMessage(random(64), random(2) * NEED_REPLY, payload);
    return { bytes, fds: random(3) === 0 ? this.#someFds(random) : [] };
  }

  #someFds(random: Random): OwnedFd[] {
    const all = [this.#ram, this.#kick.owned, this.#log, ...this.#odd];
    return Array.from({ length: random(4) === 0 ? random(33) : random(4) }, () => all[random(all.length)]!);
  }

  /** Puts into the rings what a driver might, and what none would. */
  #scribble(random: Random): void {
    const words = this.#words;
    for (let ring = 0; ring < RINGS; ring++) {
      const at = (ring * 0x1_0000) / 4;
      for (let entry = 0; entry < 16; entry++) {
        const address = random(8) === 0 ? random(2 ** 31) : RAM_AT + random(RAM_BYTES);
        words[at + entry * 4] = address;
        words[at + entry * 4 + 1] = random(20) === 0 ? random(2 ** 31) : 0;
        words[at + entry * 4 + 2] = random(10) === 0 ? random(2 ** 31) : random(5000);
        words[at + entry * 4 + 3] = random(8) | 0 | (random(10) === 0 ? random(65_536) << 16 : random(16) << 16);
      }
      const avail = at + 0x8000 / 4;
      const jump = random(4) === 0 ? random(65_536) : random(16);
      words[avail] = (jump << 16) | random(2);
      for (let i = 1; i < 16; i++) words[avail + i] = random(16) | (random(16) << 16);
      words[at + 0xc000 / 4] = random(4) === 0 ? random(2 ** 31) : 0;
    }
  }
}

/** Sends all of it; false when the connection is over. Throws when the other side stays and takes nothing. */
function send(socket: UnixSocket, bytes: Uint8Array, fds: readonly OwnedFd[]): boolean {
  if (bytes.length === 0) return true;
  try {
    if (socket.send(bytes, fds, PATIENCE_MS) !== bytes.length) throw new Error("the data process takes no bytes");
    return true;
  } catch (error) {
    if (error instanceof SocketFault) return false;
    throw error;
  }
}

/** Asks for something that no script asks for; what comes is its answer, or the end. Throws when nothing does. */
function asked(socket: UnixSocket): SequenceEnd {
  // Enough of it to complete a message that was begun, if one was: what comes then is the end.
  if (!send(socket, encodeMessage(vu.VHOST_USER_GET_QUEUE_NUM, 0), [])) return "closed";
  const reader = new MessageReader<OwnedFd>();
  const piece = new Uint8Array(4096);
  const endMs = performance.now() + PATIENCE_MS;
  while (performance.now() < endMs) {
    const received = socket.receive(piece, UNASKED_MS);
    if (received.kind === "end") return "closed";
    // It waits for the rest of a message: the zeros complete it, and are no message themselves.
    if (received.kind === "nothing" && !send(socket, new Uint8Array(4200), [])) return "closed";
    const { messages } = reader.read(piece.subarray(0, received.bytes), received.fds);
    if (messages.some(({ request }) => request === vu.VHOST_USER_GET_QUEUE_NUM)) return "answered";
  }
  throw new Error("the data process neither answers nor closes");
}

function bits(set: bigint): Uint8Array {
  const payload = encodeU64(0);
  new DataView(payload.buffer).setBigUint64(0, set, true);
  return payload;
}
