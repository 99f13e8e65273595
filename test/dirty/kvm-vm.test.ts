/** KVM's calls: what they answer, what they protect, and how often a vCPU faults. */
import { describe, expect, it } from "vitest";
import { KvmVm } from "../../src/dirty/kvm-vm.js";
import { errno } from "../../src/layout/errno.js";
import {
  KVM_DIRTY_LOG_INITIALLY_SET,
  KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE,
  KVM_MEM_LOG_DIRTY_PAGES,
} from "../../src/layout/kvm.js";

const SLOT = { id: 0x1_0002, firstPage: 1000, pageCount: 200 };
const MANUAL = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

function logging(vm = new KvmVm()): KvmVm {
  expect(vm.setMemoryRegion(SLOT, KVM_MEM_LOG_DIRTY_PAGES)).toBe(0);
  return vm;
}

function manual(flags = MANUAL): KvmVm {
  const vm = new KvmVm();
  expect(vm.enableManualProtect(flags)).toBe(0);
  return logging(vm);
}

/** The dirty log of the slot as it is now: its pages. */
function get(vm: KvmVm): number[] {
  const bitmap = new Uint32Array(8);
  expect(vm.getDirtyLog(SLOT.id, bitmap)).toBe(0);
  return Array.from({ length: SLOT.pageCount }, (_, page) => page).filter(
    (page) => (bitmap[page >>> 5]! & (1 << (page & 31))) !== 0,
  );
}

function clear(vm: KvmVm, firstPage: number, pageCount: number, bits = -1): number {
  return vm.clearDirtyLog(SLOT.id, firstPage, pageCount, new Uint32Array(8).fill(bits));
}

describe("a dirty bitmap", () => {
  it("reports and clears at once by default; the first write after that faults, the next ones do not", () => {
    const vm = logging();
    const vcpu = vm.createVcpu();
    for (const page of [1000, 1033, 1033, 1199]) vcpu.walkForWrite(page);
    expect(vcpu.counters.faults).toBe(3);
    expect(get(vm)).toEqual([0, 33, 199]);
    expect(get(vm)).toEqual([]);
    vcpu.walkForWrite(1033);
    vcpu.walkForWrite(1033);
    expect(vcpu.counters.faults).toBe(4);
    expect(get(vm)).toEqual([33]);
  });

  it("flushes the TLBs before it returns, when it protected something", () => {
    const vm = logging();
    let flushes = 0;
    vm.addTlb({ flush: () => (flushes += 1) });
    vm.createVcpu().walkForWrite(1001);
    get(vm);
    expect(flushes).toBe(1);
    get(vm);
    expect(flushes).toBe(1);
  });

  it("with MANUAL_PROTECT is only shown by GET; CLEAR clears and protects what it is given", () => {
    const vm = manual();
    const vcpu = vm.createVcpu();
    for (const page of [1001, 1002, 1070]) vcpu.walkForWrite(page);
    expect(get(vm)).toEqual([1, 2, 70]);
    expect(get(vm)).toEqual([1, 2, 70]);
    expect(clear(vm, 0, 64, 2)).toBe(0);
    expect(get(vm)).toEqual([2, 70]);
    const before = vcpu.counters.faults;
    vcpu.walkForWrite(1002);
    expect(vcpu.counters.faults).toBe(before);
    vcpu.walkForWrite(1001);
    expect(vcpu.counters.faults).toBe(before + 1);
  });

  it("with INITIALLY_SET begins full and unprotected: the cost comes with the clears", () => {
    const vm = manual(MANUAL | KVM_DIRTY_LOG_INITIALLY_SET);
    const vcpu = vm.createVcpu();
    expect(vm.counters.protectedPages).toBe(0);
    expect(get(vm)).toHaveLength(200);
    vcpu.walkForWrite(1000);
    expect(vcpu.counters.faults).toBe(0);
    expect(clear(vm, 0, 128)).toBe(0);
    expect(vm.counters.protectedPages).toBe(128);
    expect(get(vm)).toHaveLength(72);
    vcpu.walkForWrite(1000);
    expect(vcpu.counters.faults).toBe(1);
    expect(manual().counters.protectedPages).toBe(200);
  });

  it("CLEAR wants multiples of 64 pages, or the slot's end (EINVAL)", () => {
    const vm = manual();
    for (const [first, count] of [
      [1, 64],
      [0, 63],
      [64, 100],
      [0, 256],
      [192, 9],
      [-64, 64],
    ] as const) {
      expect(clear(vm, first, count), `${first} ${count}`).toBe(errno("EINVAL"));
    }
    for (const [first, count] of [
      [0, 64],
      [128, 64],
      [192, 8],
      [0, 200],
      [64, 0],
    ] as const) {
      expect(clear(vm, first, count), `${first} ${count}`).toBe(0);
    }
  });

  it("is not there for a slot that does not log, or no slot (ENOENT)", () => {
    const vm = new KvmVm();
    vm.setMemoryRegion(SLOT);
    expect(vm.getDirtyLog(SLOT.id, new Uint32Array(8))).toBe(errno("ENOENT"));
    expect(clear(vm, 0, 64)).toBe(errno("ENOENT"));
    expect(logging().getDirtyLog(2, new Uint32Array(8))).toBe(errno("ENOENT"));
  });

  it("INITIALLY_SET needs MANUAL_PROTECT, and unknown flags are refused (EINVAL)", () => {
    const vm = new KvmVm();
    expect(vm.enableManualProtect(KVM_DIRTY_LOG_INITIALLY_SET)).toBe(errno("EINVAL"));
    expect(vm.enableManualProtect(4)).toBe(errno("EINVAL"));
    expect(vm.enableManualProtect(0)).toBe(0);
  });

  it("sees what a CPU's own buffer holds: GET has every vCPU leave the guest first", () => {
    const vm = logging(new KvmVm({ pml: true }));
    const vcpu = vm.createVcpu();
    vcpu.walkForWrite(1005);
    expect(vcpu.counters).toMatchObject({ faults: 0, pmlFlushes: 0 });
    expect(get(vm)).toEqual([5]);
  });

  it("takes marks that no vCPU made", () => {
    const vm = logging();
    expect(vm.markWithoutVcpu(1010, 3)).toBe(0);
    expect(vm.markWithoutVcpu(5)).toBe(0);
    expect(get(vm)).toEqual([10, 11, 12]);
  });
});

describe("slots", () => {
  it("do not overlap (EEXIST) and do not move (EINVAL); what lies in none is not mapped", () => {
    const vm = logging();
    expect(vm.setMemoryRegion({ id: 1, firstPage: 1199, pageCount: 64 })).toBe(errno("EEXIST"));
    expect(vm.setMemoryRegion({ ...SLOT, firstPage: 0 })).toBe(errno("EINVAL"));
    expect(vm.createVcpu().walkForWrite(999)).toBeUndefined();
  });

  it("that stop to log and log again begin clean, with pages protected", () => {
    const vm = logging(new KvmVm({ pml: true }));
    const vcpu = vm.createVcpu();
    vcpu.walkForWrite(1000);
    vm.setMemoryRegion(SLOT, 0);
    vcpu.walkForWrite(1001);
    expect(vm.footprintBytes()).toBe(0);
    logging(vm);
    expect(get(vm)).toEqual([]);
    vcpu.walkForWrite(1000);
    expect(get(vm)).toEqual([0]);
  });
});

describe("a dirty ring", () => {
  const sized = (bytes: number) => new KvmVm().enableDirtyRing(bytes);

  it("has a power of two of bytes, more than the reserve, 65536 entries at most (EINVAL, E2BIG)", () => {
    expect([0, 100, 2048, 4096, 8192, 3 * 4096, 16_385].map(sized)).toEqual(Array(7).fill(errno("EINVAL")));
    expect([16_384, 65_536, 2 ** 20].map(sized)).toEqual([0, 0, 0]);
    expect(sized(2 ** 21)).toBe(errno("E2BIG"));
  });

  it("is enabled once, before the first vCPU (EINVAL)", () => {
    const vm = new KvmVm();
    expect(vm.enableDirtyRing(65_536)).toBe(0);
    expect(vm.enableDirtyRing(65_536)).toBe(errno("EINVAL"));
    const late = new KvmVm();
    late.createVcpu();
    expect(late.enableDirtyRing(65_536)).toBe(errno("EINVAL"));
  });

  it("excludes the bitmap's calls (ENXIO), except with RING_WITH_BITMAP, which wants to be first", () => {
    const vm = new KvmVm();
    expect(vm.enableRingWithBitmap()).toBe(errno("EINVAL"));
    vm.enableDirtyRing(65_536);
    logging(vm);
    expect(vm.getDirtyLog(SLOT.id, new Uint32Array(8))).toBe(errno("ENXIO"));
    expect(clear(vm, 0, 64)).toBe(errno("ENXIO"));
    expect(vm.enableRingWithBitmap()).toBe(errno("EINVAL"));
    const both = new KvmVm();
    both.enableDirtyRing(65_536);
    expect(both.enableRingWithBitmap()).toBe(0);
    logging(both);
    expect(get(both)).toEqual([]);
  });
});
