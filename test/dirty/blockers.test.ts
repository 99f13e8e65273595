import { expect, test } from "vitest";
import { BLOCKERS, BlockerRegistry, blockers, type TrackingConfig } from "../../src/dirty/blockers.js";
import { seededRandom } from "../../src/migration/seeded.js";

const DEVICE = { name: "device:a", trackers: ["device"] } as const;
const IOMMU = { name: "device:a", trackers: ["iommu"] } as const;
const TYPE1 = { name: "device:a", trackers: ["type1"] } as const;

test.each<[string, TrackingConfig, TrackingConfig]>([
  [
    "device+viommu",
    { cpu: "kvm-bitmap", devices: [DEVICE], viommu: true },
    { cpu: "kvm-bitmap", devices: [IOMMU], viommu: true },
  ],
  [
    "ring+kvm-centric-pass",
    { cpu: "kvm-ring", devices: [IOMMU], kvmCentricPass: true },
    { cpu: "kvm-bitmap", devices: [IOMMU], kvmCentricPass: true },
  ],
  [
    "dirty-limit+auto-converge",
    { cpu: "kvm-ring", devices: [], dirtyLimit: true, autoConverge: true },
    { cpu: "kvm-ring", devices: [], dirtyLimit: true },
  ],
  [
    "dirty-limit-without-ring",
    { cpu: "kvm-bitmap", devices: [], dirtyLimit: true },
    { cpu: "kvm-bitmap", devices: [], autoConverge: true },
  ],
  ["vfio+postcopy", { cpu: "kvm-bitmap", devices: [TYPE1], postcopy: true }, { cpu: "kvm-bitmap", devices: [TYPE1] }],
  [
    "type1-too-large",
    { cpu: "kvm-bitmap", devices: [TYPE1], ramBytes: 2 ** 43 + 4096 },
    { cpu: "kvm-bitmap", devices: [TYPE1], ramBytes: 2 ** 43 },
  ],
])("%s is refused by its name, and what is next to it is not (6.3)", (name, illegal, legal) => {
  expect(BLOCKERS).toContain(name);
  expect(blockers(illegal).map((blocker) => blocker.name)).toEqual([name]);
  expect(blockers(legal)).toEqual([]);
});

test("every rule has a case above (A16, B11)", () => {
  expect(BLOCKERS).toHaveLength(6);
});

test("reasons of the shadow virtqueue's own check are passed on (D14)", () => {
  const shadow = [{ name: "svq-needs-suspend", reason: "it cannot rest" }];
  expect(blockers({ cpu: "store-log", devices: [], shadow })).toEqual(shadow);
});

test("BlockerRegistry: after 10^4 random changes it is empty exactly when nobody blocks (6.3)", () => {
  const registry = new BlockerRegistry();
  const random = seededRandom(11);
  const model = new Map<string, string[]>();
  for (let event = 0; event < 10_000; event++) {
    const owner = `device${Math.floor(random() * 3)}`;
    const name = `reason${Math.floor(random() * 2)}`;
    const held = model.get(owner) ?? [];
    const what = random();
    if (what < 0.4) {
      registry.add({ name, reason: "why" }, owner);
      model.set(owner, [...held, name]);
    } else if (what < 0.8) {
      registry.remove(name, owner);
      model.set(
        owner,
        held.filter((one) => one !== name),
      );
    } else {
      registry.removeOwner(owner);
      model.delete(owner);
    }
    const wanted = [...model.values()].flat();
    expect(registry.all().length === 0).toBe(wanted.length === 0);
    expect(
      registry
        .all()
        .map((blocker) => blocker.name)
        .sort(),
    ).toEqual(wanted.sort());
  }
});
