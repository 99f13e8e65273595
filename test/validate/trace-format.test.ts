import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { recordRun } from "../../src/validate/trace/record.js";
import { timelineText } from "../../src/validate/trace/timeline.js";
import { EVENT, type Trace } from "../../src/validate/trace/trace.js";
import { readTrace, TraceError, writeTrace } from "../../src/validate/trace/trace-format.js";
import { seededProgram } from "./seeded-program.js";
import { ONE_CHAIN } from "./traces.js";

/** Small enough to be read as bytes below. */
const SMALL: Trace = {
  program: {
    setup: { num: 1, shadowNum: 2, eventIdx: false, indirect: true, log: false, map: "flat", start: 65535 },
    actions: [
      {
        op: "offer-raw",
        slot: 0,
        descriptors: [{ address: 0xffff_ffff_ffff_ffffn, length: 16, flags: 4, next: 0 }],
      },
      { op: "relay" },
    ],
  },
  events: [
    {
      kind: EVENT.publish,
      space: 2,
      offset: 98,
      bytes: 2,
      value: 0x0102,
      action: 1,
      refused: false,
      indices: [1, 2, 3, 4, 5, 0xfffe],
    },
    {
      kind: EVENT.write,
      space: 0,
      offset: 0xffffffff,
      bytes: 4,
      value: 0,
      action: 1,
      refused: true,
      indices: [1, 2, 3, 4, 5, 0xfffe],
    },
  ],
  end: {
    violation: { oracle: "O6", invariant: 5, message: "O6 (invariant 5): é" },
    broken: "head-outstanding",
    action: 1,
    forwarded: 3,
    returned: 2,
    quarantined: 1,
  },
};

const PROGRAM =
  '{"setup":{"num":1,"shadowNum":2,"eventIdx":false,"indirect":true,"log":false,"map":"flat","start":65535},' +
  '"actions":[' +
  '{"op":"offer-raw","slot":0,"descriptors":[{"address":"0xffffffffffffffff","length":16,"flags":4,"next":0}]},' +
  '{"op":"relay"}]}';
const END =
  '{"violation":{"oracle":"O6","invariant":5,"message":"O6 (invariant 5): é"},"broken":"head-outstanding",' +
  '"action":1,"forwarded":3,"returned":2,"quarantined":1}';

/** As the header of trace-format.ts draws it, by hand. */
function golden(): Buffer {
  const [program, end] = [Buffer.from(PROGRAM), Buffer.from(END)];
  const word = (value: number) => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
  const length = 32 + program.length + end.length + 2 * 32 + 32;
  const indices = [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 0xfe, 0xff];
  const body = Buffer.concat([
    Buffer.from("svqtrace"),
    Buffer.from([1, 0, 0, 0, ...word(length), ...word(program.length), ...word(end.length), ...word(2), ...word(0)]),
    program,
    end,
    Buffer.from([4, 2, 0, 0, ...word(1), ...word(98), ...word(2), 2, 1, 0, 0, ...indices]),
    Buffer.from([3, 0, 1, 0, ...word(1), ...word(0xffffffff), ...word(4), ...word(0), ...indices]),
  ]);
  return Buffer.concat([body, createHash("sha256").update(body).digest()]);
}

describe("the trace format", () => {
  it("is these bytes", () => {
    expect(Buffer.from(writeTrace(SMALL)).equals(golden())).toBe(true);
    expect(createHash("sha256").update(writeTrace(SMALL)).digest("hex")).toBe(
      "85291b2c6d04dfa5f18646ff96de92666b164b6e4ec59132c510a759d01e1167",
    );
    expect(readTrace(golden())).toEqual(SMALL);
  });

  it("numbers events so, for good: a new kind comes behind", () => {
    const relay = {
      read: 0,
      observe: 1,
      copyOut: 2,
      write: 3,
      publish: 4,
      copyIn: 5,
      setBits: 6,
      takeBits: 7,
      fence: 8,
    };
    expect(EVENT).toEqual({ ...relay, guest: 9, device: 10, migration: 11, turn: 12, spring: 13 });
  });

  it("has the same bytes however the fields of a program are ordered", () => {
    const { setup, actions } = SMALL.program;
    const shuffled = { actions, setup: Object.fromEntries(Object.entries(setup).reverse()) as unknown as typeof setup };
    expect(writeTrace({ ...SMALL, program: shuffled })).toEqual(writeTrace(SMALL));
  });

  it("gives back every run of a random program, out of the midst of other bytes too", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (seed) => {
        const trace = recordRun(seededProgram(seed));
        const bytes = writeTrace(trace);
        const around = new Uint8Array(bytes.length + 20);
        around.set(bytes, 7);
        expect(readTrace(around.subarray(7, 7 + bytes.length))).toEqual(trace);
        expect(writeTrace(readTrace(bytes))).toEqual(bytes);
      }),
      { numRuns: 200, seed: 6 },
    );
  });
});

/** The bytes of SMALL with some put right over others, and a checksum that is right again. */
function forged(change: (bytes: Buffer) => Buffer | undefined): Buffer {
  const sound = golden();
  const body = sound.subarray(0, -32);
  const changed = change(body) ?? body;
  return Buffer.concat([changed, createHash("sha256").update(changed).digest()]);
}

const PROGRAM_AT = 32;
const EVENTS_AT = PROGRAM_AT + Buffer.byteLength(PROGRAM) + Buffer.byteLength(END);

/** Overwrites a passage of the texts by another of the same length. */
function rewritten(passage: string, instead: string): Buffer {
  return forged((bytes) => {
    expect(Buffer.byteLength(instead)).toBe(Buffer.byteLength(passage));
    const at = bytes.indexOf(passage);
    expect(at).toBeGreaterThan(0);
    bytes.write(instead, at);
  });
}

function forgedByte(at: number, value: number): Buffer {
  return forged((bytes) => {
    bytes[at] = value;
  });
}

describe("readTrace() says what is wrong with", () => {
  it.each<[string, Uint8Array, string]>([
    ["nothing", new Uint8Array(0), "not a trace: it does not begin with svqtrace"],
    ["something else", Buffer.from("#!/bin/sh\n"), "not a trace: it does not begin with svqtrace"],
    ["half a magic", Buffer.from("svqt"), "truncated: 4 bytes are no header"],
    ["half a header", golden().subarray(0, 31), "truncated: 31 bytes are no header"],
    ["another version", forgedByte(8, 2), "a trace of version 2; this reads version 1"],
    ["a byte too few", golden().subarray(0, -1), "truncated: "],
    ["a byte too many", Buffer.concat([golden(), Buffer.from([0])]), "edited: "],
    ["a length of nothing", withLength(0), "edited: "],
    ["a length of everything", withLength(0xffffffff), "truncated: "],
    ["reserved bytes", forgedByte(10, 1), "out of range: reserved bytes"],
    ["parts that do not fill it", forgedByte(24, 1), "out of range: lengths of the parts"],
    ["parts beyond it", forgedByte(27, 0xff), "out of range: lengths of the parts"],
    ["a program beyond it", forgedByte(19, 0xff), "out of range: lengths of the parts"],
    ["a program that is no JSON", forgedByte(PROGRAM_AT, 0x20), "out of range: the program: "],
    ["a program that is no UTF-8", forgedByte(PROGRAM_AT + 2, 0xff), "out of range: a text that is not UTF-8"],
    ["a program that is none", rewritten('"num":1,', '"num":3,'), "out of range: the program: setup.num"],
    ["an end that is no object", rewritten('"violation":{"oracle"', '"violation":["oracle"'), "out of range: the end"],
    ["an oracle that there is not", rewritten('"O6",', '"O0",'), "out of range: oracle of the end"],
    [
      "a broken that is no reason",
      rewritten("head-outstanding", "head-OUTSTANDING"),
      "out of range: broken of the end",
    ],
    ["a reason from a prototype", rewritten("head-outstanding", "__defineGetter__"), "out of range: broken of the end"],
    ["an escape sequence", rewritten("(invariant 5): ", "(invar\\u001b[1m"), "out of range: message of the end"],
    ["an action beyond the program", rewritten('"action":1', '"action":3'), "out of range: action of the end"],
    ["a count that is none", rewritten('"forwarded":3', '"forwarded":-'), "out of range: the end"],
    ["half a count", rewritten('3,"returned"', '3.5,"return"'), "out of range: forwarded of the end"],
    ["a kind of event", forgedByte(EVENTS_AT, 14), "out of range: kind of event 0"],
    ["a space", forgedByte(EVENTS_AT + 1, 4), "out of range: space of event 0"],
    ["flags of an event", forgedByte(EVENTS_AT + 2, 2), "out of range: flags of event 0"],
    ["an event's reserved byte", forgedByte(EVENTS_AT + 3, 1), "out of range: flags of event 0"],
    ["an event's action", forgedByte(EVENTS_AT + 32 + 4, 3), "out of range: action of event 1"],
    ["an ambush that was never laid", forgedByte(EVENTS_AT, EVENT.spring), "out of range: action of event 0"],
  ])("%s", (_, bytes, sentence) => {
    expect(() => readTrace(bytes)).toThrow(TraceError);
    expect(() => readTrace(bytes)).toThrow(sentence);
  });

  it("any byte that is another: edited, or named", () => {
    const sound = golden();
    for (let at = 0; at < sound.length; at++) {
      const edited = Buffer.from(sound);
      edited[at]! ^= 0x41;
      expect(() => readTrace(edited), `byte ${at}`).toThrow(TraceError);
    }
  });

  it("nothing worse: whatever is forged, checksum and all, is named or has a timeline", () => {
    const forgery = fc.record({ at: fc.nat(golden().length - 33), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(forgery, { minLength: 1, maxLength: 4 }), (forgeries) => {
        const bytes = forged((body) => {
          for (const { at, byte } of forgeries) body[at] = byte;
        });
        try {
          expect(timelineText(readTrace(bytes))).toMatch(/\n.*\S$/);
        } catch (error) {
          if (!(error instanceof TraceError)) throw error;
          expect(error.message).toMatch(/^\P{Cc}{10,1000}$/u);
        }
      }),
      { numRuns: 5000, seed: 6 },
    );
  });

  it("texts nested deeper than there is stack", () => {
    const deep = Buffer.from("[".repeat(1e6) + "]".repeat(1e6));
    for (const [program, end] of [
      [deep, Buffer.from(END)],
      [Buffer.from(PROGRAM), deep],
      [Buffer.from(PROGRAM), Buffer.from(END.replace("3", deep.toString()))],
    ] as const) {
      const bytes = Buffer.concat([golden().subarray(0, 32), program, end]);
      bytes.writeUInt32LE(bytes.length + 32, 12);
      for (const [i, value] of [program.length, end.length, 0].entries()) bytes.writeUInt32LE(value, 16 + i * 4);
      const sealed = Buffer.concat([bytes, createHash("sha256").update(bytes).digest()]);
      expect(() => readTrace(sealed)).toThrow(/^out of range: /);
    }
  });

  it("any end that is missing", () => {
    const sound = golden();
    for (let length = 1; length < sound.length; length++) {
      expect(() => readTrace(sound.subarray(0, length)), `${length} bytes`).toThrow(/^truncated: /);
    }
  });
});

describe("writeTrace() refuses", () => {
  it("a program that could not be read back", () => {
    const program = { ...ONE_CHAIN, setup: { ...ONE_CHAIN.setup, num: 3 } };
    expect(() => writeTrace({ ...SMALL, program })).toThrow(/^out of range: the program: setup.num/);
  });

  it("more events than anybody would read", () => {
    const events = Array.from({ length: 2 ** 21 }, () => SMALL.events[0]!);
    expect(() => writeTrace({ ...SMALL, events })).toThrow(/too many for a trace/);
  });
});

function withLength(length: number): Buffer {
  const bytes = golden();
  bytes.writeUInt32LE(length, 12);
  return bytes;
}
