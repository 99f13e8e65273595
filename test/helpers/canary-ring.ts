import {
  availEventOffset,
  availRingBytes,
  descTableBytes,
  usedEventOffset,
  usedRingBytes,
} from "../../src/layout/virtio-ring.js";
import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import type { VringAreas } from "../../src/ring/vring-areas.js";

/** Bytes that nobody may touch, before and behind each area. */
export const CANARY_BYTES = 64;

/** Memory that notes a store of its side to bytes that are not its own. */
class WitnessMemory extends ForwardingMemory {
  /** Offset of the first such byte; -1 when there is none. */
  stray = -1;
  readonly #own: Uint8Array;

  constructor(inner: SharedMemory, own: readonly Extent[]) {
    super(inner);
    this.#own = new Uint8Array(inner.byteLength);
    for (const { start, end } of own) this.#own.fill(1, start, end);
  }

  override write16(offset: number, value: number): void {
    this.#note(offset, 2);
    super.write16(offset, value);
  }

  override write32(offset: number, value: number): void {
    this.#note(offset, 4);
    super.write32(offset, value);
  }

  override copyIn(offset: number, source: Uint8Array): void {
    this.#note(offset, source.length);
    super.copyIn(offset, source);
  }

  override publish16(offset: number, value: number): void {
    this.#note(offset, 2);
    super.publish16(offset, value);
  }

  #note(offset: number, bytes: number): void {
    for (let at = offset; at < offset + bytes; at++) if (this.#own[at] !== 1 && this.stray < 0) this.stray = at;
  }
}

/** A run of bytes, by what it is. */
interface Extent {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/**
 * A ring whose three areas lie apart, as each side reaches it, with canaries around each of them.
 *
 * Fresh descriptors and entries are poisoned (0xa5), flags, indices and event words are zero, as a driver leaves them.
 */
export class CanaryRing {
  /** The ring as nobody in particular reaches it. */
  readonly areas: VringAreas;
  /** The ring as each side reaches it: what it stores is noted. */
  readonly driverSide: VringAreas;
  readonly deviceSide: VringAreas;
  readonly memory: RealMemory;
  readonly #bytes: Uint8Array;
  readonly #fresh: Uint8Array;
  readonly #driver: WitnessMemory;
  readonly #device: WitnessMemory;
  readonly #gaps: readonly Extent[];

  /** `startIdx`: where both indices stand. */
  constructor(num: number, eventIdx: boolean, startIdx = 0) {
    const desc = CANARY_BYTES;
    const avail = desc + descTableBytes(num) + CANARY_BYTES;
    const used = Math.ceil((avail + availRingBytes(num)) / 4) * 4 + CANARY_BYTES;
    const end = used + usedRingBytes(num);
    const buffer = new ArrayBuffer(Math.ceil(end / 4) * 4 + CANARY_BYTES);
    this.#bytes = new Uint8Array(buffer).fill(0xa5);
    this.#fresh = this.#bytes.slice();
    this.memory = new RealMemory(buffer);
    for (const offset of [avail, avail + usedEventOffset(num), used, used + availEventOffset(num)])
      this.memory.write16(offset, 0);
    for (const offset of [avail + 2, used + 2]) this.memory.write16(offset, startIdx);
    const [usedEvent, availEvent] = [avail + usedEventOffset(num), used + availEventOffset(num)];
    this.#driver = new WitnessMemory(this.memory, [
      { name: "descriptor table", start: desc, end: desc + descTableBytes(num) },
      { name: "avail.idx and entries", start: avail + 2, end: usedEvent },
      eventIdx ? word("used_event", usedEvent) : word("avail.flags", avail),
    ]);
    this.#device = new WitnessMemory(this.memory, [
      { name: "used.idx and entries", start: used + 2, end: availEvent },
      eventIdx ? word("avail_event", availEvent) : word("used.flags", used),
    ]);
    this.areas = { num, desc, avail, used, ...throughOne(this.memory) };
    this.driverSide = { ...this.areas, ...throughOne(this.#driver) };
    this.deviceSide = { ...this.areas, ...throughOne(this.#device) };
    this.#gaps = [
      { name: "before the descriptor table", start: 0, end: desc },
      { name: "behind the descriptor table", start: desc + descTableBytes(num), end: avail },
      { name: "behind the available ring", start: avail + availRingBytes(num), end: used },
      { name: "behind the used ring", start: end, end: buffer.byteLength },
    ];
  }

  /** What is wrong with the bytes around the areas. */
  brokenCanaries(): string[] {
    return this.#gaps
      .filter(
        ({ start, end }) => Buffer.compare(this.#bytes.subarray(start, end), this.#fresh.subarray(start, end)) !== 0,
      )
      .map(({ name }) => `a byte ${name} has changed`);
  }

  /** Which bytes a side has stored to that are not its to store to in this mode (SPLIT-07; 2.7.6, 2.7.8). */
  strayStores(): string[] {
    return [["the driver", this.#driver.stray] as const, ["the device", this.#device.stray] as const].flatMap(
      ([who, at]) => (at < 0 ? [] : [`${who} has stored to byte ${at}, which is not its own`]),
    );
  }
}

function throughOne(memory: SharedMemory): {
  descMemory: SharedMemory;
  availMemory: SharedMemory;
  usedMemory: SharedMemory;
} {
  return { descMemory: memory, availMemory: memory, usedMemory: memory };
}

function word(name: string, start: number): Extent {
  return { name, start, end: start + 2 };
}
