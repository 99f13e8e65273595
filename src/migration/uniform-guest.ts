import type { WriterClass } from "../dirty/tracker-set.js";
import { PAGE_BYTES } from "../memory/address.js";
import type { GuestRam } from "../memory/guest-ram.js";
import { type StoreWitness, WritePort } from "../vfio/dma.js";
import type { Guest, Throttle } from "./guest.js";
import { UniformWriter, type WriterShape } from "./uniform-writer.js";

/** What a guest of nothing but writers is made of. */
export interface UniformGuestParts {
  readonly ram: GuestRam;
  readonly vcpu: WriterShape;
  /** One for each device; disjoint from each other and from the vCPUs'. */
  readonly devices: readonly WriterShape[];
  readonly witness?: StoreWitness | undefined;
}

/** A guest without rings: vCPUs and devices that write at random, for RAM of any size and for the convergence model. */
export class UniformGuest implements Guest {
  readonly name = "uniform";
  readonly writers: readonly WriterClass[];
  readonly vcpu: WritePort;
  readonly devices: readonly WritePort[];
  #ram: GuestRam;
  readonly #vcpuWriter: UniformWriter;
  readonly #deviceWriters: readonly UniformWriter[];

  constructor({ ram, vcpu, devices, witness }: UniformGuestParts) {
    this.#ram = ram;
    this.vcpu = new WritePort({ writer: "vcpu", ram, witness });
    this.devices = devices.map((_, i) => new WritePort({ writer: `device:dma${i}`, ram, witness }));
    this.writers = ["vcpu", ...this.devices.map(({ writer }) => writer)];
    this.#vcpuWriter = new UniformWriter(this.vcpu, vcpu);
    this.#deviceWriters = devices.map((shape, i) => new UniformWriter(this.devices[i]!, shape));
  }

  get ram(): GuestRam {
    return this.#ram;
  }

  targets(device: WritePort): { address: number; bytes: number }[] {
    const { shape } = this.#deviceWriters[this.devices.indexOf(device)]!;
    return [{ address: shape.firstPage * PAGE_BYTES, bytes: shape.pageCount * PAGE_BYTES }];
  }

  run(ns: number, { share }: Throttle): void {
    this.#vcpuWriter.run(ns, share);
    for (const writer of this.#deviceWriters) writer.run(ns);
  }

  stop(): void {
    for (const writer of this.#all()) writer.rest();
  }

  resume(): void {}

  moveTo(ram: GuestRam): void {
    this.#ram = ram;
    for (const { port } of this.#all()) port.moveTo(ram);
  }

  /** A tenth of a second more, then every page is read. */
  verify(): boolean {
    const wrong = () => this.#all().reduce((sum, writer) => sum + writer.wrongPages(this.#ram), 0);
    this.stop();
    if (wrong() > 0) return false;
    this.run(1e8, { share: 0 });
    this.stop();
    return wrong() === 0;
  }

  #all(): readonly UniformWriter[] {
    return [this.#vcpuWriter, ...this.#deviceWriters];
  }
}
