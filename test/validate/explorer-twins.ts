/** Driver, relay and device with one thing gone each, and under which order of stores that shows. */
import type { Cast } from "../../src/validate/explorer/play.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

const DRIVER = "ring/driver-ring.ts";
const RELAY = "relay/shadow-virtqueue.ts";
const DEVICE = "ring/device-ring.ts";
const NOTIFICATION = "ring/notification.ts";

/** What a twin lacks. */
export type TwinKind = "fence" | "store-order" | "mark-order" | "recheck" | "hand-over" | "content";

export interface Twin {
  readonly what: string;
  readonly kind: TwinKind;
  /** The file of the class that lacks it. */
  readonly entry: string;
  readonly patches: readonly Patch[];
  /** Whether it shows with the log on; without one otherwise, because a mark is a fence that hides what lacks one. */
  readonly log?: boolean;
}

/** Which of sc, tso and pso find a twin of a kind. */
export const SIGNATURES: Readonly<Record<TwinKind, readonly [sc: boolean, tso: boolean, pso: boolean]>> = {
  fence: [false, true, true],
  "store-order": [false, false, true],
  "mark-order": [true, true, true],
  recheck: [true, true, true],
  "hand-over": [true, true, true],
  content: [true, true, true],
};

/** The classes with the twin in the place of one. */
export async function castWith({ entry, patches }: Pick<Twin, "entry" | "patches">): Promise<Partial<Cast>> {
  return patchedCopy<Partial<Cast>>(entry, ...patches);
}

function fence(what: string, entry: string, file: string, memory: string): Twin {
  return { what: `no fence: ${what}`, kind: "fence", entry, patches: [[file, `    ${memory}.fence();\n`, ""]] };
}

function armFence(what: string, entry: string, memory: string): Twin {
  return { what: `no fence: ${what}`, kind: "fence", entry, patches: [[NOTIFICATION, `  ${memory}.fence();\n`, ""]] };
}

function plainIndex(what: string, entry: string, publish: string): Twin {
  const patch: Patch = [entry, publish, publish.replace("publish16", "write16")];
  return { what: `a plain store: ${what}`, kind: "store-order", entry, patches: [patch] };
}

function noLook(what: string, entry: string, passage: string, instead: string): Twin {
  return { what: `no second look: ${what}`, kind: "recheck", entry, patches: [[entry, passage, instead]] };
}

const LATE_MARKS: readonly Patch[] = [
  [
    RELAY,
    "    if (log !== undefined) words += markMissing(log, markedAt, markedBits);\n    state.lastUsedIdx",
    "    this.late = [log, markedAt, markedBits];\n    state.lastUsedIdx",
  ],
  [
    RELAY,
    "this.#publishUsed(oldIdx);\n    if (fault",
    "this.#publishUsed(oldIdx);\n    markMissing(...this.late);\n    if (fault",
  ],
];

function wrong(what: string, entry: string, passage: string, instead: string): Twin {
  return { what, kind: "content", entry, patches: [[entry, passage, instead]] };
}

/** The index of one more entry, visible before the passage that writes the entry. */
function indexFirst(area: "avail" | "used", entry: string, passage: string): Twin {
  const publish = `areas.${area}Memory.publish16(areas.${area} + 2, state.${area}Idx + 1);`;
  return wrong(`the ${area} idx before its entry`, entry, passage, `${publish} ${passage}`);
}

export const TWINS: readonly Twin[] = [
  fence("driver, between its avail idx and the wish for kicks", DRIVER, DRIVER, "areas.availMemory"),
  armFence("driver, between asking for a call and looking", DRIVER, "ring.availMemory"),
  fence("relay, between the shadow avail idx and the wish for kicks", RELAY, RELAY, "shadow.availMemory"),
  fence("relay, between the guest's used idx and the wish for calls", RELAY, RELAY, "guest.usedMemory"),
  armFence("relay, between asking for a call and looking", RELAY, "ring.availMemory"),
  armFence("relay, between asking for a kick and looking", RELAY, "ring.usedMemory"),
  fence("device, between its used idx and the wish for calls", DEVICE, DEVICE, "areas.usedMemory"),
  armFence("device, between asking for a kick and looking", DEVICE, "ring.usedMemory"),

  plainIndex("the driver's avail idx", DRIVER, "areas.availMemory.publish16(areas.avail"),
  plainIndex("the relay's avail idx", RELAY, "shadow.availMemory.publish16(shadow.avail"),
  plainIndex("the relay's used idx", RELAY, "guest.usedMemory.publish16(guest.used"),
  plainIndex("the device's used idx", DEVICE, "areas.usedMemory.publish16(areas.used"),

  { what: "buffers marked behind the used idx", kind: "mark-order", entry: RELAY, patches: LATE_MARKS, log: true },

  {
    what: "descriptors read after they were handed back",
    kind: "hand-over",
    entry: DEVICE,
    patches: [[DEVICE, "areas.usedMemory.fence();", "areas.usedMemory.fence(); areas.descMemory.read32(areas.desc);"]],
  },
  indexFirst("avail", DRIVER, "const slot = state.availIdx & (areas.num - 1);"),
  indexFirst("used", DEVICE, "const at = areas.used + VRING_USED.offsets.ring"),
  wrong(
    "a store behind the end",
    DEVICE,
    "    this.#outstanding[head] = 0;",
    "    areas.usedMemory.write32(at + 12, 0);",
  ),
  wrong("an address that is not translated", RELAY, "(page + mappings[mapping + MAP_DELTA]!) | 0", "page | 0"),
  wrong("a length of its own", RELAY, "guestUsed.write32(to + 4, length);", "guestUsed.write32(to + 4, length - 1);"),
  wrong("a used entry taken twice", RELAY, "lastUsedIdx = (lastUsedIdx + 1) & 0xffff;", ""),

  noLook("the driver, for used entries", DRIVER, "return !this.#observeUsedIdx();", "return true;"),
  noLook("the relay, for used entries", RELAY, "if (this.#observeShadowUsed() !== 0) return false;\n", "\n"),
  noLook("the relay, for available ones", RELAY, "return this.#observeGuestAvail() === 0;", "return true;"),
  noLook("the device, for available entries", DEVICE, "return !this.#observeAvailIdx();", "return true;"),
  {
    what: "no look at all: the relay arms behind its second look",
    kind: "recheck",
    entry: RELAY,
    patches: [
      [RELAY, "    armKicks(guest, eventIdx, state.lastAvailIdx);\n    this.#parts.marks.eventWord();\n", ""],
      [
        RELAY,
        "return this.#observeGuestAvail() === 0;",
        "const none = this.#observeGuestAvail() === 0; armKicks(guest, eventIdx, state.lastAvailIdx); return none;",
      ],
    ],
  },
];
