import { expect, test } from "vitest";
import { record } from "../../bench/inputs/record.js";
import type { TRACKER_OPERATIONS } from "../../bench/inputs/tracker-input.js";
import { TrackerKernel } from "../../bench/kernels/tracker.js";
import { phasesOf } from "../../bench/plots/phases.js";
import { TrackerRig } from "../../bench/plots/tracker-rig.js";
import { ROWS } from "../../bench/rows.js";

const WORK = { kind: "tracker", pages: 2048, writes: 1024, runPages: 40 } as const;
const kernelOf = (operation: (typeof TRACKER_OPERATIONS)[number]) => new TrackerKernel(record({ ...WORK, operation }));

test.each([
  ["mark", "bare-rmw"],
  ["harvest", "sum"],
  ["send", "set"],
] as const)("%s leaves behind what %s does, and both take time", (ours, bare) => {
  const [one, other] = [kernelOf(ours), kernelOf(bare)];
  const outputs = one.outputs();
  expect(outputs.length).toBeGreaterThan(0);
  expect(Buffer.compare(outputs, other.outputs())).toBe(0);
  for (const kernel of [one, other]) expect(kernel.window(1e6)).toBeGreaterThan(0);
});

test("other writes leave something else behind", () => {
  const fewer = new TrackerKernel(record({ ...WORK, operation: "mark", writes: 100 }));
  expect(Buffer.compare(fewer.outputs(), kernelOf("mark").outputs())).not.toBe(0);
});

test("the rows of trackers have the goals that were set for them", () => {
  const reach = Object.fromEntries(
    ROWS.filter(({ family }) => family === "trackers").map((row) => [row.name, row.reach]),
  );
  expect(reach).toMatchObject({
    tracker_mark_vs_bare_rmw: 1.3,
    tracker_harvest_clean_vs_sum: 2,
    page_sender_vs_set: 1 / 0.6,
  });
});

test.each(["vhost-log", "device-bitmap", "device-queue", "vq-pull", "iommu-4k", "kvm-ring"])(
  "a sync of %s reports what was written, and costs nothing that was not counted",
  (name) => {
    const rig = new TrackerRig(name, 16 * 2 ** 20, 2);
    for (const pages of [0, 1, 40, 4096]) expect(rig.cost(pages)).toMatchObject({ dirtyPages: pages });
    expect(rig.least(10, 2).harvestNs).toBeGreaterThan(0);
  },
);

test("footprints: a bitmap grows with RAM, a queue does not, and each device has its own", () => {
  const bytes = (name: string, mib: number, devices = 1) =>
    new TrackerRig(name, mib * 2 ** 20, devices).cost(0).footprintBytes;
  expect(bytes("device-bitmap", 256) / bytes("device-bitmap", 16)).toBe(16);
  expect(bytes("device-queue", 256)).toBe(bytes("device-queue", 16));
  expect(bytes("device-bitmap", 16, 4)).toBe(4 * bytes("device-bitmap", 16));
});

test("phases: a copy takes the whole bitmap, a sparse one what is not zero", () => {
  expect(phasesOf("4k", 32_768, 0)).toMatchObject({ copiedBytes: 4096, sparseBytes: 0 });
  const some = phasesOf("2m", 32_768, 1);
  expect(some.copiedBytes).toBe(4096);
  expect(some.sparseBytes).toBeGreaterThan(0);
  for (const ns of [some.scanNs, some.setNs, some.copyNs, some.totalNs]) expect(ns).toBeGreaterThan(0);
});
