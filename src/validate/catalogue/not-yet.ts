/** Why a row of the catalogue has no cases here. */
const REASONS = {
  packed: "packed rings: this relay shadows split rings, and does not offer RING_PACKED",
  real: "with the real relay: it takes messages, descriptors of files or shared memory that an emulated one has not",
  inflight:
    "with the real relay, which shares the record: until then crash/ and test/relay/inflight-record.test.ts try it",
  order: "IN_ORDER is not offered, so that no batch is unrolled",
} as const;

/** Rows without cases, and why. */
export const NOT_YET: Readonly<Record<string, string>> = {
  "BI-09": `${REASONS.real}; no index of a queue comes from a peer`,
  ...each(34, 43, REASONS.packed),
  "BI-54": REASONS.order,
  ...each(62, 63, REASONS.real),
  "BI-70": "cannot be contained in software alone: a device that has memory mapped can write to it at any time",
  ...each(71, 76, REASONS.real),
  ...each(78, 80, REASONS.real),
  ...each(82, 90, REASONS.real),
  ...each(91, 95, REASONS.inflight),
  "BI-97": REASONS.inflight,
  "BI-101": "an order of stores, no input: every order is tried in the litmus tests and the tests of sleepers",
  "BI-102": "an order of loads, no input: the rule is checked with the first, and on real threads",
  "BI-110": "no input: a check of the sources keeps plain accesses out of everything but one folder",
  "BI-111": "with the real relay: a mistake of its own ends an emulated relay, so that it is seen",
  "BI-112": "no input: a thread that dies at each of its stores is a validation of its own",
  "BI-113": REASONS.real,
};

function each(first: number, last: number, why: string): Record<string, string> {
  const ids = Array.from({ length: last - first + 1 }, (_, i) => `BI-${first + i}`);
  return Object.fromEntries(ids.map((id) => [id, why]));
}
