import { DirtyLog } from "../../src/dirty/dirty-log.js";
import { availEventOffset, usedEventOffset, VRING_AVAIL, VRING_USED } from "../../src/layout/virtio-ring.js";
import { PAGE_BYTES } from "../../src/memory/address.js";
import { GuestMemory } from "../../src/memory/guest-memory.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { GuestMarks } from "../../src/relay/guest-marks.js";
import { ShadowVirtqueue } from "../../src/relay/shadow-virtqueue.js";
import type { VringAreas } from "../../src/ring/vring-areas.js";
import { COUNTER_BLOCK_BYTES, COUNTERS, counterBlock } from "../../src/telemetry/counters.js";
import { DESC_WORDS, RELAY_HEADER as H, MAPPING_WORDS, RELAY_HEADER_WORDS } from "../inputs/relay-input.js";
import { check, type Kernel, medianOfSlices, nowNs } from "./kernel.js";
import { recordedMap } from "./recorded-map.js";

/** Chains of one slice: long against the clock, short against a scheduler's slice. */
const SLICE_CHAINS = 16_384;
const USED_BYTES = 1;

/** One queue, and the driver and the device beside it, which take part outside of the timed sections. */
interface Queue {
  readonly relay: ShadowVirtqueue;
  readonly guest: VringAreas;
  readonly shadow: VringAreas;
}

/** The relay, both directions, for batches of chains; the unit is one chain. */
export class RelayKernel implements Kernel {
  readonly #input: Int32Array;
  readonly #queues: Queue[] = [];
  readonly #guestRings: SharedArrayBuffer;
  readonly #shadowRings: SharedArrayBuffer;
  readonly #guestWords: Int32Array;
  readonly #shadowU16: Uint16Array;
  readonly #shadowWords: Int32Array;
  readonly #log: SharedArrayBuffer;
  readonly #counters = counterBlock(new SharedArrayBuffer(COUNTER_BLOCK_BYTES), 0);
  #table = 0;
  /** Chains relayed per queue; free-running. */
  #chains = 0;
  #spentNs = 0;
  signals = 0;

  constructor(input: Int32Array) {
    this.#input = input;
    const ringBytes = this.#header(H.queues) * this.#header(H.stride);
    this.#guestRings = new SharedArrayBuffer(ringBytes);
    this.#shadowRings = new SharedArrayBuffer(ringBytes);
    this.#log = new SharedArrayBuffer(this.#header(H.logBytes));
    this.#guestWords = new Int32Array(this.#guestRings);
    this.#shadowWords = new Int32Array(this.#shadowRings);
    this.#shadowU16 = new Uint16Array(this.#shadowRings);
    this.#makeQueues();
  }

  outputs(): Uint8Array {
    const written: Uint8Array[] = [];
    for (let round = 0; round < this.#header(H.tables); round++) {
      this.#round(() =>
        written.push(new Uint8Array(this.#shadowRings).slice(), new Uint8Array(this.#guestRings).slice()),
      );
    }
    return Buffer.concat([...written, new Uint8Array(this.#log)]);
  }

  window(ns: number): number {
    const chains = this.#header(H.chains) * this.#header(H.queues);
    const rounds = Math.max(1, Math.round(SLICE_CHAINS / chains));
    const value = medianOfSlices(ns, () => {
      this.#spentNs = 0;
      for (let round = 0; round < rounds; round++) this.#round();
      return this.#spentNs / (rounds * chains);
    });
    this.#check();
    return value;
  }

  close(): void {}

  #header(column: number): number {
    return this.#input[column]!;
  }

  #makeQueues(): void {
    const guest = new RealMemory(this.#guestRings);
    const shadow = new RealMemory(this.#shadowRings);
    const guestMemory = new GuestMemory([{ gpa: 0, bytes: guest.byteLength, memory: guest }]);
    const map = recordedMap(this.#input);
    const logEnd = this.#header(H.logBytes) * 8 * PAGE_BYTES;
    const log = this.#header(H.log) === 1 ? new DirtyLog(new RealMemory(this.#log), 0, logEnd) : undefined;
    const num = this.#header(H.queueSize);
    for (let queue = 0; queue < this.#header(H.queues); queue++) {
      const guestAreas = this.#areas(guest, queue);
      const shadowAreas = this.#areas(shadow, queue);
      const relay = new ShadowVirtqueue({
        guest: guestAreas,
        shadow: shadowAreas,
        guestMemory,
        map,
        marks: new GuestMarks(log, "all-writable", guestAreas.used, num, this.#counters),
        eventIdx: true,
        indirect: false,
        deviceKick: { signal: () => this.signals++ },
        guestCall: { signal: () => this.signals++ },
        counters: this.#counters,
        start: { lastAvailIdx: 0, usedIdx: 0 },
      });
      this.#queues.push({ relay, guest: guestAreas, shadow: shadowAreas });
      this.#fillGuestAvail(guestAreas);
    }
  }

  #areas(memory: RealMemory, queue: number): VringAreas {
    const start = queue * this.#header(H.stride);
    return {
      num: this.#header(H.queueSize),
      descMemory: memory,
      desc: start,
      availMemory: memory,
      avail: start + this.#header(H.avail),
      usedMemory: memory,
      used: start + this.#header(H.used),
    };
  }

  /** Heads by slot, for good: chain s modulo the chains of a table stands at slot s. */
  #fillGuestAvail({ availMemory, avail, num }: VringAreas): void {
    for (let slot = 0; slot < num; slot++) {
      const head = (slot % this.#header(H.chains)) * this.#header(H.chain);
      availMemory.write16(avail + VRING_AVAIL.offsets.ring + slot * 2, head);
    }
  }

  /** One table's chains through every queue, batch by batch; adds the time of the relay alone to `#spentNs`. */
  #round(afterBatch?: () => void): void {
    const asked = afterBatch !== undefined;
    this.#loadTables();
    const batch = this.#header(H.batch);
    for (let done = 0; done < this.#header(H.chains); done += batch) {
      if (asked) this.#askForSignals();
      this.#chains += batch;
      this.#offer();
      const start = nowNs();
      for (let queue = 0; queue < this.#queues.length; queue++) this.#queues[queue]!.relay.forwardAvail();
      const middle = nowNs();
      for (const { shadow } of this.#queues) this.#useAll(shadow, batch);
      const restart = nowNs();
      for (let queue = 0; queue < this.#queues.length; queue++) this.#queues[queue]!.relay.forwardUsed();
      this.#spentNs += nowNs() - restart + middle - start;
      afterBatch?.();
    }
  }

  #loadTables(): void {
    const words = this.#header(H.queueSize) * DESC_WORDS;
    const first = RELAY_HEADER_WORDS + this.#header(H.mappings) * MAPPING_WORDS;
    for (const [queue, { guest }] of this.#queues.entries()) {
      const table = (this.#table + queue * 7) % this.#header(H.tables);
      const from = first + table * words;
      this.#guestWords.set(this.#input.subarray(from, from + words), guest.desc >>> 2);
    }
    this.#table = (this.#table + 1) % this.#header(H.tables);
  }

  /**
   * Lets both peers ask to be told of the next entry, as they do now and then.
   *
   * What V8 has not seen before it compiles is thrown out when it first happens, and a loop that is thrown out is
   * entered in its middle from then on, in code that knows no constants: 1.5 times slower, for good.
   */
  #askForSignals(): void {
    for (const { guest, shadow } of this.#queues) {
      shadow.usedMemory.publish16(shadow.used + availEventOffset(shadow.num), this.#chains);
      guest.availMemory.publish16(guest.avail + usedEventOffset(guest.num), this.#chains);
    }
  }

  #offer(): void {
    for (const { guest } of this.#queues)
      guest.availMemory.publish16(guest.avail + VRING_AVAIL.offsets.idx, this.#chains);
  }

  /** The device: returns every chain at once, in order. */
  #useAll(shadow: VringAreas, batch: number): void {
    const mask = shadow.num - 1;
    const avail = (shadow.avail + VRING_AVAIL.offsets.ring) >>> 1;
    const used = (shadow.used + VRING_USED.offsets.ring) >>> 2;
    const words = this.#shadowWords;
    for (let idx = this.#chains - batch; idx < this.#chains; idx++) {
      const slot = idx & mask;
      words[used + slot * 2] = this.#shadowU16[avail + slot]!;
      words[used + slot * 2 + 1] = USED_BYTES;
    }
    shadow.usedMemory.publish16(shadow.used + VRING_USED.offsets.idx, this.#chains);
  }

  #check(): void {
    const total = this.#chains * this.#queues.length;
    check(this.#counters[COUNTERS.chains] === total, "every chain was counted once");
    check(this.#counters[COUNTERS.descriptors] === total * this.#header(H.chain), "every descriptor was counted once");
    for (const { relay, guest } of this.#queues) {
      const usedIdx = guest.usedMemory.observe16(guest.used + VRING_USED.offsets.idx);
      check(usedIdx === (this.#chains & 0xffff), "every chain came back to the guest");
      check(relay.accounting().free === guest.num && relay.inFlight === 0, "every shadow descriptor is free again");
    }
  }
}
