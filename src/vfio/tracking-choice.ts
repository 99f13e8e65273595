/** What tracks the memory of a container's devices, and what stands against a migration. */
export interface TrackingChoice {
  readonly uses: "device" | "iommu" | "all-dirty";
  /** Set where a migration is not to be tried. */
  readonly blocker?: string;
  /** Set where it is tried, and costs more than whoever asked may expect. */
  readonly warning?: string;
}

/** What a choice is made from. */
export interface ChoiceParts {
  /** Whether each of the container's devices can log its DMA. */
  readonly devicesLog: readonly boolean[];
  /** Whether every domain of the container tracks; some are not enough. */
  readonly domainsTrack: readonly boolean[];
  /** enable-migration: "auto" would rather not migrate than send everything, "on" insists. */
  readonly migration: "auto" | "on";
}

/**
 * Chooses for a container: its devices if all of them can, else its IOMMU if all domains can, else nothing can.
 *
 * One device that cannot log makes the others' logs useless, because its writes are in none (specification 3.7, 6.3).
 */
export function chooseTracking({ devicesLog, domainsTrack, migration }: ChoiceParts): TrackingChoice {
  if (devicesLog.every(Boolean)) return { uses: "device" };
  if (domainsTrack.length > 0 && domainsTrack.every(Boolean)) return { uses: "iommu" };
  const why = "not every device can log its DMA, and not every domain of its IOMMU can track";
  return migration === "auto" ? { uses: "all-dirty", blocker: why } : { uses: "all-dirty", warning: why };
}
