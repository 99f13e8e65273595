/** How tests write the ids of statements. */
export const STATEMENT_ID = /\b(?:STAT|FEAT|RFB|INIT|RESET|VQR|CLEAN|SUSP|SPLIT|INDIR|NOTIF|PACKED|IMPL|TOL)-\d+\b/g;

/** Who has to obey a statement: the driver of a device, the device, or either of them. */
type Bound = "driver" | "device" | "both";

/** One statement of VIRTIO about rings, by the number under which the tests name it. */
export interface Statement {
  readonly id: string;
  /** Section of VIRTIO 1.3, or of 1.4 for what is new there. */
  readonly section: string;
  readonly binds: Bound;
  readonly says: string;
  /** Whether it has one of the capital keywords of VIRTIO (MUST, SHOULD, RECOMMENDED); the others bind in practice. */
  readonly keyword: boolean;
  /** Why no test names it; left out for those that need one. */
  readonly untested?: { readonly kind: "not yet" | "not applicable"; readonly why: string };
}

const KEYWORD = `
STAT-01 | 2.1.1 | driver | sets each status bit when that step of start-up is done
STAT-02 | 2.1.1 | driver | clears no status bit, unless by a reset
STAT-03 | 2.1.1 | driver | begins again after FAILED with a reset only
STAT-04 | 2.1.1 | driver | expects no completion of what is in flight once DEVICE_NEEDS_RESET shows
STAT-05 | 2.1.2 | device | takes no buffer and calls nobody before DRIVER_OK
STAT-06 | 2.1.2 | device | shows DEVICE_NEEDS_RESET when it cannot go on
STAT-07 | 2.1.2 | device | tells a running driver of DEVICE_NEEDS_RESET as of a change of configuration
FEAT-01 | 2.2.1 | driver | accepts offered bits only
FEAT-02 | 2.2.1 | driver | accepts no bit without those it needs
FEAT-03 | 2.2.1 | driver | looks at every offered bit before it accepts
FEAT-04 | 2.2.1 | driver | passes over offered bits that mean nothing to it
FEAT-05 | 2.2.1 | driver | accepts none of those
FEAT-06 | 2.2.1 | driver | does without a feature that is missing where it can
FEAT-07 | 2.2.1 | driver | sets FAILED and stops where it cannot
FEAT-08 | 2.2.1 | driver | does not fail over an offered bit it has never heard of
FEAT-09 | 2.2.2 | device | offers no bit without those it needs
FEAT-10 | 2.2.2 | device | serves every valid part of what it offers
FEAT-11 | 2.2.2 | device | leaves FEATURES_OK clear for a set it cannot serve
FEAT-12 | 2.2.2 | device | offers nothing that fails once it is accepted
FEAT-13 | 2.2.2 | device | agrees again after a reset to what it has agreed to before
RFB-01 | 6.1 | driver | accepts VERSION_1
RFB-02 | 6.1 | driver | accepts ACCESS_PLATFORM
RFB-03 | 6.1 | driver | with ACCESS_PLATFORM gives addresses that the IOMMU translates
RFB-04 | 6.1 | driver | without ACCESS_PLATFORM gives physical addresses
RFB-05 | 6.1 | driver | accepts RING_PACKED
RFB-06 | 6.1 | driver | accepts ORDER_PLATFORM
RFB-07 | 6.1 | driver | with ORDER_PLATFORM orders its accesses as hardware needs it
RFB-08 | 6.1 | driver | leaves SR_IOV alone without the PCI capability
RFB-09 | 6.1 | driver | agrees on SR_IOV before it enables virtual functions
RFB-10 | 6.1 | driver | accepts NOTIF_CONFIG_DATA
RFB-11 | 6.2 | device | offers VERSION_1
RFB-12 | 6.2 | device | offers ACCESS_PLATFORM where its addresses are translated
RFB-13 | 6.2 | device | with IN_ORDER returns buffers as they were offered
RFB-14 | 6.2 | device | as an add-in card offers ACCESS_PLATFORM and ORDER_PLATFORM
RFB-15 | 6.2 | device | offers SR_IOV as a PCI function with the capability
RFB-16 | 6.2 | device | offers SR_IOV in no other case
INIT-01 | 3.1.1 | driver | takes the eight steps of start-up in their order
INIT-02 | 3.1.1 | driver | writes no configuration while features are being agreed on
INIT-03 | 3.1.1 | driver | accepts nothing more after FEATURES_OK
INIT-04 | 3.1.1 | driver | sets FAILED when a step fails for good
INIT-05 | 3.1.1 | driver | does not go on after that
INIT-06 | 3.1.1 | driver | kicks nobody before DRIVER_OK
RESET-01 | 2.4.1 | device | reads status 0 once it is reset
RESET-02 | 2.4.1 | device | neither notifies nor touches a ring from then to the next start
RESET-03 | 2.4.2 | driver | takes a reset for done when the status reads 0
VQR-01 | 2.6.1 | device | does and says nothing for a queue that was reset
VQR-02 | 2.6.1 | device | forgets all state of a queue that was reset
VQR-03 | 2.6.1 | driver | verifies that a queue reset has taken effect
VQR-04 | 2.6.1 | device | takes another size or other rings when a queue is enabled again
VQR-05 | 2.6.1 | driver | sets a queue up in full before it enables it again
CLEAN-01 | 3.3.1 | driver | leaves entries of exposed buffers as they are while the queue is live
CLEAN-02 | 3.3.1 | driver | stops a queue before it takes exposed buffers away
SUSP-01 | 3, suspend | driver | suspends only what runs, and with the feature
SUSP-02 | 3, suspend | driver | reads the status again until SUSPEND shows and DRIVER_OK does not
SUSP-03 | 3, suspend | driver | exposes no buffers while SUSPEND is set
SUSP-04 | 3, suspend | driver | kicks no queue while SUSPEND is set
SUSP-05 | 3, suspend | driver | changes no configuration but the status meanwhile
SUSP-06 | 3, suspend | driver | goes on once DRIVER_OK shows and SUSPEND does not
SUSP-07 | 3, suspend | device | ignores SUSPEND before it is initialised
SUSP-08 | 3, suspend | device | ignores writes of configuration while suspended
SUSP-09 | 3, suspend | device | while suspended notifies nobody, touches no ring, changes no configuration
SUSP-10 | 3, suspend | device | tells of no change of configuration while suspended
SUSP-11 | 3, suspend | device | tells of it at the resumption instead
SUSP-12 | 3, suspend | device | suspends, or shows DEVICE_NEEDS_RESET
SUSP-13 | 3, suspend | device | resumes, or shows DEVICE_NEEDS_RESET
SUSP-14 | 3, suspend | device | returns what it has taken before it shows SUSPEND
SPLIT-01 | 2.7 | driver | aligns table, available and used ring to 16, 2 and 4 bytes
SPLIT-02 | 2.7.4.1 | device | makes nothing of where a message is cut into descriptors
SPLIT-03 | 2.7.4.2 | driver | puts readable elements before writable ones
SPLIT-04 | 2.7.4.2 | driver | uses no more descriptors than a message needs
SPLIT-05 | 2.7.5.1 | device | writes to no buffer that it may only read
SPLIT-06 | 2.7.5.1 | device | reads from no buffer that it is to write
SPLIT-07 | 2.7.5.1 | device | writes to no descriptor
SPLIT-08 | 2.7.5.2 | driver | keeps a chain within 2^32 bytes, and so free of loops
SPLIT-09 | 2.7.5.2 | driver | with IN_ORDER chains descriptors that stand side by side
SPLIT-10 | 2.7.6.1 | driver | never takes the available index back
SPLIT-11 | 2.7.8.2 | device | stores the length before the used index
SPLIT-12 | 2.7.8.2 | device | has written as many bytes as it says, from the first writable one on
SPLIT-13 | 2.7.8.3 | driver | relies on no byte behind that length
SPLIT-14 | 2.7.8.3 | driver | ignores the bytes behind that length
SPLIT-15 | 2.7.13.3 | driver | orders its stores before that of the available index
INDIR-01 | 2.7.5.3.1 | driver | uses INDIRECT with the feature only
INDIR-02 | 2.7.5.3.1 | driver | nests no indirect table in another
INDIR-03 | 2.7.5.3.1 | driver | makes no chain longer than the queue
INDIR-04 | 2.7.5.3.1 | driver | sets INDIRECT and NEXT in no one descriptor
INDIR-05 | 2.7.5.3.1 | driver | with IN_ORDER fills an indirect table from front to back
INDIR-06 | 2.7.5.3.2 | device | ignores WRITE on the descriptor of a table
INDIR-07 | 2.7.5.3.2 | device | takes direct descriptors with a table behind them
NOTIF-01 | 2.7.7.1 | driver | without EVENT_IDX writes 0 or 1 to the available flags
NOTIF-02 | 2.7.7.1 | driver | with EVENT_IDX writes 0 there
NOTIF-03 | 2.7.7.1 | driver | bears calls for nothing
NOTIF-04 | 2.7.7.2 | device | without EVENT_IDX ignores used_event
NOTIF-05 | 2.7.7.2 | device | does not call when the flag says so
NOTIF-06 | 2.7.7.2 | device | calls when the flag does not
NOTIF-07 | 2.7.7.2 | device | with EVENT_IDX ignores the flag
NOTIF-08 | 2.7.7.2 | device | with EVENT_IDX calls at the entry that used_event names
NOTIF-09 | 2.7.7.2 | device | calls at no other entry
NOTIF-10 | 2.7.10.1 | driver | clears the used flags when it makes a ring
NOTIF-11 | 2.7.10.1 | driver | without EVENT_IDX ignores avail_event
NOTIF-12 | 2.7.10.1 | driver | does not kick when the flag says so
NOTIF-13 | 2.7.10.1 | driver | kicks when the flag does not
NOTIF-14 | 2.7.10.1 | driver | with EVENT_IDX ignores the flag
NOTIF-15 | 2.7.10.1 | driver | with EVENT_IDX kicks at the entry that avail_event names
NOTIF-16 | 2.7.10.1 | driver | kicks at no other entry
NOTIF-17 | 2.7.10.2 | device | without EVENT_IDX writes 0 or 1 to the used flags
NOTIF-18 | 2.7.10.2 | device | with EVENT_IDX writes 0 there
NOTIF-19 | 2.7.10.2 | device | bears kicks for nothing
NOTIF-20 | 2.7.13.4 | driver | fences between the available index and the look at the device's wish
PACKED-01 | 2.8 | driver | aligns ring and event areas to 16 and 4 bytes
PACKED-02 | 2.8 | device | begins with buffers in the order of the ring
PACKED-03 | 2.8 | device | writes used descriptors in the order of completion
PACKED-04 | 2.8.5.1 | device | writes to no buffer that it may only read
PACKED-05 | 2.8.5.1 | device | reads from no buffer that it is to write
PACKED-06 | 2.8.5.1 | device | uses no descriptor before its AVAIL bit has turned
PACKED-07 | 2.8.5.1 | device | leaves a descriptor alone once its USED bit has turned
PACKED-08 | 2.8.5 | driver | leaves an offered descriptor alone until its USED bit turns
PACKED-09 | 2.8.5 | driver | leaves a descriptor alone once its AVAIL bit has turned
PACKED-10 | 2.8.5 | driver | names the next free descriptor in the data of a notification
PACKED-11 | 2.8.6 | driver | makes no list longer than the device allows
PACKED-12 | 2.8.6 | driver | makes no list longer than the queue
PACKED-13 | 2.8.6 | driver | puts readable elements before writable ones
PACKED-14 | 2.8.6 | driver | needs no descriptor back to finish a list
PACKED-15 | 2.8.6 | driver | has room for a whole list before it begins
PACKED-16 | 2.8.6 | driver | exposes the first descriptor of a list last
PACKED-17 | 2.8.6 | device | uses the elements of a list in their order
PACKED-18 | 2.8.7 | driver | uses INDIRECT with the feature only
PACKED-19 | 2.8.7 | driver | sets no flag but WRITE inside of a table
PACKED-20 | 2.8.7 | driver | makes no table longer than the device allows
PACKED-21 | 2.8.7 | driver | puts no INDIRECT descriptor into a list
PACKED-22 | 2.8.21 | driver | orders its stores before that of the flags
PACKED-23 | 2.8.21 | driver | fences before the look at the device's event area
`;

const PRACTICE = `
IMPL-01 | 2.7 | driver | gives a split queue a size that is a power of two, 32768 at most
IMPL-02 | 2.7.6 | both | lets indices run from 0 over 2^16 and takes them modulo the size
IMPL-03 | 2.7.8 | device | returns heads that are outstanding
IMPL-04 | 2.7.5 | driver | makes chains of as many elements as the queue has entries, at most
IMPL-05 | 2.7.13 | driver | makes no buffer without elements
IMPL-06 | 2.7.9 | device | with IN_ORDER may return a batch with one used entry
IMPL-07 | 2.7.9 | driver | takes the buffers of such a batch for used in full
IMPL-08 | 2.7.8 | device | counts bytes of the writable part only
IMPL-09 | 2.8 | driver | gives a packed queue any size up to 2^15
IMPL-10 | 2.8.1 | both | starts wrap counters at 1 and turns them behind the last slot
IMPL-11 | 2.8.1 | both | tells available from used by two bits and the wrap counter
IMPL-12 | 2.8.2 | device | returns a list with one descriptor and skips the others
IMPL-13 | 2.8.2 | driver | puts the id of a list into its last descriptor
IMPL-14 | 2.8.2 | driver | sets the flags of every descriptor of a list right
IMPL-15 | 2.8.4 | device | gives a length only with WRITE
IMPL-16 | 2.8.2 | driver | ignores NEXT in a used descriptor
IMPL-17 | 2.8.7 | device | looks at nothing but WRITE inside of a table
IMPL-18 | 2.8.6 | driver | may mix direct and indirect lists in a ring
IMPL-19 | 2.8.10 | both | knows three values of the event flags, one with EVENT_IDX only
IMPL-20 | 2.8.14 | both | leaves the reserved bits of an event area 0
IMPL-21 | 2.8.13 | driver | begins with a ring of zeroes
IMPL-22 | 2.9 | device | trusts no index in the data of a notification
IMPL-23 | 5.1.6 | device | shows the first buffer of a request of several last
IMPL-24 | 2.7.7 | both | takes suppression for a wish that may come too late
IMPL-25 | 2.6 | both | has 65536 queues at most
IMPL-26 | 2.7.9 | driver | with IN_ORDER fills the table in the order of the ring
TOL-01 | 2.7.5 | device | may limit the length of chains
TOL-02 | 2.7.5.1 | device | may read writable memory to diagnose
TOL-03 | 2.7.8.2 | device | may write more than it says
TOL-04 | 2.7.7 | driver | may ask by a flag not to be called
TOL-05 | 2.7.10 | device | may ask by a flag not to be kicked
TOL-06 | 2.7.7 | driver | may leave any index in used_event
TOL-07 | 2.7.10 | device | may leave any index in avail_event
TOL-08 | 2.7.13 | device | may use a buffer the moment its index shows
TOL-09 | 2.7.13 | driver | may offer many heads with one index
TOL-10 | 2.7.13.4 | driver | may kick again with nothing new
TOL-11 | 2.8 | device | may write packed descriptors in another order
TOL-12 | 2.6.1 | driver | may free the memory of a queue that has been reset
`;

const NO_PACKED = "packed rings are not shadowed: RING_PACKED is neither offered nor accepted (RFB-05 tests that)";
const NO_ORDER = "batches are not unrolled: IN_ORDER is neither offered nor accepted (FEAT-10 tests that)";
const NO_PCI = "there is no PCI function, virtual or other";

/** Numbers from one to another of a family. */
function range(family: string, from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `${family}-${String(from + i).padStart(2, "0")}`);
}

const PACKED_ONLY = new Set([...range("PACKED", 1, 23), ...range("IMPL", 9, 21), "TOL-11"]);
const IN_ORDER_ONLY = new Set(["RFB-13", "SPLIT-09", "INDIR-05", "IMPL-06", "IMPL-07", "IMPL-26"]);
const PCI_ONLY = new Set(["RFB-08", "RFB-09", "RFB-14", "RFB-15"]);

function untested(id: string): Pick<Statement, "untested"> {
  if (PACKED_ONLY.has(id)) return { untested: { kind: "not yet", why: NO_PACKED } };
  if (IN_ORDER_ONLY.has(id)) return { untested: { kind: "not yet", why: NO_ORDER } };
  return PCI_ONLY.has(id) ? { untested: { kind: "not applicable", why: NO_PCI } } : {};
}

function rows(table: string, keyword: boolean): Statement[] {
  return table
    .trim()
    .split("\n")
    .map((line) => {
      const [id, section, binds, says] = line.split(" | ") as [string, string, Bound, string];
      return { id, section, binds, says, keyword, ...untested(id) };
    });
}

/** Every statement of VIRTIO 1.4 about rings that is not of legacy devices: those with a keyword, then the others. */
export const STATEMENTS: readonly Statement[] = [...rows(KEYWORD, true), ...rows(PRACTICE, false)];
