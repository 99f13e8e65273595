import { describe, expect, it } from "vitest";
import {
  availEventOffset,
  availRingBytes,
  descTableBytes,
  usedEventOffset,
  usedRingBytes,
} from "../../src/layout/virtio-ring.js";
import type { RealMemory } from "../../src/memory/real-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { type FaultReason, PeerFault } from "../../src/ring/peer-fault.js";
import type { VringAreas } from "../../src/ring/vring-areas.js";
import * as vringAreas from "../../src/ring/vring-areas.js";
import { CanaryRing } from "../helpers/canary-ring.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

type Module = typeof vringAreas;

/** Memory of a size, of which no byte is ever touched. */
function emptyMemory(byteLength: number): SharedMemory {
  return { byteLength } as SharedMemory;
}

function verdict({ checkedAreas }: Module, areas: VringAreas): FaultReason | "fine" {
  try {
    expect(checkedAreas(areas)).toBe(areas);
    return "fine";
  } catch (error) {
    if (!(error instanceof PeerFault)) throw error;
    return error.reason;
  }
}

const NUM = 4;
const SIZES = { desc: descTableBytes(NUM), avail: availRingBytes(NUM), used: usedRingBytes(NUM) };
const ALIGN = { desc: 16, avail: 2, used: 4 };
const PARTS = ["desc", "avail", "used"] as const;

/** Three areas far apart in one memory, but for what is said. */
function areasAt(change: Partial<VringAreas>, memory: SharedMemory = emptyMemory(4096)): VringAreas {
  return {
    num: NUM,
    desc: 1024,
    avail: 2048,
    used: 3072,
    descMemory: memory,
    availMemory: memory,
    usedMemory: memory,
    ...change,
  };
}

/** What is decided otherwise than arithmetic on single bytes would, one list for each rule. */
const RULES = {
  "takes sizes that are a power of two from 1 to 32 768 (IMPL-01, BI-06)": (module: Module) => {
    const huge = emptyMemory(2 ** 31);
    const places = { desc: 0, avail: 2 ** 21, used: 2 ** 22 };
    const legal = Array.from({ length: 16 }, (_, i) => 2 ** i);
    const odd = [-1, 0, 3, 5, 24, 255, 257, 32_767, 32_769, 40_000, 65_535, 65_536, 2 ** 32, 0.5, 1.5, NaN, Infinity];
    return [...legal, ...odd].flatMap((num) => {
      const due = legal.includes(num) ? "fine" : "queue-size";
      const seen = verdict(module, areasAt({ ...places, num }, huge));
      return seen === due ? [] : [`${num}: ${seen}`];
    });
  },
  "takes a table at multiples of 16, avail of 2, used of 4, in a window of 16 bytes (SPLIT-01)": (module: Module) =>
    PARTS.flatMap((part) =>
      Array.from({ length: 17 }, (_, i) => 256 + i).flatMap((start) => {
        const due = start % ALIGN[part] === 0 ? "fine" : "ring-misaligned";
        const seen = verdict(module, areasAt({ [part]: start }));
        return seen === due ? [] : [`${part} at ${start}: ${seen}`];
      }),
    ),
  "takes areas up to the last byte of their memory, event words included, and no further (BI-10)": (module: Module) =>
    PARTS.flatMap((part) => {
      const room = emptyMemory(4096);
      const small = (byteLength: number) => ({ [`${part}Memory`]: emptyMemory(byteLength) });
      const last = Math.floor((4096 - SIZES[part]) / ALIGN[part]) * ALIGN[part];
      const cases: [number, number, string][] = [
        [0, SIZES[part], "fine"],
        [0, SIZES[part] - 1, "ring-outside-memory"],
        [0, SIZES[part] - 2, "ring-outside-memory"],
        [last, 4096, "fine"],
        [last + ALIGN[part], 4096, "ring-outside-memory"],
        [4096, 4096, "ring-outside-memory"],
        [-16, 4096, "ring-outside-memory"],
        [2 ** 52, 4096, "ring-outside-memory"],
        [2 ** 53, 4096, "ring-outside-memory"],
        [Number.NaN, 4096, "ring-misaligned"],
        [Number.POSITIVE_INFINITY, 4096, "ring-misaligned"],
        [0.5, 4096, "ring-misaligned"],
      ];
      return cases.flatMap(([start, bytes, due]) => {
        const seen = verdict(module, areasAt({ [part]: start, ...small(bytes) }, room));
        return seen === due ? [] : [`${part} at ${start} of ${bytes}: ${seen}`];
      });
    }),
  "refuses areas that share a byte, each with each, and takes those that touch (BI-11)": (module: Module) =>
    PARTS.flatMap((fixed) =>
      PARTS.filter((moving) => moving !== fixed).flatMap((moving) => {
        const wrong: string[] = [];
        const at = 512;
        for (let start = at - 128; start <= at + 128; start += ALIGN[moving]) {
          const apart = start + SIZES[moving] <= at || at + SIZES[fixed] <= start;
          const seen = verdict(module, areasAt({ [fixed]: at, [moving]: start }));
          if (seen !== (apart ? "fine" : "ring-overlap")) wrong.push(`${moving} at ${start} over ${fixed}: ${seen}`);
        }
        return wrong;
      }),
    ),
  "takes areas at the same place of different memories": (module: Module) => {
    const memories = { descMemory: emptyMemory(4096), availMemory: emptyMemory(4096), usedMemory: emptyMemory(4096) };
    const seen = verdict(module, areasAt({ desc: 0, avail: 0, used: 0, ...memories }));
    return seen === "fine" ? [] : [seen];
  },
};

describe("checkedAreas()", () => {
  for (const [rule, wrong] of Object.entries(RULES)) it(rule, () => expect(wrong(vringAreas)).toEqual([]));
});

const FILE = "ring/vring-areas.ts";
const OVERLAP =
  "if (apart || part.start + part.bytes <= other.start || other.start + other.bytes <= part.start) continue;";

describe("these checks notice that", () => {
  const faults: (readonly [what: string, patch: Patch, rule: RegExp])[] = [
    ["any size is taken", [FILE, "if (!isQueueSize(num))", "if (num === 0)"], /sizes/],
    ["nothing is held against an alignment", [FILE, "part.start % part.align !== 0", "false"], /multiples/],
    [
      "avail is aligned as used is",
      [FILE, "align: VRING_AVAIL_ALIGN_SIZE", "align: VRING_USED_ALIGN_SIZE"],
      /multiples/,
    ],
    ["a byte past the end is taken", [FILE, "> part.memory.byteLength", "> part.memory.byteLength + 1"], /last byte/],
    ["the last byte is refused", [FILE, "> part.memory.byteLength", ">= part.memory.byteLength"], /last byte/],
    ["a negative start is taken", [FILE, "part.start < 0 || ", ""], /last byte/],
    [
      "the used event is forgotten",
      [FILE, "bytes: availRingBytes(num)", "bytes: availRingBytes(num) - 2"],
      /last byte/,
    ],
    ["the avail event is forgotten", [FILE, "bytes: usedRingBytes(num)", "bytes: usedRingBytes(num) - 2"], /last byte/],
    ["areas may share bytes", [FILE, OVERLAP, "continue;"], /share a byte/],
    ["areas may not touch", [FILE, OVERLAP, OVERLAP.replaceAll("<=", "<")], /touch/],
    [
      "memories are taken for one",
      [FILE, "part === other || part.memory !== other.memory", "part === other"],
      /different/,
    ],
  ];
  for (const [what, patch, rule] of faults) {
    it(what, async () => {
      const faulty = await patchedCopy<Module>(FILE, patch);
      const noticing = Object.entries(RULES).filter(([, wrong]) => wrong(faulty).length > 0);
      expect(noticing.map(([name]) => name).join()).toMatch(rule);
    });
  }
});

describe("vringOffsets() and vringBytes()", () => {
  it("agree with the layout, for every size and many starts (SPLIT-01)", () => {
    for (let shift = 0; shift <= 15; shift++) {
      const num = 2 ** shift;
      for (const start of [0, 16, 4096, 2 ** 20 + 48]) {
        const { desc, avail, used } = vringAreas.vringOffsets(num, start);
        expect([desc, avail]).toEqual([start, start + 16 * num]);
        expect(used).toBe(Math.ceil((avail + 6 + 2 * num) / 4) * 4);
        expect(avail + usedEventOffset(num) + 2).toBeLessThanOrEqual(used);
        expect(used + availEventOffset(num) + 2).toBe(start + vringAreas.vringBytes(num));
        const memory = emptyMemory(start + vringAreas.vringBytes(num));
        expect(verdict(vringAreas, areasAt({ num, desc, avail, used }, memory))).toBe("fine");
        const short = emptyMemory(start + vringAreas.vringBytes(num) - 2);
        expect(verdict(vringAreas, areasAt({ num, desc, avail, used }, short))).toBe("ring-outside-memory");
      }
    }
  });
});

describe("clearRings()", () => {
  it("clears both rings with their event words, and no byte beside them (NOTIF-10)", () => {
    for (const num of [1, 2, 256]) {
      const { areas, memory, ...ring } = withPoison(num);
      vringAreas.clearRings(areas);
      expect(ring.brokenCanaries()).toEqual([]);
      for (const [start, bytes, fill] of [
        [areas.desc, descTableBytes(num), 0xa5],
        [areas.avail, availRingBytes(num), 0],
        [areas.used, usedRingBytes(num), 0],
      ] as const) {
        const seen = new Uint8Array(bytes);
        memory.copyOut(start, seen);
        expect([...new Set(seen)]).toEqual([fill]);
      }
    }
  });
});

function withPoison(num: number): { areas: VringAreas; memory: RealMemory; brokenCanaries: () => string[] } {
  const ring = new CanaryRing(num, true);
  for (const word of [ring.areas.avail, ring.areas.used]) ring.memory.copyIn(word, new Uint8Array(4).fill(0xa5));
  return { areas: ring.areas, memory: ring.memory, brokenCanaries: () => ring.brokenCanaries() };
}
