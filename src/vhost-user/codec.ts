import {
  VHOST_USER_HEADER,
  VHOST_USER_MAX_FDS,
  VHOST_USER_NEED_REPLY_MASK,
  VHOST_USER_REPLY_MASK,
  VHOST_USER_VERSION,
  VHOST_USER_VERSION_MASK,
} from "../layout/vhost-user.js";
import { assert } from "../memory/assert.js";
import { MessageFault, type MessageFaultReason } from "./message-fault.js";

/** Bytes of payload that a reader takes; a little more than any message of the table has. */
export const PAYLOAD_BYTES_MAX = 4096;

/** One message as it came; F is a file descriptor, whatever the sockets make of one. */
export interface Message<F> {
  readonly request: number;
  /** As on the wire, version included. */
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly fds: readonly F[];
}

/** What a piece of the stream brought: whole messages, and the fault at which reading ended. */
export interface ReadResult<F> {
  readonly messages: readonly Message<F>[];
  readonly fault: MessageFault | undefined;
}

const { request: REQUEST, flags: FLAGS, size: SIZE } = VHOST_USER_HEADER.offsets;
const KNOWN_FLAGS = VHOST_USER_VERSION_MASK | VHOST_USER_REPLY_MASK | VHOST_USER_NEED_REPLY_MASK;
const NOTHING = new Uint8Array(0);

/** The bytes of a message; `flags` are VHOST_USER_REPLY_MASK and VHOST_USER_NEED_REPLY_MASK, the version is added. */
export function encodeMessage(request: number, flags: number, payload: Uint8Array = NOTHING): Uint8Array {
  assert((flags & ~KNOWN_FLAGS) === 0, "flags of a message have names");
  assert(payload.length <= PAYLOAD_BYTES_MAX, "a payload fits a message");
  const bytes = new Uint8Array(VHOST_USER_HEADER.size + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(REQUEST, request, true);
  view.setUint32(FLAGS, (flags & ~VHOST_USER_VERSION_MASK) | VHOST_USER_VERSION, true);
  view.setUint32(SIZE, payload.length, true);
  bytes.set(payload, VHOST_USER_HEADER.size);
  return bytes;
}

/** The bytes of a reply with a payload. */
export function encodeReply(request: number, payload: Uint8Array = NOTHING): Uint8Array {
  return encodeMessage(request, VHOST_USER_REPLY_MASK, payload);
}

/** The bytes of the reply that REPLY_ACK asks for: zero if all went well. */
export function encodeAck(request: number, ok: boolean): Uint8Array {
  return encodeReply(request, Uint8Array.of(ok ? 0 : 1, 0, 0, 0, 0, 0, 0, 0));
}

/** Whether a message is a reply. */
export function isReply(message: Pick<Message<unknown>, "flags">): boolean {
  return (message.flags & VHOST_USER_REPLY_MASK) !== 0;
}

/** Whether the sender of a message asks for a reply (it gets one if REPLY_ACK is agreed). */
export function needsReply(message: Pick<Message<unknown>, "flags">): boolean {
  return (message.flags & VHOST_USER_NEED_REPLY_MASK) !== 0;
}

/**
 * Makes messages of a byte stream that comes in pieces, with file descriptors beside it.
 *
 * File descriptors come with the first byte of their message. A piece that stays within one message (`wantBytes`)
 * leaves no doubt whose they are. In a longer piece they belong to the last message that begins in it: Linux ends a
 * read behind bytes that came with descriptors, but may put bytes without any before them.
 *
 * Holds one message and its descriptors at most. After a fault nothing more is read; what comes is kept for `takeFds`.
 */
export class MessageReader<F> {
  readonly #head = new Uint8Array(VHOST_USER_HEADER.size);
  readonly #headView = new DataView(this.#head.buffer);
  #payload: Uint8Array = NOTHING;
  /** Bytes of the message under way, header included. */
  #filled = 0;
  #fds: F[] = [];
  #orphans: F[] = [];
  #fault: MessageFault | undefined;

  /** Bytes to the end of the header or of the payload under way: how much to read next; 0 after a fault. */
  get wantBytes(): number {
    if (this.#fault) return 0;
    const head = VHOST_USER_HEADER.size;
    return this.#filled < head ? head - this.#filled : head + this.#payload.length - this.#filled;
  }

  /** The fault at which reading ended, if it did. */
  get fault(): MessageFault | undefined {
    return this.#fault;
  }

  /** Takes a piece of the stream and the descriptors beside it; `truncated` if the kernel dropped some (MSG_CTRUNC). */
  read(piece: Uint8Array, fds: readonly F[] = [], truncated = false): ReadResult<F> {
    const messages: Message<F>[] = [];
    let begun: F[] | undefined;
    if (truncated) this.#fail("fds-truncated", "descriptors of a message were lost");
    if (fds.length > VHOST_USER_MAX_FDS) this.#fail("fds-over-limit", `${fds.length} descriptors with one message`);
    for (let at = 0; at < piece.length && !this.#fault; ) {
      if (this.#filled === 0) begun = this.#fds = [];
      at += this.#take(piece.subarray(at));
      if (!this.#fault && this.#filled >= VHOST_USER_HEADER.size && this.wantBytes === 0) messages.push(this.#finish());
    }
    this.#giveFds(fds, begun);
    return { messages, fault: this.#fault };
  }

  /** The peer has closed: names what was left half said, if anything. */
  end(): MessageFault | undefined {
    if (this.#filled > 0) this.#fail("stream-cut", `the stream ended after ${this.#filled} bytes of a message`);
    return this.#fault;
  }

  /** Descriptors that came and are in no message, each once, for the caller to close: after a fault or the end. */
  takeFds(): F[] {
    const fds = [...this.#orphans, ...this.#fds];
    this.#orphans = [];
    this.#fds = [];
    return fds;
  }

  /** Takes bytes up to the end of the header or of the payload; says how many. */
  #take(bytes: Uint8Array): number {
    const head = VHOST_USER_HEADER.size;
    const count = Math.min(bytes.length, this.wantBytes);
    if (this.#filled < head) {
      this.#head.set(bytes.subarray(0, count), this.#filled);
      if (this.#filled + count === head) this.#openPayload();
    } else {
      this.#payload.set(bytes.subarray(0, count), this.#filled - head);
    }
    this.#filled += count;
    return count;
  }

  #openPayload(): void {
    const flags = this.#headView.getUint32(FLAGS, true);
    const size = this.#headView.getUint32(SIZE, true);
    const version = flags & VHOST_USER_VERSION_MASK;
    if (version !== VHOST_USER_VERSION) this.#fail("version-unknown", `version ${version}`);
    else if ((flags & ~KNOWN_FLAGS) !== 0) this.#fail("flags-reserved", `flags 0x${flags.toString(16)}`);
    else if (size > PAYLOAD_BYTES_MAX) this.#fail("size-over-limit", `a payload of ${size} bytes`);
    else this.#payload = size === 0 ? NOTHING : new Uint8Array(size);
  }

  #finish(): Message<F> {
    const message = {
      request: this.#headView.getUint32(REQUEST, true),
      flags: this.#headView.getUint32(FLAGS, true),
      payload: this.#payload,
      fds: this.#fds,
    };
    this.#filled = 0;
    this.#payload = NOTHING;
    this.#fds = [];
    return message;
  }

  /** Descriptors beside a piece go to the last message that began in it. */
  #giveFds(fds: readonly F[], owner: F[] | undefined): void {
    if (fds.length === 0) return;
    if (!this.#fault && owner === undefined) {
      this.#fail("fds-mid-message", `${fds.length} descriptors in the middle of a message`);
    }
    if (this.#fault || owner === undefined) this.#orphans.push(...fds);
    else owner.push(...fds);
  }

  #fail(reason: MessageFaultReason, detail: string): void {
    this.#fault ??= new MessageFault(reason, detail);
  }
}
