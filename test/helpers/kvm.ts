/** A VM over the RAM of a small guest, and a vCPU in its port. */
import type { KvmVcpu } from "../../src/dirty/kvm-vcpu.js";
import type { KvmVm } from "../../src/dirty/kvm-vm.js";
import { LogTracker } from "../../src/dirty/log-tracker.js";
import type { Tracker } from "../../src/dirty/tracker.js";
import type { TrackerEntry } from "../../src/dirty/tracker-set.js";
import type { UniformGuest } from "../../src/migration/uniform-guest.js";
import { BLOCKS, END_PAGE } from "./tracked-migration.js";

/** One slot for each block of RAM, numbered from 0. */
export function addSlots(vm: KvmVm): void {
  for (const [id, { gpa, bytes }] of BLOCKS.entries()) {
    vm.setMemoryRegion({ id, firstPage: gpa / 4096, pageCount: bytes / 4096 });
  }
}

/** The guest's vCPU by KVM and `tracker`, its device by a log of its own. */
export function wireVcpu(guest: UniformGuest, vm: KvmVm, tracker: Tracker): TrackerEntry[] {
  addSlots(vm);
  addVcpu(guest, vm);
  return [{ tracker, covers: ["vcpu"] }, deviceLog(guest)];
}

export function addVcpu(guest: UniformGuest, vm: KvmVm): KvmVcpu {
  const vcpu = vm.createVcpu();
  vm.addTlb(guest.vcpu.translateBy(vcpu));
  guest.vcpu.addGate(vcpu.enter);
  return vcpu;
}

export function deviceLog(guest: UniformGuest): TrackerEntry {
  const log = new LogTracker("dma-log", END_PAGE * 4096);
  guest.devices[0]!.markAfterWrite(log);
  return { tracker: log, covers: ["device:dma0"] };
}
