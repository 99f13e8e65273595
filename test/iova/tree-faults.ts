import type { GapTreeEntry, GapTreeNode } from "../../src/iova/gap-tree.js";

/** What a whole tree must say of itself. */
export interface TreeClaim {
  readonly count: number;
  readonly floorPage: number;
  readonly endPage: number;
}

const FILL_MIN = 4;
const FILL_MAX = 16;
/** Parents note no larger gap than this. */
const NOTED_MAX = 2 ** 31 - 1;

/** What is wrong with a gap tree: order, gaps, largest gaps, first starts, fill and height; empty when nothing is. */
export function treeFaults(root: GapTreeNode, claim: TreeClaim): string[] {
  const faults: string[] = [];
  const leaves = new Set<number>();
  const mappings: GapTreeEntry[] = [];

  const visit = (node: GapTreeNode, level: number): { start: number; gap: number } => {
    const isRoot = node === root;
    const fillMin = isRoot ? (node.entries[0]?.child ? 2 : 1) : FILL_MIN;
    const { length } = node.entries;
    if (length < fillMin || length > FILL_MAX) faults.push(`a node of level ${level} has ${length} entries`);
    let largest = 0;
    for (const entry of node.entries) {
      largest = Math.max(largest, entry.gap);
      if (!entry.child) {
        mappings.push(entry);
        continue;
      }
      const below = visit(entry.child, level + 1);
      if (below.start !== entry.start) faults.push(`first start ${entry.start} stands for ${below.start}`);
      if (Math.min(below.gap, NOTED_MAX) !== entry.gap)
        faults.push(`largest gap ${entry.gap} at ${entry.start} stands for ${below.gap}`);
    }
    if (!node.entries[0]!.child) leaves.add(level);
    return { start: node.entries[0]!.start, gap: largest };
  };
  visit(root, 0);

  if (leaves.size !== 1) faults.push(`leaves on levels ${[...leaves].join(", ")}`);
  const floor = mappings[0]!;
  if (floor.start !== -1 || floor.start + floor.pages !== claim.floorPage) faults.push("the floor is not where it was");
  mappings.forEach(({ start, pages, gap }, index) => {
    const next = mappings[index + 1]?.start ?? claim.endPage;
    if (pages <= 0 || gap < 0) faults.push(`${pages} pages and a gap of ${gap} at ${start}`);
    if (start + pages + gap !== next) faults.push(`the gap after ${start} does not reach ${next}`);
  });
  if (mappings.length !== claim.count + 1) faults.push(`${mappings.length - 1} mappings, ${claim.count} counted`);
  const handles = Float64Array.from(mappings, ({ handle }) => handle ?? Number.NaN).sort();
  if (handles.some((handle, index) => !(index === 0 || handle > handles[index - 1]!)))
    faults.push("two mappings, one handle");
  return faults;
}
