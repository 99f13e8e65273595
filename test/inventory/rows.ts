/** A mechanism or a claim of the mailing-list threads, by the number under which the tests name it. */
export interface InventoryRow {
  readonly id: string;
  /** The thread it comes from. */
  readonly thread: string;
  readonly says: string;
  /** The part that it waits for; left out for those that need a test. */
  readonly later?: string;
}

const THREADS: Readonly<Record<string, string>> = {
  A: "one dirty plan for device and IOMMU (February 2022)",
  B: "documentation of VFIO migration (March 2023)",
  C: "what a migration driver offers (February 2022)",
  D: "shadow virtqueues, the first proposal (November 2020)",
  E: "peer-to-peer DMA and migration (December 2021)",
};

/** What a part of the threads waits for. */
const STATE_MACHINE = "the VFIO migration state machine";
const P2P = "policies of peer-to-peer DMA";
const CONFIGURATIONS = "the notification paths as configurations of the lab";

const ROWS = `
A01 | a device's own tracker and an IOMMU's together in one migration, OR-ed
A02 | reading and clearing the dirty bits of a range of IOVAs touches nothing outside of it
A03 | tracking is one switch for each domain; three IOMMUs have the same calls and different quirks
A04 | tracking that is always on starts from a clean picture all the same
A05 | large IOMMU pages are split before a migration and joined after it, by calls of their own
A06 | what can be tracked is set up first, tracking is steered later
A07 | the IOMMU tracks a domain, not an address space: an untracked domain is in no report
A08 | a device's log is a feature of the device, whatever its migration state
A09 | one call for many devices gives the same bits as one call for each
A10 | a device's log is told ranges: memory has holes, and they are never reported
A11 | an IOMMU's tracker costs nothing to set up, a device's has state
A12 | the fixed cost of a call against the cost of its bits, by size of RAM
A13 | looking at the leaves and setting bits against copying the bitmap
A14 | bits are set in the caller's bitmap in place, window by window
A15 | only the part of a bitmap that is not zero is copied
A16 | whoever migrates chooses the trackers; combinations that make no sense are refused
A17 | all harvests go into the bitmap of the CPU's tracker: one pass
A18 | that does not go together with the dirty ring
A19 | whoever walks a table sets bits in a bitmap that is not its own, and clears none
A20 | an IOMMU that shares the CPU's page tables: one harvest, and nobody knows who wrote
A21 | features of a domain are switched by name, and only those that are known
B01 | trackers start before the first sync and stop after the end, also after failure and cancel
B02 | a sync asks every container and counts a page once
B03 | a device's log is found, started, stopped and read by its four calls
B04 | without a tracker every mapped page is dirty at every sync
B05 | a driver that pins pages makes those dirty and no others
B06 | without any of it everything is dirty
B07 | dirtying that never ends shows as a downtime that is missed
B08 | a device may be left out until the machine has stopped
B09 | unmapping under a virtual IOMMU returns what was dirty
B10 | at the stop only what is mapped then is asked for
B11 | a device's log and a virtual IOMMU block a migration
B12 | one device that cannot be tracked decides for its container
B13 | what the CPU wrote is found by the CPU's tracker alone
C01 | the sets of states that a driver may offer | ${STATE_MACHINE}
C02 | a record that fails an incompatible destination early | ${STATE_MACHINE}
C03 | an integrated endpoint without peer-to-peer DMA | ${STATE_MACHINE}
C04 | a stopped device that is touched harms nobody | ${STATE_MACHINE}
C05 | each arc of the state machine is one function | ${STATE_MACHINE}
C06 | two arcs that a driver must not leave out | ${STATE_MACHINE}
C07 | stopping a device is stopping its DMA | ${STATE_MACHINE}
C08 | a stream of fixed size | ${STATE_MACHINE}
C09 | a guest does not reach the registers of migration | ${STATE_MACHINE}
C10 | a call without its flags is refused by name | ${STATE_MACHINE}
C11 | the older protocol of bits | ${STATE_MACHINE}
C12 | copying device state early does not mean tracking memory | ${STATE_MACHINE}
C13 | a driver over a core with defaults | ${STATE_MACHINE}
D01 | a relay between the guest's ring and the device's, switched on and off under load
D02 | the device sees nothing but the relay's ring
D03 | notifications go through the relay, in both directions
D04 | marks at the relay of the used ring: the device needs no log
D05 | what the shadow virtqueue cannot carry is refused, by name
D06 | notifications alone are relayed: no descriptor is touched, nothing is known of what is dirty
D07 | the index that the destination goes on from is the one the source has reached
D08 | a device stops without losing where it stood
D09 | the relay comes with a migration and goes when it ends or fails
D10 | a queue is found at once when it is notified, and taken down safely | ${CONFIGURATIONS}
D11 | event indices, packed rings, no IOMMU: carried or refused by name
D12 | a hostile ring costs its queue and nothing else
D13 | a fixed window for the rings collides with RAM, an allocator does not
D14 | who can log, who can be shadowed, and what blocks
D15 | every point of order in the relay says why
D16 | the relay knows no device | ${CONFIGURATIONS}
D17 | the memory that tracking takes, with and without a log
D18 | addresses for the device come from an allocator within its range
D19 | rings are mapped before they start and unmapped after they stop
D20 | an IOMMU that answers everything with the same address
D21 | how much of our memory a device can reach
D22 | the relay runs without any migration
D23 | one driver half of a ring, for the guest's driver and for the relay
D24 | a block device behind the relay
D25 | a change of path under load: nothing unmapped is touched, no notification lost
D26 | a migration without the feature of logging
D27 | memory that a device shares with its driver is none of the relay's | shared memory regions of devices
D28 | the chain of notifications against a doorbell without exits | ${CONFIGURATIONS}
D29 | the relay in the kernel | ${CONFIGURATIONS}
D30 | a device that logs itself needs no relay | ${CONFIGURATIONS}
D31 | polling the queues | ${CONFIGURATIONS}
D32 | dirty pages reported through a virtqueue: constant memory, and the writer waits
D33 | that queue lies in an address space of its own
D34 | what slows a device down may let a migration converge
D35 | the kernel stays simple, the order of a switch is the relay's | ${CONFIGURATIONS}
D36 | is it good enough: measured
E01 | peer-to-peer DMA by pairs of devices | ${P2P}
E02 | peer-to-peer DMA for a machine | ${P2P}
E03 | peer-to-peer DMA for a device, the same for all | ${P2P}
E04 | the order of plugging decides | ${P2P}
E05 | the order of plugging does not decide | ${P2P}
E06 | nothing can migrate by default | ${P2P}
E07 | whether a device can migrate is asked before it is plugged, and answered with a reason | ${P2P}
E08 | one switch of the machine sets the default of its devices | ${P2P}
E09 | who needs peer-to-peer DMA | ${P2P}
E10 | from restoring straight to running | ${STATE_MACHINE}
E11 | a reset ends restoring, and is the way out of an error | ${STATE_MACHINE}
E12 | restoring does not rely on a reset before | ${STATE_MACHINE}
E13 | MUST, SHOULD and MAY of the state machine | ${STATE_MACHINE}
E14 | walks through the state machine that nobody's program takes | ${STATE_MACHINE}
E15 | an interface with versions | ${STATE_MACHINE}
`;

/** All rows, in the order of the threads. */
export const INVENTORY: readonly InventoryRow[] = ROWS.trim()
  .split("\n")
  .map((line) => {
    const [id = "", says = "", later] = line.split("|").map((part) => part.trim());
    return { id, says, thread: THREADS[id[0] ?? ""] ?? "", ...(later === undefined ? {} : { later }) };
  });
