import type { Device } from "../../src/device/device.js";
import { NetDevice } from "../../src/device/net-device.js";
import { IotlbRing } from "../../src/iova/iotlb-ring.js";
import { IotlbServer } from "../../src/iova/iotlb-server.js";
import { type Arena, allocateArena, IOTLB_OFFSETS, NOTIFIERS } from "../../src/machine/arena.js";
import { addressPlan, type DeviceOutside, guestLayout, makeDevice } from "../../src/machine/assemble.js";
import type { MachineConfig } from "../../src/machine/config.js";
import { deviceShare, deviceViews, relayViews } from "../../src/machine/views.js";
import type { EventFd } from "../../src/memory/bell.js";
import { HandDriver, notification } from "./hand-driver.js";
import { SMALL } from "./inline-machine.js";
import { areasIn } from "./relay-hands.js";

/** A device whose driver is a hand: no relay, guest memory at its own addresses, translations answered at once. */
export class DeviceHands {
  readonly config: MachineConfig;
  readonly arena: Arena;
  readonly device: Device;
  readonly driver: HandDriver;
  /** What the device signals for used buffers. */
  readonly call: EventFd;

  constructor(change: Partial<MachineConfig> = {}, outside: Partial<DeviceOutside> = {}) {
    this.config = { ...SMALL, iovaPolicy: "gpa", path: "passthrough", ...change };
    this.arena = allocateArena(this.config);
    const views = relayViews(this.arena);
    const { tree } = addressPlan(this.config, "passthrough");
    const server = new IotlbServer(
      new IotlbRing(views.iotlb, IOTLB_OFFSETS.toDevice),
      new IotlbRing(views.iotlb, IOTLB_OFFSETS.toRelay),
      { ring: () => {} },
      // One region at 0 is all that these requests use.
      ({ target }) => (target.kind === "guest" ? target.gpa : 0),
    );
    const device = makeDevice(this.config, deviceViews(deviceShare(this.arena)), {
      model: new NetDevice(),
      ...outside,
    });
    this.device = device;
    this.call = notification(this.arena, NOTIFIERS.guestCall);
    const { desc, avail, used } = guestLayout(this.config)[0]!;
    this.driver = new HandDriver({
      registers: views.deviceRegisters,
      areas: areasIn(views.regions[0]!.memory, this.config.queueSize, { desc, avail, used }),
      setup: { desc, avail, used, call: 0 },
      kick: notification(this.arena, NOTIFIERS.deviceKick),
      turn: () => [device.step(), server.poll(tree)].includes(true),
    });
  }

  /** A word of guest memory. */
  write16(address: number, value: number): void {
    new DataView(this.arena.regions[0]!.buffer).setUint16(address, value, true);
  }

  /** Bytes of guest memory. */
  bytes(address: number, count: number): Uint8Array {
    return new Uint8Array(this.arena.regions[0]!.buffer, address, count);
  }
}
