import { VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../layout/virtio-ring.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { GuestMemory } from "../../memory/guest-memory.js";
import { RealMemory } from "../../memory/real-memory.js";
import type { DeviceRing } from "../../ring/device-ring.js";
import { type FaultReason, PEER_FAULTS, PeerFault } from "../../ring/peer-fault.js";
import { Bench, Ground } from "../rig/ground.js";
import type { Extent } from "../rig/naive-walker.js";
import type { Action, RawDescriptor } from "../rig/program.js";
import { runProgram } from "../rig/rig.js";
import {
  BUFFERS_GPA,
  READ_ONLY_GPA,
  RIG_END,
  RIG_REGIONS,
  type RigSetup,
  SPACE,
  TABLES_GPA,
  UNMAPPED_GPA,
} from "../rig/world.js";
import { Books } from "./books.js";
import { Random } from "./random.js";
import { type Makers, SHIPPING_PARTS } from "./wirings.js";

/** One head, and all descriptors that may be behind it. */
export interface WalkProgram {
  readonly setup: RigSetup;
  readonly head: number;
  /** The whole table of the ring. */
  readonly descriptors: readonly RawDescriptor[];
  /** What stands at TABLES_GPA. */
  readonly table: readonly RawDescriptor[];
}

/** Where the device half of a ring may judge otherwise than the book of shapes, and why. */
export const WALKER_DIFFERENCES: Readonly<Partial<Record<FaultReason, string>>> = {
  "chain-empty": "a device has nothing to do for it and nothing against it; a relay could not show it in its ring",
  "chain-bytes-overflow": "only a relay sums lengths, for its own int32 books; a device moves what its model asks for",
};

/** Makes the table of a seed and an index: mostly plausible, since noise ends at the first descriptor. */
export function walkProgram(seed: number, index: number): WalkProgram {
  const random = new Random(seed ^ 0x5a17, index);
  const num = random.pick([1, 2, 4, 8, 16, 16]);
  const setup: RigSetup = {
    num,
    shadowNum: random.pick([1, 2, 4, 8, 16, 16]),
    eventIdx: false,
    indirect: !random.once(4),
    log: false,
    map: random.once(2) ? "flat" : "split",
    start: random.below(65_536),
  };
  const noise = random.pick([4, 12, 40]);
  const chain = (count: number) => Array.from({ length: count }, (_, i) => descriptor(random, i, count, noise));
  const head = random.once(40) ? num + random.below(65_536 - num) : random.below(num);
  return { setup, head, descriptors: chain(num), table: chain(1 + random.below(2 * num)) };
}

/** Far above RAM; where a rig maps something there, three such lengths are more than a chain may hold. */
const FAR_GPA = 2 ** 33;
const FAR_BYTES = 2 ** 31 - PAGE_BYTES;

const ADDRESSES = [
  BUFFERS_GPA,
  BUFFERS_GPA + 2 * PAGE_BYTES,
  READ_ONLY_GPA,
  UNMAPPED_GPA,
  RIG_REGIONS[0].bytes,
  RIG_REGIONS[1].gpa,
  RIG_REGIONS[1].gpa + 2 * PAGE_BYTES,
  RIG_END,
  FAR_GPA,
  2 ** 43,
];
const HUGE_ADDRESSES = [2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

function descriptor(random: Random, index: number, count: number, noise: number): RawDescriptor {
  if (random.once(8)) return pointer(random, noise, index);
  const late = index * 2 >= count;
  const odd = random.once(noise);
  const writable = random.once(odd ? 2 : 6) ? random.once(2) : late;
  const more = index + 1 < count ? !random.once(4) : odd;
  const base = random.pick(
    odd ? ADDRESSES : [BUFFERS_GPA, BUFFERS_GPA, BUFFERS_GPA + 2 * PAGE_BYTES, RIG_REGIONS[1].gpa, READ_ONLY_GPA],
  );
  const length = random.pick(odd ? [0, 8, 5000, 0x8000_0000, 0xffff_ffff, FAR_BYTES] : [0, 1, 64, 4096, 9000]);
  const address = BigInt(base + random.pick([0, 1, 4000, -4, 0])) & (2n ** 64n - 1n);
  return {
    address: odd && random.once(4) ? random.pick(HUGE_ADDRESSES) : address,
    length,
    // Bits of a split ring that nobody knows have to be ignored.
    flags: (more ? VRING_DESC_F_NEXT : 0) | (writable ? VRING_DESC_F_WRITE : 0) | (odd ? random.below(4096) << 3 : 0),
    next: odd ? random.pick([0, index, count, 65_535, random.below(count)]) : index + 1,
  };
}

function pointer(random: Random, noise: number, index: number): RawDescriptor {
  const odd = random.once(noise);
  const entries = 1 + random.below(6);
  return {
    address: odd
      ? random.pick([...HUGE_ADDRESSES, BigInt(RIG_REGIONS[0].bytes - 16), BigInt(RIG_END)])
      : BigInt(TABLES_GPA + 16 * random.below(4)),
    length: odd ? random.pick([0, 15, 17, 16 * 17, 0xffff_fff0]) : 16 * entries,
    flags: VRING_DESC_F_INDIRECT | random.pick([0, 0, VRING_DESC_F_WRITE, odd ? VRING_DESC_F_NEXT : 0]),
    next: index + 1,
  };
}

/** Holds the device half's walker and the relay's against the naive one, a table at a time. */
export class Walkers {
  readonly #make: Makers;
  readonly #bench = new Bench();
  readonly #ground = new Ground(16);
  readonly #memories = this.#ground.sheets.map(({ bytes }) => new RealMemory(bytes.buffer));
  readonly #guestMemory = new GuestMemory(RIG_REGIONS.map((region, i) => ({ ...region, memory: this.#memories[i]! })));

  constructor(make: Makers = SHIPPING_PARTS) {
    this.#make = make;
  }

  /** What two walkers say differently of a program; undefined when nothing. */
  difference(program: WalkProgram): string | undefined {
    for (const { bytes } of this.#ground.sheets) bytes.fill(0);
    const books = new Books(program.setup, program.setup.shadowNum, this.#ground);
    this.#layOut(program, books);
    return this.#deviceHalf(program, books) ?? this.#relay(program, books);
  }

  #layOut({ setup, head, descriptors, table }: WalkProgram, { world }: Books): void {
    const view = this.#ground.views[SPACE.low]!;
    const write = (at: number, { address, length, flags, next }: RawDescriptor) => {
      view.setBigUint64(at, address, true);
      view.setUint32(at + 8, length, true);
      view.setUint16(at + 12, flags, true);
      view.setUint16(at + 14, next, true);
    };
    for (const [i, each] of descriptors.entries()) write(world.guestRing.desc + i * 16, each);
    for (const [i, each] of table.entries()) write(TABLES_GPA + i * 16, each);
    view.setUint16(world.guestRing.avail + 4 + (setup.start & (setup.num - 1)) * 2, head, true);
    view.setUint16(world.guestRing.avail + 2, (setup.start + 1) & 0xffff, true);
  }

  #deviceHalf({ setup, head }: WalkProgram, books: Books): string | undefined {
    const memory = this.#memories[SPACE.low]!;
    const areas = { num: setup.num, ...books.world.guestRing };
    const ring = this.#make.deviceRing(
      { ...areas, descMemory: memory, availMemory: memory, usedMemory: memory },
      setup,
      (address, target) => (this.#guestMemory.copyOut(address, target) ? "ok" : "unmapped"),
      { lastAvailIdx: setup.start, usedIdx: setup.start },
    );
    const said = judgementOf(ring);
    const { judged, exact } = books.shape(head);
    const due = judged.outcome === "refuse" ? judged.reason : undefined;
    const excused = due !== undefined && due in WALKER_DIFFERENCES;
    if (said !== (excused ? undefined : due)) {
      return `device half: ${said ?? "forward"}, where the book says ${due ?? "forward"}`;
    }
    return judged.outcome === "forward" && exact ? extentDifference(ring, judged.extents) : undefined;
  }

  /** The rig compares extents; of a chain that costs only itself a relay does not say why it came back. */
  #relay({ setup, head, descriptors, table }: WalkProgram, books: Books): string | undefined {
    const turned = [...descriptors.slice(head), ...descriptors.slice(0, head)];
    const offer: Action =
      head < setup.num ? { op: "offer-raw", slot: head, descriptors: turned, table } : { op: "offer-head", head };
    const actions: Action[] = [offer, { op: "publish" }, { op: "relay" }, { op: "relay" }];
    const ran = runProgram({ setup, actions }, this.#make.svq, undefined, this.#bench);
    if (ran.violation !== undefined) return `relay: ${ran.violation.message}`;
    const judged = books.relayed(head);
    const due = judged.outcome === "refuse" ? judged.reason : undefined;
    const returned = due !== undefined && PEER_FAULTS[due] === "quarantine";
    const agrees =
      ran.broken === (returned ? undefined : due) &&
      ran.forwarded === (due === undefined ? 1 : 0) &&
      ran.quarantined === (returned ? 1 : 0);
    if (agrees) return undefined;
    return `relay: ${ran.broken ?? `${ran.forwarded} forwarded, ${ran.quarantined} returned`}, due ${due ?? "forward"}`;
  }
}

function judgementOf(ring: DeviceRing): FaultReason | "not taken" | undefined {
  try {
    return ring.takeAvail() ? undefined : "not taken";
  } catch (error) {
    if (!(error instanceof PeerFault)) throw error;
    return error.reason;
  }
}

function extentDifference({ chain }: DeviceRing, due: readonly Extent[]): string | undefined {
  const seen: Extent[] = [];
  for (let i = 0; i < chain.count; i++) {
    const bytes = chain.lengths[i]!;
    if (bytes > 0) seen.push({ gpa: chain.addresses[i]!, bytes, writable: i >= chain.readableCount });
  }
  const text = (extents: readonly Extent[]) =>
    extents.map(({ gpa, bytes, writable }) => `${writable ? "w" : "r"}${gpa}+${bytes}`).join(" ");
  return text(seen) === text(due) ? undefined : `device half: ${text(seen)}, where the book says ${text(due)}`;
}
