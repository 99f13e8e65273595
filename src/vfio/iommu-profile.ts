/** How an IOMMU tracks dirty pages: the same calls, and what differs behind them (specification 4.7). */
export interface IommuProfile {
  readonly name: string;
  /** HW_CAP_DIRTY_TRACKING: a domain may be allocated with dirty tracking. */
  readonly tracksDirty: boolean;
  /** Dirty bits are set whether or not tracking is enabled, and can be read at any time. */
  readonly alwaysOn: boolean;
  /** What is written, once for each device of the domain, to enable or disable. */
  readonly perDevice: "device-table" | "pasid-table" | "nothing";
  /** Where a dirty bit is kept. */
  readonly dirtyBit: string;
}

const NAMES = ["amd", "intel-sm", "intel-legacy", "smmu-httu", "shared", "none"] as const;

/** A profile's name. */
export type IommuProfileName = (typeof NAMES)[number];

/** The profiles; "shared" walks the page table of the CPUs, so that a dirty bit says not whose write it was. */
export const IOMMU_PROFILES: Readonly<Record<IommuProfileName, IommuProfile>> = {
  amd: profile("amd", "device-table", "D of the I/O page table entry"),
  "intel-sm": profile("intel-sm", "pasid-table", "D of the second-stage entry"),
  "intel-legacy": { ...profile("intel-legacy", "nothing", "none in legacy mode"), tracksDirty: false },
  "smmu-httu": { ...profile("smmu-httu", "nothing", "writable-clean or writable-dirty of stage 2"), alwaysOn: true },
  shared: profile("shared", "pasid-table", "D of the CPU's page table entry"),
  none: { ...profile("none", "nothing", "none"), tracksDirty: false },
};

function profile(name: IommuProfileName, perDevice: IommuProfile["perDevice"], dirtyBit: string): IommuProfile {
  return { name, tracksDirty: true, alwaysOn: false, perDevice, dirtyBit };
}
