/** May the relay leave out marks that are there? What it marks, while somebody takes and copies, in every order. */
import { expect, test } from "vitest";
import { DirtyLog } from "../../src/dirty/dirty-log.js";
import { GpaMap } from "../../src/iova/gpa-map.js";
import { VHOST_ACCESS_RW } from "../../src/layout/vhost.js";
import { VRING_DESC_F_WRITE } from "../../src/layout/virtio-ring.js";
import type { Gpa, Iova } from "../../src/memory/address.js";
import { GuestMemory } from "../../src/memory/guest-memory.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { GuestMarks } from "../../src/relay/guest-marks.js";
import { ShadowVirtqueue } from "../../src/relay/shadow-virtqueue.js";
import { COUNTERS } from "../../src/telemetry/counters.js";
import { everyOrder, once, type Party, type StoreOrder } from "../helpers/every-order.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

// One region holds all: a guest's and a shadow ring of one descriptor, the payload's page, the log, the copies.
const GUEST = { num: 1, desc: 0, avail: 16, used: 24 };
const SHADOW = { num: 1, desc: 40, avail: 56, used: 64 };
const PAYLOAD = 80;
const LOG = 84;
const COPIES = 92;
const TOO_EARLY = 104;
const BYTES = 108;
const VALUE = 77;
// Page 0 holds the rings; the buffer lies in page 1, whose bytes the payload stands for.
const BUFFER_GPA = 4096;
const ALL_MARKED = 3;

type Relay = typeof ShadowVirtqueue;

function relayOver(memory: SharedMemory, Shadow: Relay, DirtyLogClass = DirtyLog): ShadowVirtqueue {
  const map = new GpaMap(0);
  map.add({ gpa: 0 as Gpa, bytes: 8192, iova: 0 as Iova, perm: VHOST_ACCESS_RW });
  const counters = new Float64Array(Object.keys(COUNTERS).length);
  const log = new DirtyLogClass(memory, LOG, 64 * 4096);
  const areas = { descMemory: memory, availMemory: memory, usedMemory: memory };
  const guest = { ...GUEST, ...areas };
  return new Shadow({
    guest,
    shadow: { ...SHADOW, ...areas },
    guestMemory: new GuestMemory([{ gpa: 0, bytes: BYTES, memory }]),
    map,
    marks: new GuestMarks(log, "all-writable", guest.used, guest.num, counters),
    eventIdx: false,
    indirect: false,
    deviceKick: { signal: () => {} },
    guestCall: { signal: () => {} },
    counters,
    start: { lastAvailIdx: 0, usedIdx: 0 },
  });
}

/** Memory with one chain forwarded to the device, and the books of the relay that did it. */
function forwarded(): { bytes: Uint8Array; books: Int32Array[] } {
  const buffer = new SharedArrayBuffer(BYTES);
  const memory = new RealMemory(buffer);
  memory.write32(GUEST.desc, BUFFER_GPA);
  memory.write32(GUEST.desc + 8, 4);
  memory.write16(GUEST.desc + 12, VRING_DESC_F_WRITE);
  memory.publish16(GUEST.avail + 2, 1);
  const relay = relayOver(memory, ShadowVirtqueue);
  expect(relay.forwardAvail()).toBe(true);
  memory.takeBits32(LOG);
  return { bytes: new Uint8Array(buffer).slice(), books: relay.parts().tables.map((table) => Int32Array.from(table)) };
}

const writeBuffer = (memory: SharedMemory) => memory.write32(PAYLOAD, VALUE);
const returnChain = (memory: SharedMemory) => {
  memory.write32(SHADOW.used + 4, 0);
  memory.write32(SHADOW.used + 8, 4);
  memory.publish16(SHADOW.used + 2, 1);
};
/** A device as DeviceRing publishes: the buffer, the entry, the index, a fence. */
const device = once("device", (memory) => {
  writeBuffer(memory);
  returnChain(memory);
  memory.fence();
});

function relayParty(books: readonly Int32Array[], Shadow: Relay, Log: typeof DirtyLog): Party<number> {
  return once("relay", (memory) => {
    const relay = relayOver(memory, Shadow, Log);
    Object.assign(relay.state, { lastAvailIdx: 1, shadowAvailIdx: 1, armed: 0 });
    for (const [i, table] of relay.parts().tables.entries()) (table as Int32Array).set(books[i]!);
    if (!relay.forwardUsed()) memory.write32(TOO_EARLY, 1);
  });
}

/** Takes what is marked and copies it: the buffer's page, and of the used ring's the index. */
const migration = once("migration", (memory) => {
  const bits = memory.takeBits32(LOG);
  if ((bits & 2) !== 0) memory.write32(COPIES, memory.read32(PAYLOAD));
  if ((bits & 1) !== 0) memory.write32(COPIES + 4, memory.read16(GUEST.used + 2));
});

/** What the destination lacks once what is still marked is copied too. */
function judge(bytes: Uint8Array): string {
  const at = (offset: number) => new DataView(bytes.buffer).getUint32(offset, true);
  if (at(TOO_EARLY) === 1) return "too early";
  const left = at(LOG);
  const lost = [];
  if ((left & 2) === 0 && at(COPIES) !== at(PAYLOAD)) lost.push("buffer");
  if ((left & 1) === 0 && at(COPIES + 4) !== at(GUEST.used) >>> 16) lost.push("used ring");
  return lost.length === 0 ? "whole" : `lost: ${lost.join(", ")}`;
}

interface Variant {
  readonly order: StoreOrder;
  readonly parties?: readonly Party<number>[];
  readonly Shadow?: Relay;
  readonly Log?: typeof DirtyLog;
}

/** The outcomes with every page marked before and with none, but for a relay that looks before there is anything. */
function outcomes({ order, parties = [device], Shadow = ShadowVirtqueue, Log = DirtyLog }: Variant): string[] {
  const { bytes, books } = forwarded();
  const seen = new Set<string>();
  for (const marked of [0, ALL_MARKED]) {
    const start = bytes.slice();
    start[LOG] = marked;
    // What an earlier round copied, with the marks of today's writes still to come.
    const play = { order, bytes: start, parties: [...parties, relayParty(books, Shadow, Log), migration] };
    for (const outcome of everyOrder({ ...play, outcome: judge }).orders.keys()) seen.add(outcome);
  }
  return [...seen].filter((outcome) => outcome !== "too early").sort();
}

const ORDERS: readonly StoreOrder[] = ["sc", "tso", "pso"];

test.each(ORDERS)("a mark that is there is left out for buffers of the device, and nothing is lost: %s", (order) => {
  expect(outcomes({ order })).toEqual(["whole"]);
});

test("a device that writes a buffer after its index loses it, which the same plays see", () => {
  const late = once("device", (memory) => {
    returnChain(memory);
    writeBuffer(memory);
  });
  expect(outcomes({ order: "sc", parties: [late] })).toContain("lost: buffer");
});

test("the relay's own used ring, marked only where no mark is, is lost where stores wait in a buffer", async () => {
  const setBits = "this.memory.setBits32(this.offset + word * 4, bits);";
  const testFirst = "if ((this.memory.read32(this.offset + word * 4) & bits) !== bits) ";
  const patch: Patch = ["dirty/dirty-log.ts", setBits, testFirst + setBits];
  const { DirtyLog: Log } = await patchedCopy<{ DirtyLog: typeof DirtyLog }>("dirty/dirty-log.ts", patch);
  const unfenced: Patch = ["relay/shadow-virtqueue.ts", "    guest.usedMemory.fence();\n", ""];
  const { ShadowVirtqueue: Shadow } = await patchedCopy<{ ShadowVirtqueue: Relay }>(
    "relay/shadow-virtqueue.ts",
    unfenced,
  );
  expect(outcomes({ order: "sc", Shadow, Log })).toEqual(["whole"]);
  expect(outcomes({ order: "tso", Shadow, Log })).toContain("lost: used ring");
});
