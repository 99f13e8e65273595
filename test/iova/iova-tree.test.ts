import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type IovaMapping, IovaTree } from "../../src/iova/iova-tree.js";
import { VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO } from "../../src/layout/vhost.js";
import type { Gpa, Iova } from "../../src/memory/address.js";
import { NaiveAllocator } from "./naive-allocator.js";

const PAGE = 4096;
const gpaOf = (page: number) => (page * PAGE) as Gpa;
const iovaOf = (page: number) => (page * PAGE) as Iova;
const RING = { backing: 1, offset: 0 };

function treeOf(first: number, last: number): IovaTree {
  return new IovaTree({ first: first as Iova, last: last as Iova });
}

/** All that can be seen of a tree. */
function picture(tree: IovaTree): unknown {
  return { size: tree.size, mappings: tree.toJSON(), guest: [...tree.guestMap.entries()] };
}

/** What is wrong between the two halves of a tree (invariants 15, 16 and 18). */
function treeFaults(tree: IovaTree): string[] {
  const mappings = tree.toJSON();
  const faults = mappings.flatMap(({ iova, bytes }, index) => {
    const next = mappings[index + 1];
    return next && next.iova < iova + bytes ? [`${next.iova} lies in the mapping before it`] : [];
  });
  if (tree.size !== mappings.length) faults.push(`${mappings.length} mappings, ${tree.size} counted`);
  const guest = mappings
    .flatMap(({ iova, bytes, perm, target }) =>
      target.kind === "guest" ? [{ gpa: target.gpa, bytes, iova, perm }] : [],
    )
    .sort((a, b) => a.gpa - b.gpa);
  if (JSON.stringify(guest) !== JSON.stringify([...tree.guestMap.entries()])) faults.push("the halves disagree");
  return faults;
}

describe("IovaTree", () => {
  it("gives guest memory and rings addresses of their own, and finds both", () => {
    const tree = treeOf(0, 2 ** 39 - 1);
    const ram = tree.mapGuest(gpaOf(256), 64 * PAGE, VHOST_ACCESS_RW)!;
    const ring = tree.mapHost({ backing: 2, offset: 512 }, 3 * PAGE, VHOST_ACCESS_RO)!;
    expect([ram, ring]).toEqual([iovaOf(1), iovaOf(65)]);
    const ramMapping = {
      iova: ram,
      bytes: 64 * PAGE,
      perm: VHOST_ACCESS_RW,
      target: { kind: "guest", gpa: gpaOf(256) },
    };
    const ringMapping = {
      iova: ring,
      bytes: 3 * PAGE,
      perm: VHOST_ACCESS_RO,
      target: { kind: "host", backing: 2, offset: 512 },
    };
    expect(tree.findByIova((ring - 1) as Iova)).toEqual(ramMapping);
    expect(tree.findByIova((ring + 3 * PAGE - 1) as Iova)).toEqual(ringMapping);
    expect(tree.findByIova((ring + 3 * PAGE) as Iova)).toBeUndefined();
    expect(tree.findByGpa((320 * PAGE - 1) as Gpa)).toEqual(ramMapping);
    expect(tree.findByGpa(gpaOf(320))).toBeUndefined();
    expect(JSON.parse(JSON.stringify(tree))).toEqual([ramMapping, ringMapping]);
  });

  it("serves the fixed policy: guest memory at IOVA = GPA, rings at 2^45", () => {
    const tree = treeOf(0, 2 ** 47 - 1);
    expect(tree.mapGuestAt(gpaOf(1), 100 * PAGE, iovaOf(1), VHOST_ACCESS_RW)).toBe(true);
    expect(tree.mapGuestAt(gpaOf(2 ** 30), PAGE, iovaOf(2 ** 30), VHOST_ACCESS_RW)).toBe(true);
    expect(tree.mapHostAt(RING, PAGE, (2 ** 45) as Iova, VHOST_ACCESS_RW)).toBe(true);
    expect(tree.translate(gpaOf(2 ** 30), PAGE, VHOST_ACCESS_WO)).toEqual([{ iova: iovaOf(2 ** 30), bytes: PAGE }]);
    expect(tree.findByIova((2 ** 45 + PAGE - 1) as Iova)).toMatchObject({ target: { kind: "host", ...RING } });
    expect(treeFaults(tree)).toEqual([]);
  });

  it("serves GPA 0 at IOVA 0 where page 0 is asked for, and not otherwise", () => {
    const tree = new IovaTree({ first: 0 as Iova, last: (2 ** 47 - 1) as Iova }, true);
    expect(tree.mapGuestAt(gpaOf(0), 16 * PAGE, iovaOf(0), VHOST_ACCESS_RW)).toBe(true);
    expect(tree.translate((16 * PAGE - 4) as Gpa, 4, VHOST_ACCESS_RO)).toEqual([{ iova: 16 * PAGE - 4, bytes: 4 }]);
    expect(tree.findByIova(0 as Iova)).toEqual(tree.toJSON()[0]);
    expect(treeFaults(tree)).toEqual([]);
    expect(tree.unmap(iovaOf(0))).toBe(true);
    expect(picture(tree)).toEqual({ size: 0, mappings: [], guest: [] });
    expect(treeOf(0, 2 ** 47 - 1).mapGuestAt(gpaOf(0), PAGE, iovaOf(0), VHOST_ACCESS_RW)).toBe(false);
  });

  it("refuses guest memory beyond 2^43 bytes from its base, and maps rings there", () => {
    const first = 2 ** 45 + 2 ** 32 + 8 * PAGE;
    const base = 2 ** 45 + 2 ** 32;
    const tree = treeOf(first, 2 ** 48 - 1);
    const before = picture(tree);
    expect(tree.mapGuestAt(gpaOf(0), PAGE, (base + 2 ** 43) as Iova, VHOST_ACCESS_RW)).toBe(false);
    expect(tree.mapGuestAt(gpaOf(0), 2 * PAGE, (base + 2 ** 43 - PAGE) as Iova, VHOST_ACCESS_RW)).toBe(false);
    expect(picture(tree)).toEqual(before);
    expect(tree.mapGuestAt(gpaOf(0), PAGE, (base + 2 ** 43 - PAGE) as Iova, VHOST_ACCESS_RW)).toBe(true);
    expect(tree.mapHostAt(RING, PAGE, (base + 2 ** 43) as Iova, VHOST_ACCESS_RW)).toBe(true);
    expect(tree.guestMap.iovaBase).toBe(base);
  });

  it("lets the lowest room run out of the guest's window without losing it", () => {
    const tree = treeOf(0, 2 ** 47 - 1);
    tree.mapHostAt(RING, 2 ** 43 - 2 * PAGE, iovaOf(1), VHOST_ACCESS_RW);
    const before = picture(tree);
    expect(tree.mapGuest(gpaOf(0), 2 * PAGE, VHOST_ACCESS_RW)).toBeUndefined();
    expect(picture(tree)).toEqual(before);
    expect(tree.mapHost(RING, 2 * PAGE, VHOST_ACCESS_RW)).toBe(2 ** 43 - PAGE);
  });

  it("lets a mapping end on the aperture's last byte, and refuses one byte more", () => {
    const tree = treeOf(0, 16 * PAGE - 1);
    expect(tree.mapHost(RING, 15 * PAGE + 1, VHOST_ACCESS_RW)).toBeUndefined();
    expect(tree.mapGuestAt(gpaOf(0), 2 * PAGE, iovaOf(15), VHOST_ACCESS_RW)).toBe(false);
    expect(tree.mapGuest(gpaOf(0), 16 * PAGE, VHOST_ACCESS_RW)).toBeUndefined();
    expect(tree.size).toBe(0);
    expect(tree.mapGuest(gpaOf(0), 15 * PAGE, VHOST_ACCESS_RW)).toBe(PAGE);
    expect(tree.translate((15 * PAGE - 1) as Gpa, 1, VHOST_ACCESS_RO)).toEqual([{ iova: 16 * PAGE - 1, bytes: 1 }]);
  });

  it("translates across adjacent mappings piece by piece, whatever their order in IOVA space", () => {
    const tree = treeOf(0, 2 ** 39 - 1);
    tree.mapGuestAt(gpaOf(10), 2 * PAGE, iovaOf(0x50), VHOST_ACCESS_RW);
    tree.mapGuestAt(gpaOf(12), PAGE, iovaOf(0x10), VHOST_ACCESS_RW);
    expect(tree.translate((12 * PAGE - 100) as Gpa, 300, VHOST_ACCESS_WO)).toEqual([
      { iova: 0x52 * PAGE - 100, bytes: 100 },
      { iova: 0x10 * PAGE, bytes: 200 },
    ]);
    expect(tree.translate((12 * PAGE - 100) as Gpa, 100, VHOST_ACCESS_WO)).toEqual([
      { iova: 0x52 * PAGE - 100, bytes: 100 },
    ]);
  });

  it("names why it does not translate: by the first mapping or hole on the way", () => {
    const tree = treeOf(0, 2 ** 39 - 1);
    tree.mapGuest(gpaOf(0), PAGE, VHOST_ACCESS_RW);
    tree.mapGuest(gpaOf(1), PAGE, VHOST_ACCESS_RO);
    tree.mapGuest(gpaOf(3), PAGE, VHOST_ACCESS_WO);
    expect(tree.translate(gpaOf(0), 2 * PAGE, VHOST_ACCESS_RO)).toHaveLength(2);
    expect(tree.translate(gpaOf(0), 2 * PAGE, VHOST_ACCESS_WO)).toBe("permission");
    expect(tree.translate(gpaOf(1), 2 * PAGE, VHOST_ACCESS_WO)).toBe("permission");
    expect(tree.translate(gpaOf(1), 2 * PAGE, VHOST_ACCESS_RO)).toBe("unmapped");
    expect(tree.translate(gpaOf(3), 1, VHOST_ACCESS_RO)).toBe("permission");
    expect(tree.translate(gpaOf(2), 1, VHOST_ACCESS_RO)).toBe("unmapped");
    expect(tree.translate((2 ** 53 - 1) as Gpa, 2 ** 32, VHOST_ACCESS_RO)).toBe("unmapped");
    expect(tree.translate(gpaOf(2), 0, VHOST_ACCESS_RO)).toEqual([]);
  });

  it.each([
    ["GPAs that overlap a mapping", [{ page: 40 }, { page: 9, pages: 2 }]],
    ["GPAs that overlap each other", [{ page: 40, pages: 2 }, { page: 41 }]],
    ["an IOVA that is taken", [{ page: 40 }, { page: 50, iova: iovaOf(1) }]],
    ["more than there is room for", [{ page: 40 }, { page: 50, pages: 4000 }]],
    ["a GPA from 2^43", [{ page: 40 }, { page: 2 ** 31 }]],
  ])("maps many or none: %s", (_what, requests: { page: number; pages?: number; iova?: Iova }[]) => {
    const tree = treeOf(0, 2 ** 20 - 1);
    tree.mapGuest(gpaOf(10), 4 * PAGE, VHOST_ACCESS_RW);
    const before = picture(tree);
    const many = requests.map(({ page, pages = 1, ...at }) => ({
      gpa: gpaOf(page),
      bytes: pages * PAGE,
      perm: VHOST_ACCESS_RW,
      ...at,
    }));
    expect(tree.mapGuestMany(many)).toBeUndefined();
    expect(picture(tree)).toEqual(before);
    expect(tree.mapGuestMany(many.slice(0, 1))).toEqual([iovaOf(5)]);
  });

  it("maps 200 000 pieces of guest memory at once, as it would one by one", () => {
    const tree = treeOf(2 ** 45, 2 ** 46 - 1);
    const requests = Array.from({ length: 200_000 }, (_, i) => ({
      gpa: gpaOf(((i * 7919) % 200_000) * 8),
      bytes: (1 + (i % 7)) * PAGE,
      perm: VHOST_ACCESS_RW,
    }));
    const iovas = tree.mapGuestMany(requests)!;
    let next = 2 ** 45;
    for (const [index, { gpa, bytes, perm }] of requests.entries()) {
      if (iovas[index] !== next) expect.fail(`request ${index} is at ${iovas[index]}`);
      next += bytes;
      if (index % 1000 === 0) {
        const mapping = { iova: iovas[index], bytes, perm, target: { kind: "guest", gpa } };
        expect([tree.findByGpa(gpa), tree.findByIova(iovas[index]!)]).toEqual([mapping, mapping]);
      }
    }
    expect(tree.size).toBe(200_000);
  });

  it("throws RangeError, with nothing changed, for sizes, rights and host places that are none", () => {
    const tree = treeOf(0, 2 ** 39 - 1);
    expect(() => tree.mapGuest(gpaOf(0), 0, VHOST_ACCESS_RW)).toThrow(RangeError);
    expect(() => tree.mapGuest(gpaOf(0), PAGE, 0)).toThrow(RangeError);
    expect(() => tree.mapHost(RING, PAGE, 8)).toThrow(RangeError);
    expect(() => tree.mapHost({ backing: -1, offset: 0 }, PAGE, VHOST_ACCESS_RW)).toThrow(RangeError);
    expect(() => tree.mapHost({ backing: 0, offset: -1 }, PAGE, VHOST_ACCESS_RW)).toThrow(RangeError);
    expect(() =>
      tree.mapGuestMany([
        { gpa: gpaOf(0), bytes: PAGE, perm: VHOST_ACCESS_RW },
        { gpa: gpaOf(1), bytes: -1, perm: VHOST_ACCESS_RW },
      ]),
    ).toThrow(RangeError);
    expect(tree.size).toBe(0);
    expect(tree.mapHost({ backing: 0, offset: 0 }, PAGE, VHOST_ACCESS_RW)).toBe(PAGE);
  });
});

/** The same promises kept by lists that are searched from one end to the other. */
class NaiveTree {
  mappings: IovaMapping[] = [];
  readonly #room = new NaiveAllocator(0, 40 * PAGE - 1);

  map(wanted: Iova | undefined, bytes: number, perm: number, target: IovaMapping["target"]): Iova | undefined {
    if (target.kind === "guest" && this.#overlapsGuest(target.gpa, bytes)) return undefined;
    const iova = wanted === undefined ? this.#room.allocate(bytes) : wanted;
    if (iova === undefined || (wanted !== undefined && !this.#room.insert(wanted, bytes))) return undefined;
    this.mappings = [...this.mappings, { iova, bytes, perm, target }].sort((a, b) => a.iova - b.iova);
    return iova;
  }

  unmap(iova: Iova): boolean {
    this.mappings = this.mappings.filter((mapping) => mapping.iova !== iova);
    return this.#room.free(iova);
  }

  /** One byte after the other. */
  translate(gpa: number, bytes: number, perm: number): number[] | string {
    const iovas: number[] = [];
    for (let at = gpa; at < gpa + bytes; at++) {
      const found = this.mappings.find(({ target, bytes }) => covers(target, bytes, at));
      if (found?.target.kind !== "guest") return "unmapped";
      if ((found.perm & perm) !== perm) return "permission";
      iovas.push(found.iova + at - found.target.gpa);
    }
    return iovas;
  }

  #overlapsGuest(gpa: number, bytes: number): boolean {
    return this.mappings.some(({ target, bytes: theirs }) => {
      return target.kind === "guest" && gpa < target.gpa + theirs && target.gpa < gpa + bytes;
    });
  }
}

function covers(target: IovaMapping["target"], bytes: number, address: number): boolean {
  return target.kind === "guest" && target.gpa <= address && address < target.gpa + bytes;
}

const command = fc.record({
  kind: fc.constantFrom("guest", "guestAt", "host", "hostAt", "unmap", "unmap", "translate"),
  page: fc.nat({ max: 42 }),
  pages: fc.integer({ min: 1, max: 6 }),
  iovaPage: fc.nat({ max: 42 }),
  perm: fc.integer({ min: 1, max: 3 }),
});
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

/** Gives both the same commands; says which of them ends differently, or what is wrong then. */
function firstDifference(tree: IovaTree, commands: readonly Command[]): string | undefined {
  const naive = new NaiveTree();
  for (const each of commands) {
    const [seen, due] = [run(tree, each), runNaive(naive, each)];
    const name = JSON.stringify(each);
    if (JSON.stringify(seen) !== JSON.stringify(due))
      return `${name}: ${JSON.stringify(seen)}, not ${JSON.stringify(due)}`;
    if (JSON.stringify(tree) !== JSON.stringify(naive.mappings)) return `${name}: other mappings`;
    const [fault] = treeFaults(tree);
    if (fault !== undefined) return `${name}: ${fault}`;
  }
  return undefined;
}

function run(tree: IovaTree, { kind, page, pages, iovaPage, perm }: Command): unknown {
  const [bytes, wanted] = [pages * PAGE, iovaOf(iovaPage)];
  const key = { backing: iovaPage, offset: page };
  if (kind === "guest") return tree.mapGuest(gpaOf(page), bytes, perm);
  if (kind === "guestAt") return tree.mapGuestAt(gpaOf(page), bytes, wanted, perm);
  if (kind === "host") return tree.mapHost(key, bytes, perm);
  if (kind === "hostAt") return tree.mapHostAt(key, bytes, wanted, perm);
  if (kind === "unmap") return tree.unmap(wanted);
  const pieces = tree.translate((gpaOf(page) + PAGE - 9) as Gpa, PAGE + 18, perm);
  if (typeof pieces === "string") return pieces;
  return pieces.flatMap(({ iova, bytes }) => Array.from({ length: bytes }, (_, i) => iova + i));
}

function runNaive(naive: NaiveTree, { kind, page, pages, iovaPage, perm }: Command): unknown {
  const [bytes, wanted] = [pages * PAGE, iovaOf(iovaPage)];
  const guest = { kind: "guest", gpa: gpaOf(page) } as const;
  const host = { kind: "host", backing: iovaPage, offset: page } as const;
  if (kind === "guest") return naive.map(undefined, bytes, perm, guest);
  if (kind === "guestAt") return naive.map(wanted, bytes, perm, guest) !== undefined;
  if (kind === "host") return naive.map(undefined, bytes, perm, host);
  if (kind === "hostAt") return naive.map(wanted, bytes, perm, host) !== undefined;
  if (kind === "unmap") return naive.unmap(wanted);
  return naive.translate(gpaOf(page) + PAGE - 9, PAGE + 18, perm);
}

/** Leaves the room of a guest mapping taken when that fails. */
class NoRollback extends IovaTree {
  override mapGuest(gpa: Gpa, bytes: number, perm: number): Iova | undefined {
    const iova = super.mapGuest(gpa, bytes, perm);
    if (iova === undefined) super.mapHost({ backing: 0, offset: 0 }, bytes, perm);
    return iova;
  }
}

/** Takes any right for the one that is needed. */
class AnyRight extends IovaTree {
  override translate(gpa: Gpa, bytes: number, perm: number) {
    const pieces = super.translate(gpa, bytes, perm);
    return pieces === "permission" ? super.translate(gpa, bytes, 0) : pieces;
  }
}

/** Removes what covers the address, not what starts there. */
class RemovesWhatCovers extends IovaTree {
  override unmap(iova: Iova): boolean {
    return super.unmap(this.findByIova(iova)?.iova ?? iova);
  }
}

describe("IovaTree against plain lists", () => {
  it("agrees on every history, and its halves agree with each other", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        expect(firstDifference(treeOf(0, 40 * PAGE - 1), commands)).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    [NoRollback, "keeps what failed"],
    [AnyRight, "takes any right"],
    [RemovesWhatCovers, "removes by overlap"],
  ])("%o shows in the same harness: it %s", (Faulty) => {
    const histories = fc.sample(fc.array(command, { minLength: 40, maxLength: 60 }), { numRuns: 100, seed: 1 });
    const range = { first: 0 as Iova, last: (40 * PAGE - 1) as Iova };
    expect(
      histories.map((commands) => firstDifference(new Faulty(range), commands)).find((each) => each),
    ).toBeDefined();
  });
});
