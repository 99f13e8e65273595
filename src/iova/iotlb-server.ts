import {
  VHOST_ACCESS_RW,
  VHOST_IOTLB_ACCESS_FAIL,
  VHOST_IOTLB_INVALIDATE,
  VHOST_IOTLB_MISS,
  VHOST_IOTLB_UPDATE,
} from "../layout/vhost.js";
import type { Iova } from "../memory/address.js";
import type { Bell } from "../memory/bell.js";
import type { IotlbRing } from "./iotlb-ring.js";
import type { IovaMapping, IovaTree } from "./iova-tree.js";

/** Bytes of the space one invalidation covers when all is forgotten. */
const WHOLE_SPACE_BYTES = 2 ** 52;

/** Says where a mapping's bytes are, as the `uaddr` of an update (iotlbPlace). */
export type Resolver = (mapping: IovaMapping) => number;

/** Answers a device's IOTLB misses from an IOVA tree, and invalidates what is unmapped (vhost's front end). */
export class IotlbServer {
  readonly #toDevice: IotlbRing;
  readonly #fromDevice: IotlbRing;
  readonly #device: Bell;
  readonly #resolve: Resolver;

  constructor(toDevice: IotlbRing, fromDevice: IotlbRing, device: Bell, resolve: Resolver) {
    this.#toDevice = toDevice;
    this.#fromDevice = fromDevice;
    this.#device = device;
    this.#resolve = resolve;
  }

  /** Whether a miss waits for its answer. */
  waiting(): boolean {
    return this.#fromDevice.waiting();
  }

  /** Answers every miss that waits; true when there was one. A miss that cannot be answered yet waits on. */
  poll(tree: IovaTree): boolean {
    let any = false;
    while (this.#fromDevice.waiting() && this.#fromDevice.receive()) {
      const { iova, type } = this.#fromDevice.message;
      if (type === VHOST_IOTLB_MISS) this.#answer(tree, iova);
      any = true;
    }
    if (any) this.#device.ring();
    return any;
  }

  /** Makes the device forget `size` bytes from `iova`; complete once drained(). */
  invalidate(iova: number, size: number): boolean {
    const sent = this.#toDevice.send({ iova, size, uaddr: 0, perm: VHOST_ACCESS_RW, type: VHOST_IOTLB_INVALIDATE });
    this.#device.ring();
    return sent;
  }

  /** Makes the device forget everything; complete once drained(). */
  invalidateAll(): boolean {
    return this.invalidate(0, WHOLE_SPACE_BYTES);
  }

  /** Whether the device has taken in all that was sent. */
  drained(): boolean {
    return this.#toDevice.drained();
  }

  /** At most one miss per device is out, so the ring to the device always has room for its answer. */
  #answer(tree: IovaTree, address: number): void {
    const mapping = Number.isSafeInteger(address) ? tree.findByIova(address as Iova) : undefined;
    this.#toDevice.send(
      mapping === undefined
        ? { iova: address, size: 1, uaddr: 0, perm: 0, type: VHOST_IOTLB_ACCESS_FAIL }
        : {
            iova: mapping.iova,
            size: mapping.bytes,
            uaddr: this.#resolve(mapping),
            perm: mapping.perm,
            type: VHOST_IOTLB_UPDATE,
          },
    );
  }
}
