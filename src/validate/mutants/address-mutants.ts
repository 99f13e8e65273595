import { inWalk, type Mutant, type SourcePatch } from "./mutant.js";

const ODD = "relay/odd-buffers.js";
const MAP = "iova/gpa-map.js";
const QUEUES = "relay/relay-queues.js";
const RELAY = "relay/relay.js";

const STOP = "this.#bases[queue] = path.stop(";

/** Translation and life cycle: rows 6 to 13, 28, 32 and 33 of the behaviour map's history. */
export const ADDRESS_MUTANTS: readonly Mutant[] = [
  {
    name: "exact-fit-refused",
    row: "SVQ-6.6",
    what: "refuses a buffer that ends where its mapping does",
    patches: [
      inWalk("last <= mappings[mapping + MAP_LAST] &&", "last < mappings[mapping + MAP_LAST] &&"),
      odd(
        "const into = at - mapping.gpa;",
        `const into = at - mapping.gpa;
            if (length > 0 && into + length - done === mapping.bytes)
                return -ADDRESS_UNMAPPED;`,
      ),
    ],
  },
  {
    name: "end-not-checked",
    row: "SVQ-6.6",
    what: "looks where a buffer begins, and not where it ends",
    patches: [inWalk("last <= mappings[mapping + MAP_LAST] && ", "")],
  },
  {
    name: "wrong-map-deleted",
    row: "SVQ-6.7",
    what: "removes its first mapping, whichever it was asked to",
    patches: [
      {
        file: MAP,
        find: "copyRows(this.table, 0, table, 0, row);",
        replace: "copyRows(this.table, 1, table, 0, row);",
      },
    ],
  },
  {
    name: "call-not-rewired",
    row: "SVQ-6.11",
    what: "does not wire the notifications after a change of data path",
    patches: [
      {
        file: RELAY,
        find: "    return false;\n                this.#queues.attach(this.#path);",
        replace: "    return false;",
      },
    ],
    tries: ["logging-on"],
  },
  {
    name: "base-of-the-shadow",
    row: "SVQ-6.12",
    what: "says where its own rings stand when asked for the guest's",
    patches: [
      inWalk(
        "return { lastAvailIdx: state.lastAvailIdx, usedIdx: state.guestUsedIdx };",
        "return { lastAvailIdx: state.shadowAvailIdx, usedIdx: state.lastUsedIdx };",
      ),
    ],
    tries: ["BI-53", "BI-98"],
  },
  {
    name: "no-rewind",
    row: "SVQ-6.13",
    what: "stops without taking back what was never fetched",
    patches: [inWalk("for (let i = 0; i < unfetched; i++) {", "for (let i = 0; i < 0; i++) {")],
    tries: ["BI-53", "BI-98"],
  },
  {
    name: "used-ring-mapped-short",
    row: "SVQ-6.28",
    what: "maps the entries of a used ring, and not what stands before and behind them",
    patches: [
      {
        file: "relay/address-plan.js",
        find: "deviceArea.offset }, deviceArea.bytes, VHOST_ACCESS_RW);\n        if",
        replace: "deviceArea.offset }, Math.max(deviceArea.bytes - 4096, 4096), VHOST_ACCESS_RW);\n        if",
      },
    ],
  },
  {
    name: "misses-wait-for-the-switch",
    row: "SVQ-6.32",
    what: "answers no translation while it waits for a device to rest, which waits for one",
    patches: [
      {
        file: RELAY,
        find: "moved = iotlb.poll(this.#plan.tree) || moved;",
        replace: "moved = (!this.switching && iotlb.poll(this.#plan.tree)) || moved;",
      },
    ],
    tries: ["remap"],
  },
  {
    name: "late-completion-left",
    row: "SVQ-6.33",
    what: "does not look at the used ring again when the device has come to rest",
    patches: [{ file: QUEUES, find: `path.drain();\n`, replace: "\n" }],
    tries: ["remap"],
  },
  {
    name: "life-before-forgotten",
    row: "BI-112",
    what: "begins at zero when it takes over from a relay that died",
    patches: [{ file: QUEUES, find: "parts.ringStates?.[queue] ??", replace: "undefined ??" }],
    tries: ["relay-kill", "restore"],
  },
  {
    name: "base-of-the-device-unread",
    row: "SVQ-6.13",
    what: "goes on from where it thinks that the device stands",
    patches: [
      {
        file: QUEUES,
        find: `${STOP}checkedRingState(deviceSide.queueBase(queue), size));`,
        replace: `${STOP}checkedRingState({ lastAvailIdx: path.state.shadowAvailIdx, usedIdx: 0 }, size));`,
      },
    ],
    tries: ["remap"],
  },
];

function odd(find: string, replace: string): SourcePatch {
  return { file: ODD, find, replace };
}
