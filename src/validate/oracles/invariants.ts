import type { OracleId } from "./violation.js";

/** Who holds an invariant. */
type HeldBy =
  /** Oracles of the rig, at the access at which it breaks. */
  | { readonly oracles: readonly OracleId[]; readonly tests?: readonly string[] }
  /** Tests of what a rig has none of: `about` is a word that each of these files has in it. */
  | { readonly tests: readonly string[]; readonly about: string }
  /** Nothing here can break it. */
  | { readonly notApplicable: string };

/** One rule that a relay keeps in every state, and who would notice if it did not. */
export interface Invariant {
  readonly number: number;
  readonly statement: string;
  readonly heldBy: HeldBy;
}

const rig = (...oracles: OracleId[]): HeldBy => ({ oracles });
const tests = (about: string, ...files: string[]): HeldBy => ({ tests: files.map((file) => `test/${file}`), about });

/** The forty rules, by number. */
export const INVARIANTS: readonly Invariant[] = (
  [
    // Rings and accounting.
    ["A shadow descriptor is free or part of one chain, never of two.", rig("O1")],
    ["Free descriptors and those of chains in flight add up to the ring, after refused input as well.", rig("O1")],
    ["Its free list is private: no ring is read back, and no descriptor changes while the device has it.", rig("O1")],
    ["Heads in flight differ, fit the ring, and no unread slot of the avail ring is overwritten.", rig("O1", "O8")],
    ["It stores to nothing but its own tables, the guest's used ring and the log.", rig("O6")],
    ["The device sees the guest's chain: same bytes, order and directions, ended where it ends.", rig("O2")],
    [
      "A head that was taken is returned, in flight, held, or still in the guest's ring: one of these.",
      rig("O3", "O8"),
    ],
    ["The guest gets back its own heads, each once, and its used ring is only ever added to.", rig("O3")],
    ["With IN_ORDER, buffers come back in the order in which they were offered.", { notApplicable: "not offered yet" }],
    ["What the guest waits for is what is in flight and what is held.", rig("O3", "O5")],
    ["It holds one chain at most; kicks are off meanwhile, and on whenever it sleeps without one.", rig("O5")],
    ["It holds a chain only while others leave it no room; one that never fits is refused.", rig("O5", "O8")],
    ["A pass that moved nothing moves no index.", rig("O3")],
    // Translation.
    ["What the device is given lies in one mapping, to its last byte.", rig("O2")],
    [
      "Mappings do not overlap, neither by guest address nor by IOVA.",
      tests("invariants 15, 16 and 18", "iova/iova-tree.test.ts"),
    ],
    [
      "A mapping that fails leaves nothing behind; removing one removes just that.",
      tests("invariants 15, 16 and 18", "iova/iova-tree.test.ts"),
    ],
    ["No buffer is given to the device with more rights than its mapping has.", rig("O2", "O8")],
    ["One memory at two guest addresses has two IOVAs.", tests("two GPA ranges", "iova/bug-history.test.ts")],
    [
      "A mapping outlives the chains that lie in it.",
      { notApplicable: "the mappings of a relay are fixed while it is attached" },
    ],
    // Dirty.
    ["Every page that device or relay wrote is marked, or copied since.", rig("O4")],
    ["Of its rings only the guest's used ring is marked, and of buffers only what is writable.", rig("O4")],
    ["A mark is made after its bytes are stored, in time, and takes no other mark with it.", rig("O4")],
    [
      "No mark lies beyond the last page, and a log that grows or shrinks loses none.",
      { oracles: ["O4", "O6"], tests: ["test/dirty/dirty-log.test.ts"] },
    ],
    ["At the end the destination equals the source, byte for byte.", rig("O4")],
    // Notifications.
    ["Who asked to be told is told after each publication; who sleeps has asked, and then looked.", rig("O5")],
    ["The event rule holds for batches and across the wrap; an event word names an entry to come.", rig("O5")],
    ["Telling a side that did not ask is legal, and counted.", rig("O5")],
    [
      "A notification from before a change of data path is not lost with it.",
      tests("leaves nobody asleep", "machine/switching.test.ts"),
    ],
    // Lifecycle.
    [
      "A stopped queue has nothing in flight, and both of its indices meet.",
      tests("base and used index meet", "relay/shadow-virtqueue-stop.test.ts"),
    ],
    [
      "The device's index counts for something only once it has stopped.",
      tests("lies about its index", "relay/shadow-virtqueue-stop.test.ts"),
    ],
    [
      "Chains that are given again are those not returned, each known by its place.",
      tests("by identity", "relay/shadow-virtqueue-stop.test.ts"),
    ],
    [
      "Changing the data path to and fro ends where it began.",
      tests("comes back to the same state", "machine/switching.test.ts"),
    ],
    [
      "A change that is called off leaves a queue that works.",
      tests("in the midst of another change", "machine/switching.test.ts"),
    ],
    ["What a control queue set is what the device has.", { notApplicable: "there is no control queue" }],
    [
      "The same feature bits are accepted or refused each time.",
      tests("splits any set in two", "transport/features.test.ts"),
    ],
    // Robustness.
    ["Whatever bytes it meets: forwarded, refused alone, or the queue is given up, as the book says.", rig("O6", "O8")],
    ["A word that is decided on is read once.", rig("O8")],
    ["A turn moves at most a queue's worth, however much a peer adds meanwhile.", rig("O7")],
    ["The guest is told no more bytes than it gave room for.", rig("O3")],
    ["A used index may move by what is in flight; more gives the queue up.", rig("O8")],
  ] satisfies readonly (readonly [string, HeldBy])[]
).map(([statement, heldBy], i) => ({ number: i + 1, statement, heldBy }));
