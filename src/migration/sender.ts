import { PAGE_BYTES } from "../memory/address.js";
import { assert } from "../memory/assert.js";
import type { GuestRam } from "../memory/guest-ram.js";

/** Bytes before a payload, words little-endian: page number (u64), payload bytes, 0, checksum (two words). */
export const FRAME_HEADER_BYTES = 24;
/** Words of that header, one by one: an object's properties would be looked up for each page. */
const PAGE_LOW = 0;
const PAGE_HIGH = 1;
const PAYLOAD_BYTES = 2;
const SUM = 4;
const PAYLOAD = 6;

/** What is wrong with a frame that arrived. */
export type FrameFault = "too short" | "checksum" | "no such page";

/** Reads pages of guest RAM into frames and hands each to a sink (specification 5.4). */
export class PageSender {
  readonly #ram: GuestRam;
  readonly #sink: (frame: Uint8Array) => void;
  readonly #bytes = new Uint8Array(FRAME_HEADER_BYTES + PAGE_BYTES);
  readonly #words = new Int32Array(this.#bytes.buffer);
  readonly #frame: Uint8Array;

  /** The sink is shown the same bytes each time: it takes what it needs before it returns. */
  constructor(ram: GuestRam, sink: (frame: Uint8Array) => void) {
    this.#ram = ram;
    this.#sink = sink;
    this.#frame = this.#bytes.subarray(0, FRAME_HEADER_BYTES + ram.payloadBytes);
  }

  /** Sends a page of RAM as it is now: its bytes are read once, and the checksum is of what was read. */
  send(page: number): void {
    const words = this.#words;
    this.#ram.readPage(page, this.#bytes, FRAME_HEADER_BYTES);
    words[PAGE_LOW] = page;
    words[PAGE_HIGH] = page / 2 ** 32;
    words[PAYLOAD_BYTES] = this.#ram.payloadBytes;
    writeSum(words, this.#ram.payloadBytes / 4);
    this.#sink(this.#frame);
  }
}

/** Puts frames into RAM, page by page, when they arrive as they were sent. */
export class PageReceiver {
  readonly #ram: GuestRam;
  /** Of the frame that is looked at: whoever sends may change its bytes meanwhile. */
  readonly #bytes = new Uint8Array(FRAME_HEADER_BYTES + PAGE_BYTES);
  readonly #words = new Int32Array(this.#bytes.buffer);

  constructor(ram: GuestRam) {
    this.#ram = ram;
  }

  /** Takes a frame; nothing of one with a fault is stored. */
  receive(frame: Uint8Array): FrameFault | undefined {
    const words = this.#words;
    const { payloadBytes } = this.#ram;
    if (frame.length !== FRAME_HEADER_BYTES + payloadBytes) return "too short";
    this.#bytes.set(frame);
    const [first, second] = [words[SUM], words[SUM + 1]];
    writeSum(words, payloadBytes / 4);
    if (words[SUM] !== first || words[SUM + 1] !== second) return "checksum";
    if (words[PAYLOAD_BYTES] !== payloadBytes) return "too short";
    const page = (words[PAGE_LOW]! >>> 0) + (words[PAGE_HIGH]! >>> 0) * 2 ** 32;
    const payload = this.#bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + payloadBytes);
    return this.#ram.writePage(page, payload) ? undefined : "no such page";
  }
}

/** Writes a frame's checksum over what it holds now: for senders of other frames, and for a channel that lies. */
export function sealFrame(frame: Uint8Array): void {
  assert(frame.byteOffset % 4 === 0 && frame.length % 4 === 0, "frames are whole words");
  const words = new Int32Array(frame.buffer, frame.byteOffset, frame.length / 4);
  writeSum(words, words.length - PAYLOAD);
}

/**
 * Two sums of 32 bits, of the even and of the odd words, each turned left by 7 before a word is added.
 *
 * Every step can be undone, so a change of any one word, or of two that lie next to each other, always shows.
 */
function writeSum(words: Int32Array, payloadWords: number): void {
  let even = words[PAGE_LOW]!;
  let odd = words[PAGE_HIGH]!;
  even = (((even << 7) | (even >>> 25)) + words[PAYLOAD_BYTES]!) | 0;
  const end = PAYLOAD + payloadWords;
  let at = PAYLOAD;
  for (; at < end - 3; at += 4) {
    even = (((even << 7) | (even >>> 25)) + words[at]!) | 0;
    odd = (((odd << 7) | (odd >>> 25)) + words[at + 1]!) | 0;
    even = (((even << 7) | (even >>> 25)) + words[at + 2]!) | 0;
    odd = (((odd << 7) | (odd >>> 25)) + words[at + 3]!) | 0;
  }
  for (; at < end; at++) even = (((even << 7) | (even >>> 25)) + words[at]!) | 0;
  words[SUM] = even;
  words[SUM + 1] = odd;
}
