import { RealMemory } from "../../src/memory/real-memory.js";
import type { Answer, DeviceSide } from "../../src/transport/device-transport.js";
import { DeviceTransport } from "../../src/transport/device-transport.js";
import type { QueueSetup } from "../../src/transport/driver-transport.js";
import {
  QUEUE_REGISTERS as Q,
  queueRegisters,
  DEVICE_REGISTERS as R,
  transportBytes,
} from "../../src/transport/registers.js";

export const ACKNOWLEDGE = 1;
export const DRIVER = 2;
export const DRIVER_OK = 4;
export const FEATURES_OK = 8;
export const SUSPEND = 16;
export const NEEDS_RESET = 64;
export const FAILED = 128;

/** Every step of initialisation done. */
export const LIVE = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
export const SUSPENDED = (LIVE & ~DRIVER_OK) | SUSPEND;

export const QUEUES = 2;
/** Where the registers begin: not at 0, so that a base that is forgotten shows. */
export const BASE = 128;

/** What a side is asked. */
export type Request = keyof DeviceSide;

/** A device that notes what it is asked, and answers as it is told: "done" when it is told nothing. */
export class RecordingSide implements DeviceSide {
  readonly asked: string[] = [];
  readonly answers: Partial<Record<Request, Answer[]>> = {};
  /** Runs when a request is noted. */
  onRequest: (request: Request) => void = () => {};

  reset = () => this.#ask("reset");
  negotiate = (features: bigint) => this.#ask("negotiate", features);
  start = () => this.#ask("start");
  suspend = () => this.#ask("suspend");
  resume = () => this.#ask("resume");
  resetQueue = (queue: number) => this.#ask("resetQueue", queue);

  /** What was asked since the last call. */
  taken(): string[] {
    return this.asked.splice(0);
  }

  #ask(request: Request, detail?: bigint | number): Answer {
    this.asked.push(detail === undefined ? request : `${request} ${detail}`);
    this.onRequest(request);
    return this.answers[request]?.shift() ?? "done";
  }
}

export const SETUP: QueueSetup = {
  size: 16,
  desc: 0x1000,
  avail: 0x2000,
  used: 0x3000,
  lastAvailIdx: 0,
  usedIdx: 0,
  call: 0,
  alwaysCall: false,
};

/** A device transport over registers that a test writes, one word at a time. */
export class DeviceBench {
  readonly memory = new RealMemory(new ArrayBuffer(BASE + transportBytes(QUEUES) + 64));
  readonly side = new RecordingSide();
  readonly device: DeviceTransport;
  /** How often the driver's bell rang. */
  rings = 0;
  #version = 0;

  constructor(Transport = DeviceTransport) {
    this.device = new Transport(this.memory, BASE, { ring: () => void this.rings++ }, QUEUES);
    this.device.offer((1n << 32n) | 7n, 256);
  }

  /** The driver writes its status. */
  write(status: number): void {
    this.memory.write16(BASE + R.statusWritten, status);
    this.changed();
  }

  writeFeatures(features: bigint): void {
    this.memory.write32(BASE + R.driverFeatures, Number(BigInt.asIntN(32, features)));
    this.memory.write32(BASE + R.driverFeatures + 4, Number(BigInt.asIntN(32, features >> 32n)));
    this.changed();
  }

  writeQueue(queue: number, register: keyof typeof Q, value: number): void {
    this.memory.write16(BASE + queueRegisters(queue) + Q[register], value);
    this.changed();
  }

  readQueue(queue: number, register: keyof typeof Q): number {
    return this.memory.read16(BASE + queueRegisters(queue) + Q[register]);
  }

  enable(queue: number, { size, desc, avail, used } = SETUP): void {
    const at = BASE + queueRegisters(queue);
    this.memory.write32(at + Q.desc, desc);
    this.memory.write32(at + Q.avail, avail);
    this.memory.write32(at + Q.used, used);
    this.writeQueue(queue, "queueSize", size);
    this.writeQueue(queue, "queueEnable", 1);
  }

  /** The driver moves its version. */
  changed(): void {
    this.#version = (this.#version + 1) & 0xffff;
    this.memory.write16(BASE + R.driverVersion, this.#version);
  }

  /** Polls as a role does, until there is nothing to do; gives what the side was asked. */
  settle(): string[] {
    for (let polls = 0; this.device.poll(this.side); polls++) if (polls === 20) throw new Error("polls without an end");
    return this.side.taken();
  }

  /** One poll; gives what the side was asked. */
  pollOnce(): string[] {
    this.device.poll(this.side);
    return this.side.taken();
  }

  /** The driver writes a status, and the device answers; gives what the side was asked. */
  step(status: number): string[] {
    this.write(status);
    return this.settle();
  }

  /** The status as the driver reads it. */
  get shown(): number {
    return this.memory.read16(BASE + R.statusShown) & 0xff;
  }

  /** The written status that it answers. */
  get answered(): number {
    return this.memory.read16(BASE + R.statusShown) >>> 8;
  }

  get deviceVersion(): number {
    return this.memory.read16(BASE + R.deviceVersion);
  }

  /** Goes through the eight steps with one queue enabled. */
  bringUp(features = 1n << 32n): this {
    this.step(0);
    this.step(ACKNOWLEDGE);
    this.step(ACKNOWLEDGE | DRIVER);
    this.writeFeatures(features);
    this.step(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    this.enable(0);
    this.step(LIVE);
    return this;
  }
}
