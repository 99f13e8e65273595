/** The vCPUs' writes by KVM's dirty rings, through a whole migration, and what happens without each rule. */
import { expect, test } from "vitest";
import { KvmRingTracker } from "../../src/dirty/kvm-ring-tracker.js";
import { KvmVm } from "../../src/dirty/kvm-vm.js";
import { errno } from "../../src/layout/errno.js";
import { KVM_EXIT_DIRTY_RING_FULL, KVM_MEM_LOG_DIRTY_PAGES } from "../../src/layout/kvm.js";
import { seededRandom } from "../../src/migration/seeded.js";
import { addSlots, wireVcpu } from "../helpers/kvm.js";
import { patchedCopy } from "../helpers/patched-copy.js";
import { END_PAGE, migrateTracked, type TrackedChange } from "../helpers/tracked-migration.js";

const MIB = 2 ** 20;
const FILE = "dirty/kvm-ring-tracker.ts";
type Module = { KvmRingTracker: typeof KvmRingTracker };

function ringVm({ entries = 1024, pml = true, backup = false } = {}): KvmVm {
  const vm = new KvmVm({ pml });
  expect(vm.enableDirtyRing(entries * 16)).toBe(0);
  if (backup) expect(vm.enableRingWithBitmap()).toBe(0);
  return vm;
}

function migrated(vm: KvmVm, tracker: KvmRingTracker, change: TrackedChange = {}) {
  return migrateTracked((guest) => wireVcpu(guest, vm, tracker), change);
}

test.each([
  { pml: false, whenFull: "reap" },
  { pml: true, whenFull: "reap" },
  { pml: true, whenFull: "wait" },
] as const)("misses nothing: %o", async ({ pml, whenFull }) => {
  const vm = ringVm({ pml });
  const tracker = new KvmRingTracker(vm, { whenFull });
  const { outcome, verified } = await migrated(vm, tracker);
  expect(outcome).toMatchObject({ status: "completed", degraded: [] });
  expect(outcome.verdict).toMatchObject({ misses: 0, differing: 0 });
  expect(verified).toBe(true);
  expect(tracker.refused).toBe(0);
});

test("M5: without the kick what the CPU's buffer holds is lost", async () => {
  const { KvmRingTracker: NoKick } = await patchedCopy<Module>(FILE, [
    FILE,
    "this.#counters.harvests += 1;\n    this.#vm.kickVcpus();",
    "this.#counters.harvests += 1;",
  ]);
  const vm = ringVm();
  const { outcome } = await migrated(vm, new NoKick(vm));
  expect(outcome.verdict!.misses).toBeGreaterThan(0);
  const faulting = ringVm({ pml: false });
  const without = await migrated(faulting, new NoKick(faulting));
  expect(without.outcome.verdict!.misses).toBe(0);
});

test("pages that are copied before the reset protected them are lost when they are written again", async () => {
  const { KvmRingTracker: CopiesFirst } = await patchedCopy<Module>(FILE, [
    FILE,
    "const harvested = this.#harvest();\n    const reset = this.#vm.resetDirtyRings();",
    // Of the two windows of a sync only the first resets, and what the sync before harvested.
    "const late = this.#counters.harvests % 2 === 1;\n    const reset = late ? this.#vm.resetDirtyRings() : 0;\n" +
      "    const harvested = this.#harvest();",
  ]);
  const vm = ringVm({ entries: 65_536, pml: false });
  const { outcome } = await migrated(vm, new CopiesFirst(vm));
  expect(outcome.verdict!.misses).toBeGreaterThan(0);
});

test("a million random pages through 4096 entries: nothing is missed, and a vCPU comes back for each ring full", () => {
  const vm = ringVm({ entries: 4096 });
  addSlots(vm);
  const vcpu = vm.createVcpu();
  const tracker = new KvmRingTracker(vm);
  tracker.start([{ address: 0, bytes: END_PAGE * 4096 }], 4096);
  const random = seededRandom(3);
  const marked = new Uint8Array(1536);
  const missed = new Set<number>();
  let written = 0;
  for (let n = 0; n < 1_000_000; n++) {
    if (!vcpu.enter()) throw new Error("a vCPU whose ring is reaped goes on");
    const page = Math.floor(random() * 1536);
    vcpu.walkForWrite(page);
    if (marked[page] === 0) written += 1;
    marked[page] = 1;
    if (n % 10_000 !== 9999) continue;
    const bitmap = new Uint32Array(48);
    tracker.report(0, 1536 * 4096, 4096, bitmap);
    for (let at = 0; at < 1536; at++) {
      const isSet = (bitmap[at >>> 5]! & (1 << (at & 31))) !== 0;
      if ((marked[at] === 1) !== isSet) missed.add(at);
      marked[at] = 0;
    }
  }
  expect([...missed]).toEqual([]);
  expect(written).toBeGreaterThan(100_000);
  expect(vm.counters.marks).toBe(written);
});

test("a vCPU whose ring is full comes back and may not run until the reset (exit 31)", () => {
  expect(KVM_EXIT_DIRTY_RING_FULL).toBe(31);
  const vm = ringVm({ pml: false });
  addSlots(vm);
  const vcpu = vm.createVcpu();
  const tracker = new KvmRingTracker(vm, { whenFull: "wait" });
  tracker.start([{ address: 0, bytes: END_PAGE * 4096 }], 4096);
  let written = 0;
  while (vcpu.enter()) vcpu.walkForWrite(written++);
  expect(written).toBe(1024 - 576);
  expect(vcpu.enter()).toBe(false);
  expect(vcpu.counters.ringFullExits).toBe(2);
  const bitmap = new Uint32Array(48);
  tracker.report(0, 1536 * 4096, 4096, bitmap);
  expect(vcpu.enter()).toBe(true);
  expect(bitmap[13]).toBe(0xffff_ffff);
  expect(bitmap[14]).toBe(0);
});

test("exits are at least the pages written by what a ring holds, and the larger ring has fewer", async () => {
  const exits = async (entries: number) => {
    const vm = ringVm({ entries, pml: false });
    await migrated(vm, new KvmRingTracker(vm), { vcpuBytesPerSecond: 8 * MIB });
    const { ringFullExits } = vm.vcpus[0]!.counters;
    return { ringFullExits, marks: vm.counters.marks };
  };
  const small = await exits(1024);
  const large = await exits(4096);
  expect(small.ringFullExits).toBeGreaterThan(0);
  expect(large.ringFullExits).toBeLessThan(small.ringFullExits);
});

test("rings take the same memory whatever the RAM; the user's bitmaps grow with it", () => {
  const footprint = (pageCount: number) => {
    const vm = ringVm({ entries: 4096 });
    vm.setMemoryRegion({ id: 0, firstPage: 0, pageCount }, KVM_MEM_LOG_DIRTY_PAGES);
    vm.createVcpu();
    return vm.footprintBytes();
  };
  expect(footprint(64)).toBe(65_536);
  expect(footprint(2 ** 22)).toBe(65_536);
});

test("what no vCPU wrote is in the backup bitmap, and asked for last", () => {
  const vm = ringVm({ backup: true });
  addSlots(vm);
  const vcpu = vm.createVcpu();
  const tracker = new KvmRingTracker(vm);
  tracker.start([{ address: 0, bytes: END_PAGE * 4096 }], 4096);
  vcpu.walkForWrite(1);
  expect(vm.markWithoutVcpu(2)).toBe(0);
  const report = () => {
    const bitmap = new Uint32Array(48);
    expect(tracker.report(0, 1536 * 4096, 4096, bitmap)).toBe(0);
    return bitmap[0];
  };
  expect(report()).toBe(1 << 1);
  tracker.settle();
  expect(report()).toBe(1 << 2);
  expect(report()).toBe(0);
});

test("without rings in the VM it does not start (EINVAL)", () => {
  const vm = new KvmVm();
  addSlots(vm);
  expect(new KvmRingTracker(vm).start([{ address: 0, bytes: 4096 }], 4096)).toBe(errno("EINVAL"));
});

test("dirty-limit holds a vCPU to its quota by its ring, and a guest converges that did not", async () => {
  const run = async (dirtyLimitBytes: number) => {
    const vm = ringVm({ entries: 4096 });
    return migrated(vm, new KvmRingTracker(vm), {
      vcpuBytesPerSecond: 64 * MIB,
      parameters: { dirtyLimitBytes, roundsMax: 40 },
    });
  };
  const free = await run(0);
  const limited = await run(2 * MIB);
  expect(free.outcome.converged).toBe(false);
  expect(limited.outcome).toMatchObject({ converged: true });
  expect(limited.outcome.throttlePercent).toBeGreaterThan(50);
  for (const { outcome } of [free, limited]) expect(outcome.verdict).toMatchObject({ misses: 0, differing: 0 });
});
