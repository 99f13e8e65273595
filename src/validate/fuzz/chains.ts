import { VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../layout/virtio-ring.js";
import { PAGE_BYTES } from "../../memory/address.js";
import type { Random } from "../differential/random.js";
import type { Action, Element, RawDescriptor } from "../rig/program.js";
import { BUFFERS_GPA, READ_ONLY_GPA, RIG_REGIONS, type RigSetup, TABLES_GPA, WIDE_GPA } from "../rig/world.js";
import { ADDRESSES, HUGE_LENGTHS, LENGTHS, TABLE_PLACES } from "./boundaries.js";

const HIGH_GPA = RIG_REGIONS[1].gpa;
const LOW_PAGES = [BUFFERS_GPA, BUFFERS_GPA + PAGE_BYTES, BUFFERS_GPA + 2 * PAGE_BYTES];
const ALL_PAGES = [...LOW_PAGES, ...[0, 1, 2, 3].map((page) => HIGH_GPA + page * PAGE_BYTES)];
/** Pages that a buffer may run on from, with every map. */
const PAGES_BEFORE_MORE = [BUFFERS_GPA, BUFFERS_GPA + PAGE_BYTES];
const SIZES = [1, 2, 7, 16, 64, 512, 1500, PAGE_BYTES];

/** A chain by the rules: readable elements before writable ones, all of it mapped, and never more than fits. */
export function goodChain(random: Random, setup: RigSetup): Extract<Action, { op: "offer" }> {
  const most = Math.min(setup.num, setup.shadowNum, random.once(8) ? 16 : 3);
  const count = 1 + random.below(most);
  const readable = random.below(count + 1);
  const mayCross = count * 2 <= setup.shadowNum;
  const elements: Element[] = [];
  for (let i = 0; i < count; i++) elements.push(goodElement(random, setup, i >= readable, mayCross));
  const form = setup.indirect ? random.pick(["direct", "indirect", "mixed"] as const) : "direct";
  return { op: "offer", elements, form };
}

function goodElement(random: Random, { map }: RigSetup, writable: boolean, mayCross: boolean): Element {
  if (mayCross && random.once(6)) {
    const before = 1 + random.below(64);
    return { gpa: random.pick(PAGES_BEFORE_MORE) + PAGE_BYTES - before, bytes: before + random.below(128), writable };
  }
  const readOnly = !writable && random.once(8);
  const page = readOnly ? READ_ONLY_GPA : random.pick(map === "wide" ? LOW_PAGES : ALL_PAGES);
  const offset = random.once(2) ? 0 : random.below(PAGE_BYTES);
  return { gpa: page + offset, bytes: Math.min(random.pick(SIZES), PAGE_BYTES - offset), writable };
}

/** A chain with something wrong, or nearly: one that is right, of which one or two fields are changed. */
export function badChain(random: Random, setup: RigSetup): Extract<Action, { op: "offer-raw" }> {
  const { num } = setup;
  const slot = random.below(num);
  const descriptors = rightDescriptors(random, setup, slot, 1 + random.below(Math.min(num + 1, 5)));
  let table: RawDescriptor[] | undefined;
  if (random.once(3)) {
    const entries = 1 + random.below(Math.min(num + 1, 6));
    table = rightDescriptors(random, setup, 0, entries);
    const at = random.below(descriptors.length);
    descriptors[at] = pointer(random, entries, setup);
    descriptors.length = at + 1;
  }
  for (let changes = random.below(3); changes > 0; changes--) {
    const list = table !== undefined && random.once(2) ? table : descriptors;
    const at = random.below(list.length);
    list[at] = changed(random, setup, list[at]!, slot);
  }
  return table === undefined ? { op: "offer-raw", slot, descriptors } : { op: "offer-raw", slot, descriptors, table };
}

function rightDescriptors(random: Random, setup: RigSetup, slot: number, count: number): RawDescriptor[] {
  const huge = setup.map === "wide" && random.once(2);
  const readable = random.below(count + 1);
  const list: RawDescriptor[] = [];
  for (let i = 0; i < count; i++) {
    const { gpa, bytes } = goodElement(random, setup, i >= readable, true);
    const last = i === count - 1;
    list.push({
      address: BigInt(huge ? WIDE_GPA + gpa : gpa),
      length: huge ? random.pick(HUGE_LENGTHS) : bytes,
      flags: (last ? 0 : VRING_DESC_F_NEXT) | (i >= readable ? VRING_DESC_F_WRITE : 0),
      next: last ? 0 : (slot + i + 1) % setup.num,
    });
  }
  return list;
}

function pointer(random: Random, entries: number, { num }: RigSetup): RawDescriptor {
  const odd = random.once(3);
  return {
    address: random.once(2) ? BigInt(TABLES_GPA) : random.pick(TABLE_PLACES),
    length: odd ? random.pick([0, 1, 15, 17, 16 * num, 16 * num + 16, 2 ** 31, 2 ** 32 - 16]) : entries * 16,
    flags: VRING_DESC_F_INDIRECT | (random.once(8) ? VRING_DESC_F_NEXT : 0) | (random.once(8) ? VRING_DESC_F_WRITE : 0),
    next: random.below(num),
  };
}

function changed(random: Random, { num }: RigSetup, descriptor: RawDescriptor, slot: number): RawDescriptor {
  switch (random.below(6)) {
    case 0:
      return { ...descriptor, address: random.pick(ADDRESSES) };
    case 1:
      return { ...descriptor, length: random.pick(LENGTHS) };
    case 2:
      return { ...descriptor, flags: random.once(8) ? random.below(0x1_0000) : random.below(8) };
    case 3:
      return { ...descriptor, next: random.pick([num, num - 1, 0, slot, 0xffff, 0x8000]) };
    case 4:
      return { ...descriptor, length: 0 };
    default:
      return { ...descriptor, flags: descriptor.flags | VRING_DESC_F_NEXT, next: random.below(num + 1) };
  }
}
