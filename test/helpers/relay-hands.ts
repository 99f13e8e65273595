import type { Iotlb } from "../../src/iova/iotlb.js";
import { IotlbRing } from "../../src/iova/iotlb-ring.js";
import { type Arena, allocateArena, IOTLB_OFFSETS, NOTIFIERS, shadowRingPlaces } from "../../src/machine/arena.js";
import { guestLayout, makeRelay } from "../../src/machine/assemble.js";
import type { MachineConfig } from "../../src/machine/config.js";
import { relayViews } from "../../src/machine/views.js";
import type { EventFd } from "../../src/memory/bell.js";
import type { RealMemory } from "../../src/memory/real-memory.js";
import type { Relay } from "../../src/relay/relay.js";
import { DeviceRing } from "../../src/ring/device-ring.js";
import type { VringAreas } from "../../src/ring/vring-areas.js";
import { vringOffsets } from "../../src/ring/vring-areas.js";
import { DeviceTransport } from "../../src/transport/device-transport.js";
import { DEVICE_RING_FEATURES } from "../../src/transport/features.js";
import { RecordingSide } from "../transport/transport-bench.js";
import { HandDriver, notification } from "./hand-driver.js";
import { SMALL } from "./inline-machine.js";
import { type Access, RecordingMemory } from "./odd-memory.js";

/** How the relay and its device are to be. */
export interface RelayHandsOptions {
  readonly config?: Partial<MachineConfig>;
  /** What the device offers. */
  readonly offers?: bigint;
}

/** A relay between a guest and a device that are both driven by hand. */
export class RelayHands {
  readonly config: MachineConfig;
  readonly arena: Arena;
  readonly relay: Relay;
  readonly guest: HandDriver;
  readonly device: DeviceTransport;
  readonly side = new RecordingSide();
  /** The shadow ring of queue 0, as a device that needs no translation reaches it. */
  readonly shadow: VringAreas;
  /** Every access of the relay to the registers of the device. */
  readonly accesses: Access[] = [];
  readonly deviceKick: EventFd;
  readonly deviceCall: EventFd;
  readonly guestCall: EventFd;
  /** Whether the device takes in what the relay sends to its IOTLB. */
  forgets = true;
  readonly #toDevice: IotlbRing;

  constructor({ config = {}, offers = DEVICE_RING_FEATURES }: RelayHandsOptions = {}) {
    this.config = { ...SMALL, iovaPolicy: "gpa", ...config };
    this.arena = allocateArena(this.config);
    const views = relayViews(this.arena);
    const watched = new RecordingMemory(views.deviceRegisters, "relay", (access) => this.accesses.push(access));
    this.relay = makeRelay(this.config, { ...views, deviceRegisters: watched });
    this.device = new DeviceTransport(views.deviceRegisters, 0, { ring: () => {} }, this.config.queues);
    this.device.offer(offers, 256);
    this.deviceKick = notification(this.arena, NOTIFIERS.deviceKick);
    this.deviceCall = notification(this.arena, NOTIFIERS.deviceCall);
    this.guestCall = notification(this.arena, NOTIFIERS.guestCall);
    this.#toDevice = new IotlbRing(views.iotlb, IOTLB_OFFSETS.toDevice);
    const num = this.config.queueSize;
    const { driverArea, deviceArea } = shadowRingPlaces(this.config)[0]!;
    this.shadow = areasIn(views.shadowRings, num, { ...vringOffsets(num, driverArea.offset), used: deviceArea.offset });
    const { desc, avail, used } = guestLayout(this.config)[0]!;
    this.guest = new HandDriver({
      registers: views.guestRegisters,
      areas: areasIn(views.regions[0]!.memory, num, { desc, avail, used }),
      setup: { desc, avail, used, call: 0 },
      kick: notification(this.arena, NOTIFIERS.guestKick),
      turn: () => this.turn(),
    });
    // Where the device stood when it came to rest.
    this.side.onRequest = (request) => {
      if (request === "suspend") this.device.storeBase(0, this.availIdx, this.availIdx);
    };
  }

  /** One turn of relay and device. */
  turn(): boolean {
    const moved = [this.relay.step(), this.device.poll(this.side)];
    if (this.forgets && this.#toDevice.receive()) moved.push(true);
    return moved.includes(true);
  }

  /** A device's half of the shadow ring, from its beginning. */
  shadowRing(): DeviceRing {
    return new DeviceRing(this.shadow, { eventIdx: false, indirect: false }, () => "unmapped");
  }

  /** The available index of the shadow ring. */
  get availIdx(): number {
    return this.shadow.availMemory.read16(this.shadow.avail + 2);
  }

  /** Whether the device has been told to forget its translations, and has not done so. */
  get invalidated(): boolean {
    return this.#toDevice.waiting();
  }
}

/** The three areas of a ring that lies in one memory. */
export function areasIn(
  memory: RealMemory | Iotlb["memory"],
  num: number,
  places: Pick<VringAreas, "desc" | "avail" | "used">,
): VringAreas {
  return { num, descMemory: memory, availMemory: memory, usedMemory: memory, ...places };
}
