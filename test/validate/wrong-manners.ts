import {
  CROWDED,
  CROWDED_BY_EVENT,
  JUMPING,
  LOOP,
  ONE,
  offer,
  program,
  publish,
  raw,
  relay,
  THERE,
  TWO,
  TWO_BY_EVENT,
  UNMAPPED,
  W,
  WAITING,
  type WrongRelay,
} from "./wrong-relays.js";

const PUBLISH_AVAIL = "shadow.availMemory.publish16(shadow.avail + RING_IDX, shadowAvailIdx);";
const AVAIL_FENCE = "    shadow.availMemory.fence();\n";

/** Relays that leave somebody asleep, look twice, go on too long, or are silent; the shipping one passes. */
export const WRONG_MANNERS: readonly WrongRelay[] = [
  {
    what: "does not ask for kicks before it sleeps",
    faults: [["    armKicks(guest, eventIdx, state.lastAvailIdx);\n", ""]],
    program: ONE,
    caught: ["O5", 11],
  },
  {
    what: "asks for kicks while it holds a chain",
    faults: [
      ["if (state.holding === 1) return true;", "if (state.holding === 1) return armKicks(guest, eventIdx, 0), true;"],
    ],
    program: CROWDED,
    caught: ["O5", 11],
  },
  {
    what: "asks by event index while it holds a chain",
    faults: [
      [
        "if (state.holding === 1) return true;",
        "if (state.holding === 1) return armKicks(guest, eventIdx, state.lastAvailIdx), true;",
      ],
    ],
    program: CROWDED_BY_EVENT,
    caught: ["O5", 11],
  },
  {
    what: "goes on holding when there is room",
    faults: [
      ["    state.guestUsedIdx = guestUsedIdx;\n    state.holding = 0;\n", "    state.guestUsedIdx = guestUsedIdx;\n"],
    ],
    program: CROWDED,
    caught: ["O5", 12],
  },
  {
    what: "forwards what the device has no right to",
    faults: [["mappings[mapping + MAP_PERM]! & (writable ? DEVICE_WRITES : DEVICE_READS)", "3"]],
    program: program([offer(W(0x6000)), publish, relay], { map: "split" }),
    caught: ["O8", 36],
  },
  {
    what: "does not kick",
    faults: [["if (kickWanted(shadow, eventIdx, shadowAvailIdx, oldIdx)) {", "if (counters === undefined) {"]],
    program: ONE,
    caught: ["O5", 25],
  },
  {
    what: "kicks before it publishes",
    faults: [
      [PUBLISH_AVAIL, `deviceKick.signal();\n    ${PUBLISH_AVAIL}`],
      ["      deviceKick.signal();\n", ""],
    ],
    program: ONE,
    caught: ["O5", 25],
  },
  {
    what: "does not call",
    faults: [["    guestCall.signal();\n", ""]],
    program: ONE,
    caught: ["O5", 25],
  },
  {
    what: "looks at the guest's wish without a fence",
    faults: [["    guest.usedMemory.fence();\n", ""]],
    program: program([offer(W(0x5000)), ...THERE, ...calm(), ...serve()]),
    caught: ["O5", 25],
  },
  {
    what: "looks at the device's wish without a fence",
    faults: [[AVAIL_FENCE, ""]],
    program: program([offer(W(0x5000)), publish, relay, offer(W(0x5000)), publish, relay], { eventIdx: true }),
    caught: ["O5", 25],
  },
  {
    what: "sleeps without another look",
    faults: [["    return this.#observeGuestAvail() === 0;\n  }\n\n  drain", "    return true;\n  }\n\n  drain"]],
    program: ONE,
    caught: ["O5", 25],
  },
  {
    what: "asks to be told, and does not fence",
    faults: [
      [
        "ring/notification.ts",
        "VRING_USED.offsets.flags, 0);\n  ring.usedMemory.fence();",
        "VRING_USED.offsets.flags, 0);",
      ],
    ],
    program: ONE,
    caught: ["O5", 25],
  },
  {
    what: "does not ask for calls before it sleeps",
    faults: [["    armCalls(shadow, eventIdx, state.lastUsedIdx);\n", ""]],
    program: WAITING,
    caught: ["O5", 25],
  },
  {
    what: "mixes up the indices of its two rings",
    faults: [["armKicks(guest, eventIdx, state.lastAvailIdx)", "armKicks(guest, eventIdx, state.shadowAvailIdx)"]],
    program: program(TWO.actions, { eventIdx: true, start: 1000 }),
    caught: ["O5", 26],
  },
  {
    what: "applies the rule to the last entry of a batch only",
    faults: [
      [
        "if (kickWanted(shadow, eventIdx, shadowAvailIdx, oldIdx)) {",
        "if (kickWanted(shadow, eventIdx, shadowAvailIdx, u16(shadowAvailIdx - 1))) {",
      ],
    ],
    program: TWO_BY_EVENT,
    caught: ["O5", 25],
  },
  {
    what: "asks by event index where that was not negotiated",
    faults: [
      ["    armCalls(shadow, eventIdx, state.lastUsedIdx);\n", "    armCalls(shadow, true, state.lastUsedIdx);\n"],
    ],
    program: ONE,
    caught: ["O5", 26],
  },
  {
    what: "passes over a chain in silence",
    faults: [["    this.#quarantine(head);\n", "    state.lastAvailIdx = u16(state.lastAvailIdx + 1);\n"]],
    program: UNMAPPED,
    caught: ["O8", 36],
  },
  {
    what: "gives the queue up for what costs one chain",
    faults: [['PEER_FAULTS[reason] !== "quarantine"', 'reason !== "chain-empty"']],
    program: UNMAPPED,
    caught: ["O8", 36],
  },
  {
    what: "throws what is no fault of a peer",
    faults: [["    this.#quarantine(head);\n", '    throw new RangeError("beyond me");\n']],
    program: UNMAPPED,
    caught: ["O8", 36],
  },
  {
    what: "reads a length twice",
    faults: [
      ["const length = source.read32(at + 8);", "const length = source.read32(at + 8) & source.read32(at + 8);"],
    ],
    program: ONE,
    caught: ["O8", 37],
  },
  {
    what: "reads a table twice",
    faults: [
      [
        "          if (fault !== 0) break chains;\n          source",
        [
          "          if (fault === 0) fault = this.#odd.loadTable(low, high, length, word & 7, false, elements);\n",
          "          if (fault !== 0) break chains;\n          source",
        ].join(""),
      ],
    ],
    program: TWO,
    caught: ["O8", 37],
  },
  {
    what: "reads an avail entry twice",
    faults: [
      [
        "      let source = guestDesc;",
        "      head = guestAvail.read16(guestRing + ((lastAvailIdx & (num - 1)) << 1));\n      let source = guestDesc;",
      ],
    ],
    program: ONE,
    caught: ["O8", 37],
  },
  {
    what: "reads a used entry twice",
    faults: [
      [
        "let length = shadowUsed.read32(from + 4);",
        "let length = shadowUsed.read32(from + 4) & shadowUsed.read32(from + 4);",
      ],
    ],
    program: ONE,
    caught: ["O8", 37],
  },
  {
    what: "follows a loop for ever",
    faults: [["if (elements === num || (flagsSeen", "if ((flagsSeen"]],
    program: LOOP,
    caught: ["O7", 38],
  },
  {
    what: "goes on for as long as a guest adds",
    faults: [["    return this.forwardAvail() || returned;\n", "    while (this.forwardAvail());\n    return true;\n"]],
    program: program([
      { op: "offer-raw", slot: 0, descriptors: [raw(0x3000, 0, 0, 0)] },
      ...[1, 2, 3].map(() => ({ op: "offer-head", head: 0 }) as const),
      publish,
      {
        op: "ambush",
        by: "guest",
        access: 40,
        poke: { space: 0, offset: 0x1042, width: 2, value: 4 },
      },
      relay,
    ]),
    caught: ["O7", 38],
  },
  {
    what: "never sleeps",
    faults: [["    return this.#observeGuestAvail() === 0;\n  }\n\n  drain", "    return false;\n  }\n\n  drain"]],
    program: ONE,
    caught: ["O7", 38],
  },
  {
    what: "says that it moved something, and did not",
    faults: [
      ["    return this.forwardAvail() || returned;\n", "    return this.forwardAvail() || returned || true;\n"],
    ],
    program: ONE,
    caught: ["O7", 38],
  },
  {
    what: "takes what it can of a used index that runs ahead",
    faults: [
      [
        "if (waiting > this.inFlight) {",
        "if (waiting > this.inFlight) return this.inFlight;\n    if (waiting > this.inFlight) {",
      ],
    ],
    program: JUMPING,
    caught: ["O8", 40],
  },
];

/** The guest asks not to be called. */
function calm() {
  return [{ op: "poke", by: "guest", poke: { space: 0, offset: 0x1040, width: 2, value: 1 } }] as const;
}

function serve() {
  return [{ op: "use", nth: 0, bytes: 8 }, { op: "publish-used" }, relay, { op: "reap" }] as const;
}
