import type { Parts } from "../../memory/role.js";
import { u16 } from "../../memory/shared-memory.js";

/** Columns of the relay's private rows, by shadow descriptor (shadow-virtqueue.ts). */
const ROW_WORDS = 8;
const ROW_NEXT = 0;
const ROW_COUNT = 1;
const ROW_HEAD = 2;

/** One ring's books: where its descriptors are, and what is wrong with that. */
export interface Account {
  readonly num: number;
  readonly free: number;
  readonly inFlight: number;
  readonly chains: number;
  /** Sentences about what does not add up; none when all is well. */
  readonly problems: string[];
}

/** The books of every driver ring of a driver. */
export function driverAccounts(parts: readonly Parts[]): Account[] {
  return parts
    .filter(({ state }) => "publishedAvailIdx" in state)
    .map(({ state, tables }) => {
      const table = tables[0]!;
      const num = table.length / 2;
      const account = audit(
        num,
        state["freeHead"]!,
        state["freeCount"]!,
        (i) => table[i * 2]!,
        (i) => table[i * 2 + 1]!,
      );
      expectEqual(account, "outstanding", account.chains, state["outstanding"]!);
      return account;
    });
}

/** The books of every shadow virtqueue of a relay. */
export function shadowAccounts(parts: readonly Parts[]): Account[] {
  return parts.filter(({ state }) => "shadowAvailIdx" in state).map(shadowAccount);
}

/** The books of one shadow virtqueue (shadow-virtqueue.md section 8, invariants 1 to 4 and 10 to 12). */
export function shadowAccount({ state, tables }: Parts): Account {
  const [rows, outstanding] = [tables[0]!, tables[1]!];
  const at = (index: number, column: number) => rows[index * ROW_WORDS + column]!;
  const num = rows.length / ROW_WORDS;
  const account = audit(
    num,
    state["freeHead"]!,
    state["freeCount"]!,
    (i) => at(i, ROW_NEXT),
    (i) => at(i, ROW_COUNT),
  );
  const heads = new Set<number>();
  for (let i = 0; i < num; i++) if (at(i, ROW_COUNT) !== 0) heads.add(at(i, ROW_HEAD));
  let named = 0;
  for (const flag of outstanding) if (flag !== 0) named += 1;
  expectEqual(account, "distinct guest heads", heads.size, account.chains);
  expectEqual(account, "heads noted as outstanding", named, account.chains);
  expectEqual(account, "indices apart", u16(state["shadowAvailIdx"]! - state["lastUsedIdx"]!), account.chains);
  if (state["holding"] === 1 && account.chains === 0) account.problems.push("holds a chain that nothing can free");
  return account;
}

/** Walks the free list and every chain: each descriptor is in exactly one of them. */
function audit(
  num: number,
  freeHead: number,
  freeCount: number,
  next: (index: number) => number,
  count: (index: number) => number,
): Account {
  const problems: string[] = [];
  const owner = new Int32Array(num).fill(-1);
  const take = (index: number, who: number) => {
    if (!(index >= 0 && index < num)) problems.push(`descriptor ${index} does not exist`);
    else if (owner[index] !== -1) problems.push(`descriptor ${index} is in two places`);
    else owner[index] = who;
  };
  let index = freeHead;
  for (let i = 0; i < freeCount; i++, index = next(index)) take(index, num);
  let inFlight = 0;
  let chains = 0;
  for (let head = 0; head < num; head++) {
    if (count(head) === 0) continue;
    chains += 1;
    inFlight += count(head);
    let link = head;
    for (let i = 0; i < count(head); i++, link = next(link)) take(link, head);
  }
  if (freeCount + inFlight !== num) problems.push(`${freeCount} free and ${inFlight} in flight of ${num}`);
  return { num, free: freeCount, inFlight, chains, problems };
}

function expectEqual(account: Account, what: string, found: number, wanted: number): void {
  if (found !== wanted) account.problems.push(`${what}: ${found}, not ${wanted}`);
}
