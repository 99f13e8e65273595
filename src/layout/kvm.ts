/** KVM's dirty tracking, as in linux/kvm.h. Offsets and sizes are bytes; little-endian. */

/** One entry of a vCPU's dirty ring: a page `offset` of slot `slot` (address space in its upper half). */
export const KVM_DIRTY_GFN = { size: 16, offsets: { flags: 0, slot: 4, offset: 8 } } as const;

/** Flag of an entry: the kernel has filled it, and nobody has harvested it. */
export const KVM_DIRTY_GFN_F_DIRTY = 1;
/** Flag of an entry: it was harvested, and KVM_RESET_DIRTY_RINGS may have it back. */
export const KVM_DIRTY_GFN_F_RESET = 2;

/** Flag of a memory slot: writes to it are logged. */
export const KVM_MEM_LOG_DIRTY_PAGES = 1;

/** Flag of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: KVM_GET_DIRTY_LOG clears nothing, KVM_CLEAR_DIRTY_LOG does. */
export const KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE = 1;
/** Flag of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: a slot that begins to log has every bit set. */
export const KVM_DIRTY_LOG_INITIALLY_SET = 2;

/** Why a vCPU came back: its dirty ring is full, and it cannot run until the ring was reset. */
export const KVM_EXIT_DIRTY_RING_FULL = 31;
