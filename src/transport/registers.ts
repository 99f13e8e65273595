/**
 * The registers of one virtio device in shared memory: what virtio_pci_common_cfg holds, plus what vhost adds.
 *
 *     0  device registers   64 bytes
 *    64  queue 0            64 bytes
 *   128  queue 1 …
 *
 * Each word has one writer, named below, except `queueReset` and `queueEnable`, which the driver sets and the device
 * clears (VIRTIO 1.3, 2.6.1). The versions are moved last by whoever changed something: one observe tells a role that
 * there is nothing new.
 */
export const DEVICE_REGISTERS = {
  /** driver: moved after each change of its registers */
  driverVersion: 0,
  /** device: moved after each change of its registers */
  deviceVersion: 2,
  /** driver: the status it has written */
  statusWritten: 4,
  /** device: low byte the status as it reads back, high byte the written status it answers */
  statusShown: 6,
  /** device: moves with every change of its configuration (VIRTIO 1.3, 2.5.1) */
  configGeneration: 8,
  /** device: number of queues */
  numQueues: 10,
  /** device: offered features, two 32-bit halves */
  deviceFeatures: 16,
  /** driver: accepted features, two 32-bit halves */
  driverFeatures: 24,
} as const;

/** Registers of one queue, from its own start. */
export const QUEUE_REGISTERS = {
  /** device: the largest size it accepts (32768 as 0x8000) */
  queueSizeMax: 0,
  /** driver */
  queueSize: 2,
  /** driver: 1 while the queue is enabled; a reset of the device clears it */
  queueEnable: 4,
  /** driver sets 1, device clears it when the reset is done */
  queueReset: 6,
  /** driver: u64 addresses of descriptor table, driver area, device area */
  desc: 8,
  avail: 16,
  used: 24,
  /** driver at start, device at stop: next available entry to take (VHOST_SET_VRING_BASE) */
  lastAvailIdx: 32,
  /** driver at start, device at stop: next used entry to fill */
  usedIdx: 34,
  /** driver: which EventFd the device signals for used buffers (VHOST_SET_VRING_CALL) */
  call: 36,
  /** driver: 1 when the device must not heed the wish not to be called */
  alwaysCall: 38,
  /** device: fault code that broke the queue, 0 while it is whole */
  fault: 40,
} as const;

/** Bytes of the registers of a device with `queues` queues. */
export function transportBytes(queues: number): number {
  return REGISTER_BLOCK_BYTES * (1 + queues);
}

/** Byte offset of the registers of queue `queue` from the start of the device. */
export function queueRegisters(queue: number): number {
  return REGISTER_BLOCK_BYTES * (1 + queue);
}

/** Bytes of the device registers, and of those of each queue. */
const REGISTER_BLOCK_BYTES = 64;
