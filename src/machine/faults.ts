import { usedEventOffset, VRING_AVAIL, VRING_USED, VRING_USED_ELEM } from "../layout/virtio-ring.js";
import { PAGE_BYTES } from "../memory/address.js";
import type { Notifier } from "../memory/bell.js";
import { ForwardingMemory } from "../memory/forwarding-memory.js";
import { type SharedMemory, u16 } from "../memory/shared-memory.js";
import { COUNTERS } from "../telemetry/counters.js";

/** The faults that can be put into one path, each for one gate to find. */
export const FAULTS = ["flip-byte", "drop-mark", "lose-call", "double-used"] as const;
/** One of FAULTS. */
export type FaultKind = (typeof FAULTS)[number];

/** A fault and the request at which it strikes, counted from 0. */
export interface FaultPlan {
  readonly kind: FaultKind;
  readonly at: number;
}

/** Bytes below which a device's write is a status or a header and not data. */
const DATA_BYTES_MIN = 64;

/** flip-byte: returns a witness of the device's writes that spoils one bit of the `at`-th data write. */
export function flipByte(at: number): (memory: SharedMemory, offset: number, bytes: number) => void {
  let seen = 0;
  return (memory, offset, bytes) => {
    if (bytes < DATA_BYTES_MIN || seen++ !== at) return;
    const byte = new Uint8Array(1);
    const place = offset + (bytes >>> 1);
    memory.copyOut(place, byte);
    byte[0]! ^= 0x10;
    memory.copyIn(place, byte);
  };
}

/** drop-mark: a log that loses the `at`-th mark of a page that device-writable data lies in. */
export class LossyLog extends ForwardingMemory {
  /** By word of the log: the bits of such pages. */
  readonly #masks = new Map<number, number>();
  #left: number;

  /** `buffers`: guest addresses of device-writable data pages. */
  constructor(inner: SharedMemory, buffers: readonly number[], at: number) {
    super(inner);
    for (const address of buffers) {
      const page = Math.floor(address / PAGE_BYTES);
      this.#masks.set(page >>> 5, (this.#masks.get(page >>> 5) ?? 0) | (1 << (page & 31)));
    }
    this.#left = at;
  }

  override setBits32(offset: number, bits: number): void {
    const data = bits & (this.#masks.get(offset / 4) ?? 0);
    const dropped = data !== 0 && this.#left-- === 0 ? data : 0;
    this.inner.setBits32(offset, bits & ~dropped);
  }
}

/** lose-call: calls from the `at`-th on go nowhere, until the driver has noticed that one is missing. */
export class LossyCall implements Notifier {
  readonly #inner: Notifier;
  readonly #driver: Float64Array;
  #left: number;

  /** `driver`: the driver's counters. */
  constructor(inner: Notifier, driver: Float64Array, at: number) {
    this.#inner = inner;
    this.#driver = driver;
    this.#left = at;
  }

  signal(): void {
    const noticed = this.#driver[COUNTERS.lostNotifications]! > 0;
    if (this.#left-- > 0 || noticed) this.#inner.signal();
  }

  take(): boolean {
    return this.#inner.take();
  }

  attach(waiter: number): void {
    this.#inner.attach(waiter);
  }

  detach(): void {
    this.#inner.detach();
  }
}

/** double-used: a used ring in which one entry, in the `at`-th batch, comes twice, unnoticed by whoever writes it. */
export class DoubledUsed extends ForwardingMemory {
  readonly #used: number;
  readonly #avail: number;
  readonly #num: number;
  #left: number;
  #shift = 0;
  #published = 0;
  /** Where the copy is in the ring as the driver counts it. */
  #copyIdx = 0;

  /** `used` and `avail`: byte offsets of the rings in `inner`. */
  constructor(inner: SharedMemory, used: number, avail: number, num: number, at: number) {
    super(inner);
    this.#used = used;
    this.#avail = avail;
    this.#num = num;
    this.#left = at;
  }

  override write32(offset: number, value: number): void {
    const entry = offset - this.#used - VRING_USED.offsets.ring;
    const inside = entry >= 0 && entry < this.#num * VRING_USED_ELEM.size;
    this.inner.write32(inside ? this.#shifted(entry) : offset, value);
  }

  override publish16(offset: number, value: number): void {
    if (offset !== this.#used + VRING_USED.offsets.idx) {
      this.inner.publish16(offset, value);
      return;
    }
    this.#left -= 1;
    // One entry more than the ring has room for would be another fault.
    const outstanding = u16(this.inner.observe16(this.#avail + VRING_AVAIL.offsets.idx) - this.#published);
    if (this.#shift === 0 && this.#left < 0 && outstanding < this.#num) this.#double(value);
    this.#published = value;
    this.inner.publish16(offset, value + this.#shift);
  }

  override observe16(offset: number): number {
    const value = this.inner.observe16(offset);
    if (this.#shift === 0 || offset !== this.#avail + usedEventOffset(this.#num)) return value;
    // The driver counts the copy, whoever writes the ring does not: beyond it their indices differ by one.
    return u16(value - this.#copyIdx) < 0x8000 ? u16(value - 1) : value;
  }

  #double(usedIdx: number): void {
    const last = this.#entry(usedIdx - 1);
    this.#shift = 1;
    this.#copyIdx = usedIdx;
    const copy = this.#entry(usedIdx);
    this.inner.write32(copy, this.inner.read32(last));
    this.inner.write32(copy + 4, this.inner.read32(last + 4));
  }

  #entry(index: number): number {
    return this.#used + VRING_USED.offsets.ring + (index & (this.#num - 1)) * VRING_USED_ELEM.size;
  }

  #shifted(entry: number): number {
    const slot = Math.floor(entry / VRING_USED_ELEM.size) + this.#shift;
    return this.#entry(slot) + (entry % VRING_USED_ELEM.size);
  }
}

/** A kick that takes longer, to stand for a VM exit: busy until `ns` nanoseconds have passed. */
export class SlowNotifier implements Notifier {
  readonly #inner: Notifier;
  readonly #ns: number;
  readonly #now: () => number;

  constructor(inner: Notifier, ns: number, now: () => number) {
    this.#inner = inner;
    this.#ns = ns;
    this.#now = now;
  }

  signal(): void {
    const until = this.#now() + this.#ns;
    while (this.#now() < until);
    this.#inner.signal();
  }

  take(): boolean {
    return this.#inner.take();
  }

  attach(waiter: number): void {
    this.#inner.attach(waiter);
  }

  detach(): void {
    this.#inner.detach();
  }
}
