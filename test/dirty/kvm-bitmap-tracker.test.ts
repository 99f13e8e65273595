/** The vCPUs' writes by KVM's dirty bitmaps, through a whole migration, and what happens without each rule. */
import { describe, expect, it, test } from "vitest";
import { blockers } from "../../src/dirty/blockers.js";
import { KvmBitmapTracker } from "../../src/dirty/kvm-bitmap-tracker.js";
import { KvmCentricPass } from "../../src/dirty/kvm-centric-pass.js";
import { KvmVm } from "../../src/dirty/kvm-vm.js";
import { LogTracker } from "../../src/dirty/log-tracker.js";
import { errno } from "../../src/layout/errno.js";
import { addSlots, addVcpu, deviceLog, wireVcpu } from "../helpers/kvm.js";
import { patchedCopy } from "../helpers/patched-copy.js";
import { DEVICE_PAGE, END_PAGE, migrateTracked } from "../helpers/tracked-migration.js";

const MODES = { default: 0, manual: 1, "manual, initially set": 3 } as const;
const TRACKER = "dirty/kvm-bitmap-tracker.ts";

function vmOf(flags: number, Vm = KvmVm, pml = false): KvmVm {
  const vm = new Vm({ pml });
  vm.enableManualProtect(flags);
  return vm;
}

function migrated(vm: KvmVm, tracker = new KvmBitmapTracker(vm)) {
  return migrateTracked((guest) => wireVcpu(guest, vm, tracker));
}

describe.each(Object.entries(MODES))("%s", (_, flags) => {
  it.each([false, true])("misses nothing, with PML: %s", async (pml) => {
    const vm = vmOf(flags, KvmVm, pml);
    const { outcome, verified } = await migrated(vm);
    expect(outcome).toMatchObject({ status: "completed", converged: true, degraded: [] });
    expect(outcome.verdict).toMatchObject({ misses: 0, differing: 0 });
    expect(verified).toBe(true);
    const faults = vm.vcpus[0]!.counters.faults;
    expect(faults > 0).toBe(!pml);
    expect(vm.footprintBytes()).toBe(0);
  });

  it("loses pages when TLBs keep their translations (M3 for a CPU)", async () => {
    const file = "dirty/kvm-vm.ts";
    const { KvmVm: NoFlush } = await patchedCopy<{ KvmVm: typeof KvmVm }>(file, [
      file,
      "if (pages > 0) this.#flushTlbs();",
      "",
    ]);
    const { outcome } = await migrated(vmOf(flags, NoFlush));
    expect(outcome.verdict!.misses).toBeGreaterThan(0);
  });
});

test("M2: what is cleared after it was copied is lost when it was written in between", async () => {
  const { KvmBitmapTracker: CopyFirst } = await patchedCopy<{ KvmBitmapTracker: typeof KvmBitmapTracker }>(
    TRACKER,
    [TRACKER, "if (vm.manualProtect) this.beforeCopy =", "if (vm.manualProtect) this.clearLate ="],
    [
      TRACKER,
      "readonly beforeCopy?:",
      "clearLate?: (firstPage: number, pageCount: number) => void;\n  readonly beforeCopy?:",
    ],
    [
      TRACKER,
      "const found = new Uint32Array(pages.words.length);",
      "this.clearLate?.(slot.firstPage, slot.pageCount); const found = new Uint32Array(pages.words.length);",
    ],
  );
  const vm = vmOf(MODES.manual);
  const { outcome } = await migrated(vm, new CopyFirst(vm));
  expect(outcome.verdict!.misses).toBeGreaterThan(0);
  expect(outcome.verdict!.differing).toBeGreaterThan(0);
});

test("a chunk is cleared once, with the first of its pages, and by chunks of at least 64 pages", async () => {
  const vm = vmOf(MODES["manual, initially set"]);
  addSlots(vm);
  const tracker = new KvmBitmapTracker(vm, { clearShift: 1 });
  tracker.start([{ address: 0, bytes: END_PAGE * 4096 }], 4096);
  tracker.beforeCopy!(3, 1);
  tracker.beforeCopy!(63, 1);
  expect(vm.counters).toMatchObject({ clears: 1, protectedPages: 64 });
  tracker.beforeCopy!(64, 200);
  expect(vm.counters).toMatchObject({ clears: 5, protectedPages: 320 });
  const bitmap = new Uint32Array(48);
  expect(tracker.report(0, 1536 * 4096, 4096, bitmap)).toBe(0);
  expect([bitmap[9], bitmap[10]]).toEqual([0, 0xffff_ffff]);
});

test("clearing late resends less: a page written again before its copy needs no second one", async () => {
  const sent = async (flags: number) => {
    const { outcome } = await migrated(vmOf(flags));
    return outcome.totalBytes;
  };
  expect(await sent(MODES["manual, initially set"])).toBeLessThan(await sent(MODES.default));
});

test("a report of other than whole pages, or without a start, is refused (EINVAL)", () => {
  const vm = vmOf(0);
  addSlots(vm);
  const tracker = new KvmBitmapTracker(vm);
  expect(tracker.report(0, 4096, 4096, new Uint32Array(2))).toBe(errno("EINVAL"));
  tracker.start([{ address: 0, bytes: 4096 }], 4096);
  for (const [address, bytes, grain] of [
    [1, 4096, 4096],
    [0, 0, 4096],
    [0, 4096, 2048],
    [0, 4095, 4096],
  ] as const) {
    expect(tracker.report(address, bytes, grain, new Uint32Array(2))).toBe(errno("EINVAL"));
  }
});

test("coarser pages and ranges inside a word come out right, and what was not asked for stays", () => {
  const vm = vmOf(0);
  addSlots(vm);
  const vcpu = vm.createVcpu();
  const tracker = new KvmBitmapTracker(vm);
  tracker.start([{ address: 0, bytes: END_PAGE * 4096 }], 4096);
  for (const page of [3, 10, 17, 40]) vcpu.walkForWrite(page);
  const bitmap = new Uint32Array(2);
  expect(tracker.report(8 * 4096, 16 * 4096, 8192, bitmap, { noClear: true })).toBe(0);
  expect(bitmap[0]).toBe((1 << 1) | (1 << 4));
  const all = new Uint32Array(2);
  tracker.report(0, 64 * 4096, 4096, all);
  expect([...all]).toEqual([(1 << 3) | (1 << 10) | (1 << 17), 1 << 8]);
});

test("B13: pages that only the CPU wrote are in KVM's bitmap only, those that a device wrote in the device's only", async () => {
  const vm = vmOf(0);
  const cpu = new KvmBitmapTracker(vm);
  await migrateTracked((guest) => {
    const entries = wireVcpu(guest, vm, cpu);
    for (const { tracker } of entries) tracker.start([{ address: 0, bytes: END_PAGE * 4096 }], 4096);
    guest.run(1e9, { share: 0 });
    guest.stop();
    const pagesOf = (tracker: (typeof entries)[number]["tracker"]) => {
      const low = new Uint32Array(48);
      const high = new Uint32Array(16);
      tracker.report(0, 1536 * 4096, 4096, low);
      tracker.report(2048 * 4096, 512 * 4096, 4096, high);
      return { low: low.some((bits) => bits !== 0), high: high.some((bits) => bits !== 0) };
    };
    expect(DEVICE_PAGE).toBeGreaterThan(2048);
    expect(pagesOf(entries[0]!.tracker)).toEqual({ low: true, high: false });
    expect(pagesOf(entries[1]!.tracker)).toEqual({ low: false, high: true });
    for (const { tracker } of entries) tracker.stop();
    return entries;
  });
});

describe("DMA bits in KVM's bitmap", () => {
  function dmaLogs(count: number): LogTracker[] {
    return Array.from({ length: count }, (_, i) => new LogTracker(`dma${i}`, END_PAGE * 4096));
  }

  test("A17: with k devices' bits in KVM's bitmap one pass gives the same set as k + 1, and loses nothing", async () => {
    const vm = vmOf(MODES.manual);
    const cpu = new KvmBitmapTracker(vm);
    const { outcome, verified } = await migrateTracked((guest) => {
      addSlots(vm);
      addVcpu(guest, vm);
      const logs = dmaLogs(3);
      for (const log of logs) guest.devices[0]!.markAfterWrite(log);
      return [{ tracker: new KvmCentricPass(vm, cpu, logs), covers: ["vcpu", "device:dma0"] }];
    });
    expect(outcome.verdict).toMatchObject({ misses: 0, differing: 0 });
    expect(verified).toBe(true);

    const single = passes(true);
    const several = passes(false);
    expect(single.pages).toEqual(several.pages);
    expect([several.passes, single.passes]).toEqual([4, 1]);
  });

  /** Three devices' logs and a vCPU: how often a sync goes over the migration's bitmap, and what it finds. */
  function passes(centric: boolean) {
    const vm = vmOf(0);
    addSlots(vm);
    const vcpu = vm.createVcpu();
    const cpu = new KvmBitmapTracker(vm);
    const logs = dmaLogs(3);
    const trackers = centric ? [new KvmCentricPass(vm, cpu, logs)] : [cpu, ...logs];
    for (const tracker of trackers) tracker.start([{ address: 0, bytes: 1536 * 4096 }], 4096);
    for (const page of [5, 70, 1500]) vcpu.walkForWrite(page);
    for (const [i, log] of logs.entries()) log.markAfterWrite((100 + 300 * i) * 4096, 3 * 4096);
    const pages = new Uint32Array(48);
    for (const tracker of trackers) expect(tracker.report(0, 1536 * 4096, 4096, pages)).toBe(0);
    return { pages: [...pages], passes: trackers.length };
  }

  test("A18: a dirty ring takes no DMA bits: ENXIO where it is tried, and a blocker that names the ring before", () => {
    const vm = new KvmVm();
    vm.enableDirtyRing(65_536);
    addSlots(vm);
    expect(vm.markWithoutVcpu(3)).toBe(errno("ENXIO"));
    const pass = new KvmCentricPass(vm, new KvmBitmapTracker(vm), dmaLogs(1));
    expect(pass.start([{ address: 0, bytes: 4096 }], 4096)).toBe(errno("ENXIO"));
    const found = blockers({ cpu: "kvm-ring", devices: [], kvmCentricPass: true });
    expect(found.map(({ name }) => name)).toEqual(["ring+kvm-centric-pass"]);
    expect(found[0]!.reason).toContain("dirty ring");
    expect(blockers({ cpu: "kvm-bitmap", devices: [], kvmCentricPass: true })).toEqual([]);
  });
});

test("without the device's log the device's pages are missed: KVM sees vCPUs only", async () => {
  const vm = vmOf(0);
  const { outcome } = await migrateTracked((guest) => {
    const [cpu] = wireVcpu(guest, vm, new KvmBitmapTracker(vm));
    expect(deviceLog(guest).covers).toEqual(["device:dma0"]);
    return [{ tracker: cpu!.tracker, covers: ["vcpu", "device:dma0"] }];
  });
  expect(outcome.verdict!.misses).toBeGreaterThan(0);
});
