import { availRingBytes, descTableBytes, QUEUE_SIZE_MAX, usedRingBytes } from "../../layout/virtio-ring.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { RealMemory } from "../../memory/real-memory.js";
import type { SharedMemory } from "../../memory/shared-memory.js";
import type { ShadowRingPlace } from "../../relay/address-plan.js";
import type { OwnedFd } from "../../sys/fd.js";
import { type Mapping, map } from "../../sys/mapping.js";
import { createMemfd } from "../../sys/memfd.js";

const DRIVER_AREA_BYTES = wholePages(descTableBytes(QUEUE_SIZE_MAX) + availRingBytes(QUEUE_SIZE_MAX));
const DEVICE_AREA_BYTES = wholePages(usedRingBytes(QUEUE_SIZE_MAX));
const QUEUE_BYTES = DRIVER_AREA_BYTES + DEVICE_AREA_BYTES;

/**
 * The shadow rings of a device: a sealed file in memory that the back end gets as one more region of memory.
 *
 * Every queue has room for the largest ring there is; pages that no ring touches take no memory.
 */
export class ShadowRegion {
  readonly bytes: number;
  readonly fd: OwnedFd;
  readonly memory: SharedMemory;
  readonly #mapping: Mapping;

  /** For queues 0 to `queues` - 1, at most 256. Throws NativeError. */
  constructor(queues: number) {
    this.bytes = queues * QUEUE_BYTES;
    this.fd = createMemfd("svq-shadow-rings", this.bytes);
    try {
      this.#mapping = map(this.fd, this.bytes, 0, { prot: "read-write" });
    } catch (error) {
      this.fd.close();
      throw error;
    }
    this.memory = new RealMemory(this.#mapping.windows[0]!.buffer);
  }

  /** Where the ring of a queue lies. */
  place(queue: number): ShadowRingPlace {
    const start = queue * QUEUE_BYTES;
    return {
      backing: 0,
      driverArea: { offset: start, bytes: DRIVER_AREA_BYTES },
      deviceArea: { offset: start + DRIVER_AREA_BYTES, bytes: DEVICE_AREA_BYTES },
    };
  }

  close(): void {
    this.#mapping.unmap();
    this.fd.close();
  }
}

function wholePages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
