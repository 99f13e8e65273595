import { CountedMemory } from "../../dirty/counted-memory.js";
import type { WriterClass } from "../../dirty/tracker-set.js";
import { usedRingBytes } from "../../layout/virtio-ring.js";
import { allocateArena } from "../../machine/arena.js";
import { guestLayout } from "../../machine/assemble.js";
import { checkedConfig, DEFAULT_CONFIG, type MachineConfig } from "../../machine/config.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { assert } from "../../memory/assert.js";
import { DenseRam, type GuestRam } from "../../memory/guest-ram.js";
import { RealMemory } from "../../memory/real-memory.js";
import type { Guest, Throttle } from "../../migration/guest.js";
import { UniformWriter } from "../../migration/uniform-writer.js";
import { type StoreWitness, WritePort } from "../../vfio/dma.js";
import { GuestMachine } from "./guest-machine.js";
import type { GuestChange, ShadowSwitch } from "./row.js";
import { DMA_HABITS, dmaPages, VCPU_HABITS, vcpuPages } from "./working-sets.js";

/** What a guest with a virtio device is asked to do. */
export interface VirtqueueGuestOptions extends GuestChange {
  readonly seed: number;
  readonly ramBytes: number;
  /** What vCPUs write beside their requests, bytes a second. */
  readonly vcpuBytesPerSecond: number;
  /** What each further device writes, bytes a second. */
  readonly dmaBytesPerSecond: number;
  readonly witness?: StoreWitness | undefined;
}

/** Turns of driver, relay and device in a millisecond. */
const TURNS_PER_MS = 2;
/** Requests that have to come back for verify() to be content. */
const VERIFIED_REQUESTS = 200;

/**
 * The emulated machine as a guest to migrate: requests through a virtqueue, stores of vCPUs, and further DMA devices.
 *
 * Driver, relay and device are the shipping classes. Its virtio device is `device:virtio`, the others `device:dma0` …;
 * the relay is out of the way (passthrough) until its switch puts it in.
 */
export class VirtqueueGuest implements Guest {
  readonly name = "virtqueue";
  readonly writers: readonly WriterClass[];
  readonly vcpu: WritePort;
  /** The relay's own stores. */
  readonly vmm: WritePort;
  readonly devices: readonly WritePort[];
  readonly shadow: ShadowSwitch;
  #ram: DenseRam;
  readonly #machine: GuestMachine;
  readonly #vcpuWriter: UniformWriter;
  readonly #dmaWriters: readonly UniformWriter[];
  #throttled = 0;

  constructor(options: VirtqueueGuestOptions) {
    const config = machineConfig(options);
    const { witness, ramBytes, dmaDevices = 1, sloppy = false } = options;
    const arena = allocateArena(config);
    const ram = new DenseRam(arena.regions);
    const port = (writer: WriterClass) => new WritePort({ writer, ram, witness });
    const log = new CountedMemory(new RealMemory(arena.log));
    this.#ram = ram;
    this.vcpu = port("vcpu");
    this.vmm = port("vmm");
    const virtio = port("device:virtio");
    this.#dmaWriters = Array.from({ length: dmaDevices }, (_, i) => {
      const shape = { ...dmaPages(ramBytes, i), bytesPerSecond: options.dmaBytesPerSecond, seed: options.seed + 2 + i };
      return new UniformWriter(port(`device:dma${i}`), { ...shape, ...DMA_HABITS });
    });
    this.devices = [virtio, ...this.#dmaWriters.map((writer) => writer.port)];
    this.writers = ["vcpu", "vmm", ...this.devices.map(({ writer }) => writer)];
    this.#vcpuWriter = new UniformWriter(this.vcpu, {
      ...vcpuPages(ramBytes),
      bytesPerSecond: options.vcpuBytesPerSecond,
      ...VCPU_HABITS,
      seed: options.seed + 1,
    });
    this.#machine = new GuestMachine(config, arena, { vcpu: this.vcpu, vmm: this.vmm, device: virtio }, log, sloppy);
    this.shadow = { log, hooks: this.#hooks(), refusals: () => this.#machine.relay.shadowRefusals() };
  }

  get ram(): DenseRam {
    return this.#ram;
  }

  /** Requests that came back so far. */
  get completed(): number {
    return this.#machine.completed;
  }

  /** What is wrong with requests, for messages. */
  get complaint(): string {
    return this.#machine.complaint;
  }

  /** The data path of the virtio device. */
  get path(): string {
    return this.#machine.relay.path;
  }

  targets(device: WritePort): { address: number; bytes: number }[] {
    const writer = this.#dmaWriters.find(({ port }) => port === device);
    if (writer !== undefined) {
      const { firstPage, pageCount } = writer.shape;
      return [{ address: firstPage * PAGE_BYTES, bytes: pageCount * PAGE_BYTES }];
    }
    const { config } = this.#machine;
    return guestLayout(config).flatMap(({ used, slots }) => [
      { address: used, bytes: usedRingBytes(config.queueSize) },
      ...slots.map((slot) => ({ address: slot.in, bytes: config.requestBytes })),
    ]);
  }

  run(ns: number, { share }: Throttle): void {
    this.#vcpuWriter.run(ns, share);
    for (const writer of this.#dmaWriters) writer.run(ns);
    // Whole slices in which vCPUs sleep, as often as their share says.
    this.#throttled += share;
    this.#machine.paused = this.#throttled >= 1;
    if (this.#machine.paused) this.#throttled -= 1;
    this.#machine.run(Math.max(1, Math.round((TURNS_PER_MS * ns) / 1e6)));
    this.#machine.paused = false;
  }

  stop(): void {
    this.#machine.rest();
    this.#restWriters();
  }

  resume(): void {
    this.#machine.wake();
  }

  moveTo(ram: GuestRam): void {
    assert(ram instanceof DenseRam, "the machine's RAM is dense");
    this.#ram = ram;
    for (const port of [this.vcpu, this.vmm, ...this.devices]) port.moveTo(ram);
    this.#machine.moveTo(ram);
  }

  /** Every page that vCPUs and DMA devices wrote, and some requests more; twice, with time in between. */
  verify(): boolean {
    this.#restWriters();
    if (this.#wrongPages() > 0) return false;
    const before = this.completed;
    for (let ms = 0; ms < 1000 && this.completed < before + VERIFIED_REQUESTS; ms++) this.run(1e6, { share: 0 });
    this.#restWriters();
    return this.#machine.sane && this.completed >= before + VERIFIED_REQUESTS && this.#wrongPages() === 0;
  }

  #restWriters(): void {
    for (const writer of [this.#vcpuWriter, ...this.#dmaWriters]) writer.rest();
  }

  #wrongPages(): number {
    return [this.#vcpuWriter, ...this.#dmaWriters].reduce((sum, writer) => sum + writer.wrongPages(this.#ram), 0);
  }

  #hooks(): ShadowSwitch["hooks"] {
    return {
      setUp: () => {
        const refused = this.#machine.relay.shadowRefusals();
        if (refused.length === 0) this.#machine.switchTo("svq");
        return refused;
      },
      // A guest that has stopped to move starts without it on the other side.
      tearDown: () => {
        if (!this.#machine.paused) this.#machine.switchTo("passthrough");
      },
    };
  }
}

function machineConfig({ seed, ramBytes, markPolicy = "all-writable" }: VirtqueueGuestOptions): MachineConfig {
  return checkedConfig({
    ...DEFAULT_CONFIG,
    placement: "inline",
    path: "passthrough",
    iovaPolicy: "gpa",
    waiting: "auto",
    device: "null",
    segments: 2,
    ramBytes,
    queueSize: 64,
    depth: 32,
    batch: 4,
    requestBytes: 3 * PAGE_BYTES,
    markPolicy,
    seed,
  });
}
