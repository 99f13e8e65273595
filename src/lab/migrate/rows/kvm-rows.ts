import { KvmBitmapTracker } from "../../../dirty/kvm-bitmap-tracker.js";
import { KvmRingTracker } from "../../../dirty/kvm-ring-tracker.js";
import type { KvmVcpu } from "../../../dirty/kvm-vcpu.js";
import { KvmVm } from "../../../dirty/kvm-vm.js";
import { LogTracker } from "../../../dirty/log-tracker.js";
import type { Tracker } from "../../../dirty/tracker.js";
import { KVM_DIRTY_LOG_INITIALLY_SET, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE } from "../../../layout/kvm.js";
import { PAGE_BYTES } from "../../../memory/address.js";
import type { RowGround, RowWiring, TrackerRow } from "../row.js";

/** QEMU's default number of entries where it is asked for rings. */
const RING_BYTES = 4096 * 16;

/**
 * The vCPUs' writes as KVM sees them. It sees no others: the relay's go into the log of its store barrier, and every
 * device logs its own DMA in vhost's log.
 */
export const KVM_ROWS: readonly TrackerRow[] = [
  {
    name: "kvm-bitmap",
    expect: "sound",
    does: "vCPUs by KVM's dirty bitmaps, cleared chunk by chunk before the copy; devices by vhost-log.",
    wire: (ground) => {
      const vm = new KvmVm();
      vm.enableManualProtect(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
      return wire(ground, vm, new KvmBitmapTracker(vm));
    },
  },
  {
    name: "kvm-ring",
    expect: "sound",
    does: "vCPUs by KVM's dirty rings behind PML, reaped when full and at each sync; devices by vhost-log.",
    wire: (ground) => {
      const vm = new KvmVm({ pml: true });
      vm.enableDirtyRing(RING_BYTES);
      return wire(ground, vm, new KvmRingTracker(vm));
    },
  },
];

function wire({ guest, blocks, end, storesOf }: RowGround, vm: KvmVm, tracker: Tracker): RowWiring {
  for (const [id, { gpa, bytes }] of blocks.entries()) {
    vm.setMemoryRegion({ id, firstPage: gpa / PAGE_BYTES, pageCount: bytes / PAGE_BYTES });
  }
  const vcpu = vm.createVcpu();
  vm.addTlb(guest.vcpu.translateBy(vcpu));
  guest.vcpu.addGate(vcpu.enter);
  const logged = new LogTracker("vhost-log", end);
  for (const device of guest.devices) device.markAfterWrite(logged);
  return {
    entries: [
      storesOf("vmm"),
      { tracker: logged, covers: guest.devices.map(({ writer }) => writer) },
      { tracker, covers: ["vcpu"] },
    ],
    config: {
      cpu: vm.hasRings ? "kvm-ring" : "kvm-bitmap",
      devices: guest.devices.map(({ writer }) => ({ name: writer, trackers: ["vhost-log"] })),
    },
    probe: (pages) => probe(vm, vcpu, tracker, pages),
  };
}

/** First writes to pages that are protected: what a mark costs here. */
function probe(vm: KvmVm, vcpu: KvmVcpu, tracker: Tracker, pages: readonly number[]): void {
  if (vm.manualProtect) tracker.beforeCopy?.(0, Math.max(...pages) + 1);
  for (const page of pages) {
    vcpu.enter();
    vcpu.walkForWrite(page);
  }
}
