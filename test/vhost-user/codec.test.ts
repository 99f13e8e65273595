import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkMessage } from "../../src/vhost-user/check-message.js";
import {
  encodeAck,
  encodeMessage,
  encodeReply,
  isReply,
  type Message,
  MessageReader,
  needsReply,
} from "../../src/vhost-user/codec.js";
import { MESSAGE_FAULTS } from "../../src/vhost-user/message-fault.js";
import { MESSAGE_RULES } from "../../src/vhost-user/requests.js";
import { agreedSession, bytesOf, joined, readOnce, runningSession, sampleOf } from "./samples.js";

const STREAMS = 100_000;
const STREAMS_TIMEOUT_MS = 240_000;

/** A piece of the stream and the descriptors beside it. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly fds: readonly number[];
}

const SAMPLES = MESSAGE_RULES.map(sampleOf);
const byte = fc.integer({ min: 0, max: 255 });
const u32 = fc.oneof(fc.integer({ min: 0, max: 50 }), fc.constantFrom(4096, 4097, 0x8000_0000, 0xffff_ffff));

/** Messages as they should be, the same with one byte changed, made-up headers, and noise. */
const chunk: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...SAMPLES).map(bytesOf) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom(...SAMPLES), fc.nat(300), byte).map(([message, at, value]) => {
      const bytes = bytesOf(message);
      bytes[at % bytes.length] = value;
      return bytes;
    }),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(u32, fc.constantFrom(1, 5, 9, 13, 0, 17), u32).map(([request, flags, size]) => {
      return new Uint8Array(Uint32Array.of(request, flags, size).buffer);
    }),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 30 }) },
);

const stream = fc.record({
  chunks: fc.array(chunk, { minLength: 1, maxLength: 4 }),
  cuts: fc.array(fc.record({ at: fc.nat(400), fds: fc.nat(3) }), { maxLength: 5 }),
  many: fc.constantFrom(0, 0, 0, 9, 253),
});

/** Cuts a stream at random places and puts descriptors beside the pieces: numbers, each once. */
function piecesOf({ chunks, cuts, many }: typeof stream extends fc.Arbitrary<infer T> ? T : never): Piece[] {
  const bytes = joined(...chunks);
  const places = [...new Set(cuts.map(({ at }) => at % (bytes.length + 1)))].sort((a, b) => a - b);
  let next = 0;
  return [...places, bytes.length].map((end, i) => {
    const count = (cuts[i]?.fds ?? 0) + (i === 0 ? many : 0);
    const fds = Array.from({ length: count }, () => next++);
    return { bytes: bytes.subarray(i === 0 ? 0 : places[i - 1], end), fds };
  });
}

/** Reads all pieces to the end; says which descriptors went in, and which came out in messages or to be closed. */
function readAll(reader: MessageReader<number>, pieces: readonly Piece[]) {
  const messages: Message<number>[] = [];
  const faults = new Set<string>();
  for (const { bytes, fds } of pieces) {
    const result = reader.read(bytes, fds);
    messages.push(...result.messages);
    if (result.fault) faults.add(result.fault.reason);
    if (reader.wantBytes > (result.fault ? 0 : 4096)) throw new Error(`the reader wants ${reader.wantBytes} bytes`);
  }
  const end = reader.end();
  if (end) faults.add(end.reason);
  const given = pieces.flatMap(({ fds }) => fds);
  const got = [...messages.flatMap(({ fds }) => fds), ...reader.takeFds()];
  return { messages, faults, given, got };
}

describe("MessageReader", () => {
  it(
    `loses and doubles no descriptor, and throws nothing, in ${STREAMS} random streams`,
    () => {
      const seen = new Set<string>();
      let legal = 0;
      const [stopped, running] = [agreedSession(), runningSession()];
      fc.assert(
        fc.property(stream, (made) => {
          const { messages, faults, given, got } = readAll(new MessageReader<number>(), piecesOf(made));
          if (got.sort((a, b) => a - b).join() !== given.join())
            throw new Error(`of ${given.join()} came ${got.join()}`);
          if (faults.size > 1) throw new Error(`more than one fault: ${[...faults].join()}`);
          for (const fault of faults) seen.add(fault);
          for (const message of messages) {
            const fault = checkMessage(message, stopped) ?? checkMessage(message, running);
            if (fault) seen.add(fault.reason);
            else legal++;
            checkMessage(message, stopped, "back-end");
          }
        }),
        { numRuns: STREAMS, seed: 20 },
      );
      expect(legal).toBeGreaterThan(STREAMS / 100);
      for (const reason of seen) expect(MESSAGE_FAULTS).toHaveProperty(reason);
      // The streams reach what can go wrong with bytes and descriptors, and what can go wrong in a message.
      expect([...seen]).toEqual(
        expect.arrayContaining([
          "version-unknown",
          "flags-reserved",
          "reply-in-request",
          "size-over-limit",
          "fds-over-limit",
          "fds-mid-message",
          "stream-cut",
          "request-unknown",
          "size-mismatch",
          "fd-count",
          "wrong-state",
          "ring-index",
          "value-reserved",
        ]),
      );
    },
    STREAMS_TIMEOUT_MS,
  );

  it("of which the count would tell: a reader that closes its own descriptors loses some", () => {
    class Careless extends MessageReader<number> {
      override takeFds(): number[] {
        super.takeFds();
        return [];
      }
    }
    const pieces = [{ bytes: new Uint8Array(12), fds: [1, 2] }];
    const careless = readAll(new Careless(), pieces);
    expect(careless.got).not.toEqual(careless.given);
    const careful = readAll(new MessageReader<number>(), pieces);
    expect(careful.got).toEqual(careful.given);
  });

  it("reads the same messages however a stream of legal ones is cut, reading no further than wantBytes", () => {
    const bytes = joined(...SAMPLES.map(bytesOf));
    for (const atMost of [1, 5, 12, 4096]) {
      const reader = new MessageReader<number>();
      const messages: Message<number>[] = [];
      let begins = true;
      for (let at = 0; at < bytes.length && !reader.fault; ) {
        const piece = bytes.subarray(at, at + Math.min(atMost, reader.wantBytes));
        at += piece.length;
        const result = reader.read(piece, begins ? SAMPLES[messages.length]!.fds : []);
        messages.push(...result.messages);
        begins = result.messages.length > 0;
      }
      expect(messages).toEqual(SAMPLES);
      expect(reader.end()).toBeUndefined();
    }
  });

  it("gives the descriptors beside a longer piece to the last message that begins in it, as Linux reads", () => {
    const [first, second, third] = [1, 2, 3].map((request) => encodeMessage(request, 0));
    const { messages } = readOnce(joined(first!, second!, third!.subarray(0, 6)), [7]);
    expect(messages.map(({ fds }) => fds)).toEqual([[], []]);
    const reader = new MessageReader<number>();
    reader.read(joined(first!, third!.subarray(0, 6)), [7]);
    expect(reader.read(third!.subarray(6)).messages).toEqual([
      { request: 3, flags: 1, payload: new Uint8Array(0), fds: [7] },
    ]);
  });

  it("hands out the messages before a fault, and the descriptors behind it", () => {
    const reader = new MessageReader<number>();
    const good = encodeMessage(3, 0);
    const bad = new Uint8Array(12);
    expect(reader.read(joined(good, bad, good), [4]).messages).toHaveLength(1);
    expect(reader.fault?.reason).toBe("version-unknown");
    expect(reader.read(good, [5, 6])).toEqual({ messages: [], fault: reader.fault });
    expect(reader.takeFds()).toEqual([4, 5, 6]);
    expect(reader.takeFds()).toEqual([]);
  });

  it("makes room for no more than a message can have, whatever a header says", () => {
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 1000 }, () => {
      const reader = new MessageReader<number>();
      reader.read(new Uint8Array(Uint32Array.of(5, 1, 0xffff_ffff).buffer));
      return reader;
    });
    expect(readers.every(({ fault }) => fault?.reason === "size-over-limit")).toBe(true);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1000 * 8192);
  });

  it("keeps nothing of the caller's buffer", () => {
    const piece = encodeMessage(2, 0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    const { messages } = readOnce(piece);
    piece.fill(0xff);
    expect(messages[0]!.payload).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  });
});

describe("encodeMessage()", () => {
  it("makes the bytes that QEMU sends for SET_VRING_NUM of queue 1 with 256 entries, reply wanted", () => {
    const hex = Buffer.from(encodeMessage(8, 8, Uint8Array.of(1, 0, 0, 0, 0, 1, 0, 0))).toString("hex");
    expect(hex).toBe("08000000" + "09000000" + "08000000" + "01000000" + "00010000");
  });

  it("adds the version, and refuses flags without a name and payloads that no reader takes", () => {
    expect(encodeMessage(1, 0)[4]).toBe(1);
    expect(() => encodeMessage(1, 16)).toThrow("assertion");
    expect(() => encodeMessage(1, 0, new Uint8Array(4097))).toThrow("assertion");
  });
});

describe("encodeReply() and encodeAck()", () => {
  it("carry the reply flag and nothing else", () => {
    const { messages } = readOnce(joined(encodeReply(11, Uint8Array.of(9)), encodeAck(5, true), encodeAck(5, false)));
    expect(messages.map(({ flags }) => flags)).toEqual([5, 5, 5]);
    expect(messages.map((message) => [isReply(message), needsReply(message)])).toEqual(Array(3).fill([true, false]));
    expect(messages.map(({ payload }) => [...payload])).toEqual([
      [9],
      [0, 0, 0, 0, 0, 0, 0, 0],
      [1, 0, 0, 0, 0, 0, 0, 0],
    ]);
  });
});
