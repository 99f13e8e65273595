import { assert } from "../../../memory/assert.js";
import { IommuTracker } from "../../../vfio/iommu-tracker.js";
import { HWPT_ALLOC, type HwptChoice, Iommufd } from "../../../vfio/iommufd.js";
import type { RowGround, RowWiring, TrackerRow } from "../row.js";

/** Dirty bits of an IOMMU's page table: one domain for all devices. */
export const IOMMU_ROWS: readonly TrackerRow[] = [
  row("iommu-4k", { hugePages: false }, "Dirty bits in entries of 4 KiB."),
  row("iommu-2m", { hugePages: true }, "Dirty bits in entries of 2 MiB: one byte written makes 512 pages dirty."),
  row(
    "iommu-demoted",
    { hugePages: true },
    "Entries of 2 MiB are split when tracking starts, and joined afterwards.",
    true,
  ),
  {
    ...row(
      "iommu-no-flush",
      { hugePages: false, flushes: false },
      "Dirty bits are cleared and cached translations kept.",
    ),
    expect: "unsound",
  },
];

function row(name: string, choice: HwptChoice, does: string, demotes = false): TrackerRow {
  return { name, expect: "sound", does, wire: (ground) => wire(name, choice, demotes, ground) };
}

function wire(name: string, choice: HwptChoice, demotes: boolean, { guest, blocks, stores }: RowGround): RowWiring {
  const fd = new Iommufd();
  const ioasId = fd.allocIoas();
  for (const { gpa, bytes } of blocks)
    assert(fd.ioas(ioasId)!.map(gpa, bytes, gpa) === 0, "RAM is mapped where it lies");
  const device = fd.addDevice("amd");
  const hwptId = fd.allocHwpt(device, ioasId, HWPT_ALLOC.dirtyTracking, choice);
  for (const port of guest.devices) {
    assert(fd.attach(device, hwptId, (hwpt) => port.translateBy(hwpt)) === 0, "its IOMMU tracks");
  }
  const covers = guest.devices.map(({ writer }) => writer);
  return {
    entries: [stores, { tracker: new IommuTracker(name, fd, hwptId, demotes), covers }],
    config: { cpu: "store-log", devices: covers.map((writer) => ({ name: writer, trackers: ["iommu"] })) },
  };
}
