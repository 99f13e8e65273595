import { describe, expect, it } from "vitest";
import { type IovaMapping, IovaTree } from "../../src/iova/iova-tree.js";
import { VHOST_ACCESS_RW } from "../../src/layout/vhost.js";
import type { Gpa, Iova } from "../../src/memory/address.js";

// What went wrong in other relays (shadow-virtqueue.md, section 6, rows 6 to 10): each row is a scenario that says what
// is wrong with a tree, and a tree with the old fault, of which it must say something.

const PAGE = 4096;
const RW = VHOST_ACCESS_RW;
const gpaOf = (page: number) => (page * PAGE) as Gpa;

/** Runs a scenario on an empty tree; gives the sentences that should have been true and were not. */
function brokenClaims(Tree: typeof IovaTree, scenario: (tree: IovaTree, claim: Claim) => void): string[] {
  const broken: string[] = [];
  const tree = new Tree({ first: 0 as Iova, last: (2 ** 39 - 1) as Iova });
  scenario(tree, (sentence, holds) => {
    if (!holds) broken.push(sentence);
  });
  return broken;
}

type Claim = (sentence: string, holds: boolean) => void;

function translatesTo(tree: IovaTree, gpa: number, bytes: number, iova: number | undefined): boolean {
  const pieces = tree.translate(gpa as Gpa, bytes, RW);
  return typeof pieces !== "string" && pieces.length === 1 && pieces[0]!.iova === iova && pieces[0]!.bytes === bytes;
}

describe("row 6: a buffer of exactly the mapping's size was refused", () => {
  const scenario = (tree: IovaTree, claim: Claim) => {
    const iova = tree.mapGuest(gpaOf(4), 2 * PAGE, RW);
    claim("all of the mapping translates", translatesTo(tree, 4 * PAGE, 2 * PAGE, iova));
    claim("its last byte translates", translatesTo(tree, 6 * PAGE - 1, 1, iova! + 2 * PAGE - 1));
    claim("one byte more is refused", tree.translate(gpaOf(4), 2 * PAGE + 1, RW) === "unmapped");
    claim("the byte before is refused", tree.translate((4 * PAGE - 1) as Gpa, 2, RW) === "unmapped");
  };

  class ExclusiveSize extends IovaTree {
    override translate(gpa: Gpa, bytes: number, perm: number) {
      const wide = super.translate(gpa, bytes + 1, perm);
      return typeof wide === "string" ? wide : super.translate(gpa, bytes, perm);
    }
  }

  class InclusiveSize extends IovaTree {
    override translate(gpa: Gpa, bytes: number, perm: number) {
      return super.translate(gpa, Math.max(1, bytes - 1), perm);
    }
  }

  it("translates, and one byte more does not", () => expect(brokenClaims(IovaTree, scenario)).toEqual([]));
  it("shows a tree that wants a byte after the buffer", () =>
    expect(brokenClaims(ExclusiveSize, scenario)).toContain("all of the mapping translates"));
  it("shows a tree that forgets the last byte", () =>
    expect(brokenClaims(InclusiveSize, scenario)).toContain("one byte more is refused"));
});

describe("row 7: the first mapping was removed, whichever was meant", () => {
  const scenario = (tree: IovaTree, claim: Claim) => {
    const [a, b, c] = [10, 20, 30].map((page) => tree.mapGuest(gpaOf(page), 2 * PAGE, RW)!);
    claim("the middle one can be removed", tree.unmap(b!));
    claim("the first one still translates", translatesTo(tree, 10 * PAGE, 2 * PAGE, a));
    claim("the middle one is gone", tree.translate(gpaOf(20), 1, RW) === "unmapped" && !tree.findByIova(b!));
    claim("the last one still translates", translatesTo(tree, 30 * PAGE, 2 * PAGE, c));
  };

  class RemovesFirst extends IovaTree {
    override unmap(iova: Iova): boolean {
      return super.unmap(this.toJSON()[0]?.iova ?? iova);
    }
  }

  it("removes the one that was meant", () => expect(brokenClaims(IovaTree, scenario)).toEqual([]));
  it("shows a tree that removes the first", () =>
    expect(brokenClaims(RemovesFirst, scenario)).toContain("the first one still translates"));
});

describe("row 8: a mapping that failed was kept", () => {
  const scenario = (tree: IovaTree, claim: Claim) => {
    const kept = tree.mapGuest(gpaOf(10), 4 * PAGE, RW);
    const before = JSON.stringify(tree);
    const failures = [
      tree.mapGuest(gpaOf(12), 8 * PAGE, RW),
      tree.mapGuest(gpaOf(2 ** 31), PAGE, RW),
      tree.mapGuest(gpaOf(100), 2 ** 40, RW),
      tree.mapHost({ backing: 0, offset: 0 }, 2 ** 40, RW),
    ];
    claim(
      "all of them fail",
      failures.every((iova) => iova === undefined),
    );
    claim("an IOVA that is taken is refused", !tree.mapGuestAt(gpaOf(50), PAGE, kept!, RW));
    claim("the tree is as it was", JSON.stringify(tree) === before && tree.size === 1);
    claim("the good mapping that was in the way still translates", translatesTo(tree, 10 * PAGE, 4 * PAGE, kept));
    claim("the room is free for the next", tree.mapGuest(gpaOf(50), PAGE, RW) === kept! + 4 * PAGE);
  };

  class KeepsFailed extends IovaTree {
    override mapGuest(gpa: Gpa, bytes: number, perm: number) {
      const iova = super.mapGuest(gpa, bytes, perm);
      if (iova === undefined) super.mapHost({ backing: 0, offset: gpa }, bytes, perm);
      return iova;
    }
  }

  class CleansByOverlap extends IovaTree {
    override mapGuest(gpa: Gpa, bytes: number, perm: number) {
      const iova = super.mapGuest(gpa, bytes, perm);
      const inTheWay = this.findByGpa(gpa);
      if (iova === undefined && inTheWay) this.unmap(inTheWay.iova);
      return iova;
    }
  }

  it("leaves no trace", () => expect(brokenClaims(IovaTree, scenario)).toEqual([]));
  it("shows a tree that keeps it", () =>
    expect(brokenClaims(KeepsFailed, scenario)).toContain("the tree is as it was"));
  it("shows a tree that cleans up by overlap, and takes the good one away", () =>
    expect(brokenClaims(CleansByOverlap, scenario)).toContain("the good mapping that was in the way still translates"));
});

describe("row 9: removal read the record it had just freed", () => {
  const scenario = (tree: IovaTree, claim: Claim) => {
    const [a, b] = [1, 2].map((page) => tree.mapGuest(gpaOf(page), PAGE, RW)!);
    const found = tree.findByIova(a!)!;
    const copy = JSON.stringify(found);
    claim("what was found can be removed", tree.unmap(found.iova));
    claim("a second time it is gone", !tree.unmap(found.iova));
    tree.mapGuest(gpaOf(7), PAGE, RW);
    claim("what was found says what it said", JSON.stringify(found) === copy);
    claim("the other still translates", translatesTo(tree, 2 * PAGE, PAGE, b));
  };

  class LendsItsRecord extends IovaTree {
    readonly #record = {} as IovaMapping;

    override findByIova(iova: Iova): IovaMapping | undefined {
      const found = super.findByIova(iova);
      return found && Object.assign(this.#record, found);
    }

    override mapGuest(gpa: Gpa, bytes: number, perm: number) {
      const iova = super.mapGuest(gpa, bytes, perm);
      if (iova !== undefined) this.findByIova(iova);
      return iova;
    }
  }

  it("removes what it has just found", () => expect(brokenClaims(IovaTree, scenario)).toEqual([]));
  it("shows a tree that lends out its own record", () =>
    expect(brokenClaims(LendsItsRecord, scenario)).toContain("what was found says what it said"));
});

describe("row 10: two GPA ranges on one memory were taken for one", () => {
  const scenario = (tree: IovaTree, claim: Claim) => {
    // The low range and its alias: the tree is told nothing of what lies behind, and must not need it.
    const [low, alias] = [0xa0, 0x1000a0].map((page) => tree.mapGuest(gpaOf(page), 16 * PAGE, RW)!);
    claim("each has an IOVA of its own", low !== alias);
    claim("the low range translates to its own", translatesTo(tree, 0xa0 * PAGE + 8, 64, low! + 8));
    claim("the alias translates to its own", translatesTo(tree, 0x1000a0 * PAGE + 8, 64, alias! + 8));
    claim("the low range can be removed", tree.unmap(low!));
    claim("the low range is gone", tree.translate(gpaOf(0xa0), 1, RW) === "unmapped");
    claim("the alias is still there", translatesTo(tree, 0x1000a0 * PAGE, 16 * PAGE, alias));
  };

  class KeyedByMemory extends IovaTree {
    override translate(gpa: Gpa, bytes: number, perm: number) {
      return super.translate((gpa % (0x100000 * PAGE)) as Gpa, bytes, perm);
    }
  }

  it("keeps both apart, and removing one leaves the other", () => expect(brokenClaims(IovaTree, scenario)).toEqual([]));
  it("shows a tree that goes by the memory behind", () =>
    expect(brokenClaims(KeyedByMemory, scenario)).toContain("the alias is still there"));
});
