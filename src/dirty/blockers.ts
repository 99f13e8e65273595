/** Why a migration cannot be tried, by name: to be asked before anybody tries. */
export interface Blocker {
  /** One of BLOCKERS, or the name its owner gave. */
  readonly name: string;
  /** One sentence, for people. */
  readonly reason: string;
}

/** What a migration would be done with: as much of it as the rules of exclusion ask about. */
export interface TrackingConfig {
  /** How the vCPUs' writes are tracked. */
  readonly cpu: "store-log" | "kvm-bitmap" | "kvm-ring" | "all-dirty";
  readonly devices: readonly {
    readonly name: string;
    /** What tracks its writes; several may. */
    readonly trackers: readonly ("vhost-log" | "svq" | "device" | "type1" | "iommu" | "vq" | "all-dirty")[];
  }[];
  /** The guest has an IOMMU of its own, so that devices' address spaces are not known in advance. */
  readonly viommu?: boolean;
  /** DMA bits are put into the CPU's tracker, for one harvest of all (the threads' kvm-centric pass). */
  readonly kvmCentricPass?: boolean;
  readonly autoConverge?: boolean;
  readonly dirtyLimit?: boolean;
  /** Postcopy or background snapshot. */
  readonly postcopy?: boolean;
  readonly ramBytes?: number;
  /** Reasons of the relay's own check that a shadow virtqueue can be enabled (see `shadowBlockers`). */
  readonly shadow?: readonly Blocker[];
}

interface Rule {
  readonly name: string;
  readonly reason: string;
  readonly when: (config: TrackingConfig) => boolean;
}

const uses = (config: TrackingConfig, ...names: readonly string[]) =>
  config.devices.some(({ trackers }) => trackers.some((tracker) => names.includes(tracker)));

/** Type1's bitmap has at most 2^31 bits: 8 TiB at 4 KiB. */
const TYPE1_BYTES_MAX = 2 ** 43;

const RULES: readonly Rule[] = [
  {
    name: "device+viommu",
    reason: "a device that logs its DMA has to know its ranges in advance, and a vIOMMU maps as it goes",
    when: (config) => config.viommu === true && uses(config, "device"),
  },
  {
    name: "ring+kvm-centric-pass",
    reason: "DMA bits cannot be put into a KVM dirty ring: no vCPU runs that could own the entry",
    when: (config) => config.kvmCentricPass === true && config.cpu === "kvm-ring",
  },
  {
    name: "dirty-limit+auto-converge",
    reason: "dirty-limit and auto-converge both throttle vCPUs; one at a time",
    when: (config) => config.dirtyLimit === true && config.autoConverge === true,
  },
  {
    name: "dirty-limit-without-ring",
    reason: "dirty-limit measures each vCPU by its KVM dirty ring",
    when: (config) => config.dirtyLimit === true && config.cpu !== "kvm-ring",
  },
  {
    name: "vfio+postcopy",
    reason: "a VFIO device cannot fault a page in: no postcopy, no background snapshot",
    when: (config) => config.postcopy === true && uses(config, "device", "type1", "iommu"),
  },
  {
    name: "type1-too-large",
    reason: "the bitmap of a type1 container covers 8 TiB at most",
    when: (config) => (config.ramBytes ?? 0) > TYPE1_BYTES_MAX && uses(config, "type1"),
  },
];

/** Names of the rules of exclusion (specification 6.3). */
export const BLOCKERS: readonly string[] = RULES.map(({ name }) => name);

/** Every reason for which a configuration cannot migrate; none when it can be tried. */
export function blockers(config: TrackingConfig): Blocker[] {
  const found = RULES.filter(({ when }) => when(config)).map(({ name, reason }) => ({ name, reason }));
  return [...found, ...(config.shadow ?? [])];
}

/** Blockers that parts of a machine put up while it runs, each with its owner. */
export class BlockerRegistry {
  readonly #held = new Map<string, Blocker[]>();

  /** Puts one up. */
  add(blocker: Blocker, owner: string): void {
    this.#held.set(owner, [...(this.#held.get(owner) ?? []), blocker]);
  }

  /** Takes down one of an owner's blockers; nothing when it has none of that name. */
  remove(name: string, owner: string): void {
    const left = (this.#held.get(owner) ?? []).filter((blocker) => blocker.name !== name);
    if (left.length === 0) this.#held.delete(owner);
    else this.#held.set(owner, left);
  }

  /** Takes down all of an owner's, who leaves. */
  removeOwner(owner: string): void {
    this.#held.delete(owner);
  }

  /** All that stand, in the order of their owners. */
  all(): Blocker[] {
    return [...this.#held.values()].flat();
  }
}
