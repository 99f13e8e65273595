import type { SourcePatch } from "../mutants/mutant.js";

/** What a twin lacks. */
export type TwinKind = "fence" | "store-order" | "mark-order" | "recheck" | "hand-over" | "content";

/** Which orders of stores show that something is wrong. */
export interface Signature {
  readonly sc: boolean;
  readonly tso: boolean;
  readonly pso: boolean;
}

/** One of the three with one thing gone. */
export interface Twin {
  readonly name: string;
  /** What is gone, in a few words. */
  readonly what: string;
  readonly kind: TwinKind;
  /** The built file of the class that lacks it; only that class comes from the patched copy. */
  readonly entry: string;
  readonly patches: readonly SourcePatch[];
  /** Whether it shows with the log on; without one otherwise, because a mark is a fence that hides what lacks one. */
  readonly log: boolean;
}

/** Which of sc, tso and pso find a twin of a kind, and which must not. */
export const SIGNATURES: Readonly<Record<TwinKind, Signature>> = {
  fence: { sc: false, tso: true, pso: true },
  "store-order": { sc: false, tso: false, pso: true },
  "mark-order": { sc: true, tso: true, pso: true },
  recheck: { sc: true, tso: true, pso: true },
  "hand-over": { sc: true, tso: true, pso: true },
  content: { sc: true, tso: true, pso: true },
};

const DRIVER = "ring/driver-ring.js";
const RELAY = "relay/shadow-virtqueue.js";
const DEVICE = "ring/device-ring.js";
const NOTIFICATION = "ring/notification.js";

const ARMS_EARLY = "armKicks(guest, eventIdx, state.lastAvailIdx);\n        this.#parts.marks.eventWord();\n";
const LOOKS = "return this.#observeGuestAvail() === 0;";
const LATE =
  "const none = this.#observeGuestAvail() === 0; armKicks(guest, eventIdx, state.lastAvailIdx); return none;";

/** Every twin; the names are distinct. */
export const TWINS: readonly Twin[] = [
  fence("driver-kick", "driver, between its avail idx and the wish for kicks", DRIVER, "areas.availMemory"),
  armFence("driver-idle", "driver, between asking for a call and looking", DRIVER, "ring.availMemory"),
  fence("relay-kick", "relay, between the shadow avail idx and the wish for kicks", RELAY, "shadow.availMemory"),
  fence("relay-call", "relay, between the guest's used idx and the wish for calls", RELAY, "guest.usedMemory"),
  armFence("relay-idle-used", "relay, between asking for a call and looking", RELAY, "ring.availMemory"),
  armFence("relay-idle-avail", "relay, between asking for a kick and looking", RELAY, "ring.usedMemory"),
  fence("device-call", "device, between its used idx and the wish for calls", DEVICE, "areas.usedMemory"),
  armFence("device-idle", "device, between asking for a kick and looking", DEVICE, "ring.usedMemory"),

  plainIndex("driver-avail", "the driver's avail idx", DRIVER, "areas.availMemory.publish16(areas.avail"),
  plainIndex("relay-avail", "the relay's avail idx", RELAY, "shadow.availMemory.publish16(shadow.avail"),
  plainIndex("relay-used", "the relay's used idx", RELAY, "guest.usedMemory.publish16(guest.used"),
  plainIndex("device-used", "the device's used idx", DEVICE, "areas.usedMemory.publish16(areas.used"),

  {
    ...twin("mark-order", "marks-late", "buffers marked behind the used idx", RELAY),
    patches: [
      inFile(
        RELAY,
        "            words += markMissing(log, markedAt, markedBits);\n        state.lastUsedIdx",
        "            this.late = [log, markedAt, markedBits];\n        state.lastUsedIdx",
      ),
      inFile(
        RELAY,
        "this.#publishUsed(oldIdx);\n        if (fault",
        "this.#publishUsed(oldIdx);\n        markMissing(...this.late);\n        if (fault",
      ),
    ],
    log: true,
  },

  noLook("driver", "the driver, for used entries", DRIVER, "return !this.#observeUsedIdx();", "return true;"),
  noLook(
    "relay-used",
    "the relay, for used entries",
    RELAY,
    "if (this.#observeShadowUsed() !== 0)\n            return false;\n",
    "\n",
  ),
  noLook("relay-avail", "the relay, for available ones", RELAY, LOOKS, "return true;"),
  noLook("device", "the device, for available entries", DEVICE, "return !this.#observeAvailIdx();", "return true;"),
  {
    ...twin("recheck", "relay-arms-late", "the relay arms behind its second look", RELAY),
    patches: [inFile(RELAY, ARMS_EARLY, ""), inFile(RELAY, LOOKS, LATE)],
  },

  {
    ...twin("hand-over", "device-reads-back", "descriptors read after they were handed back", DEVICE),
    patches: [
      inFile(DEVICE, "areas.usedMemory.fence();", "areas.usedMemory.fence(); areas.descMemory.read32(areas.desc);"),
    ],
  },

  indexFirst("avail", DRIVER, "const slot = state.availIdx & (areas.num - 1);"),
  indexFirst("used", DEVICE, "const at = areas.used + RING_ENTRIES"),
  wrong(
    "store-behind-the-end",
    "a store behind the end",
    DEVICE,
    "        this.#outstanding[head] = 0;",
    "        areas.usedMemory.write32(at + 12, 0);",
  ),
  wrong(
    "address-as-it-is",
    "an address that is not translated",
    RELAY,
    "(page + mappings[mapping + MAP_DELTA]) | 0",
    "page | 0",
  ),
  wrong(
    "length-of-its-own",
    "a length of its own",
    RELAY,
    "guestUsed.write32(to + 4, length);",
    "guestUsed.write32(to + 4, length - 1);",
  ),
  wrong("used-twice", "a used entry taken twice", RELAY, "lastUsedIdx = (lastUsedIdx + 1) & 0xffff;", ""),
];

function inFile(file: string, find: string, replace: string): SourcePatch {
  return { file, find, replace };
}

function twin(kind: TwinKind, name: string, what: string, entry: string): Omit<Twin, "patches"> {
  return { name, what, kind, entry, log: false };
}

function fence(name: string, what: string, entry: string, memory: string): Twin {
  const patches = [inFile(entry, `        ${memory}.fence();\n`, "")];
  return { ...twin("fence", `${name}-no-fence`, `no fence: ${what}`, entry), patches };
}

/** The fence is in a file that two of them share; the copy of `entry` alone imports it patched. */
function armFence(name: string, what: string, entry: string, memory: string): Twin {
  const patches = [inFile(NOTIFICATION, `    ${memory}.fence();\n`, "")];
  return { ...twin("fence", `${name}-no-fence`, `no fence: ${what}`, entry), patches };
}

function plainIndex(name: string, what: string, entry: string, publish: string): Twin {
  const patches = [inFile(entry, publish, publish.replace("publish16", "write16"))];
  return { ...twin("store-order", `${name}-plain`, `a plain store: ${what}`, entry), patches };
}

function noLook(name: string, what: string, entry: string, find: string, replace: string): Twin {
  const patches = [inFile(entry, find, replace)];
  return { ...twin("recheck", `${name}-no-second-look`, `no second look: ${what}`, entry), patches };
}

function wrong(name: string, what: string, entry: string, find: string, replace: string): Twin {
  return { ...twin("content", name, what, entry), patches: [inFile(entry, find, replace)] };
}

/** The index of one more entry, visible before the passage that writes the entry. */
function indexFirst(area: "avail" | "used", entry: string, passage: string): Twin {
  const publish = `areas.${area}Memory.publish16(areas.${area} + 2, state.${area}Idx + 1);`;
  return wrong(`${area}-idx-first`, `the ${area} idx before its entry`, entry, passage, `${publish} ${passage}`);
}
