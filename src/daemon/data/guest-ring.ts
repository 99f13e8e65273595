import { availRingBytes, descTableBytes, usedRingBytes, VRING_USED } from "../../layout/virtio-ring.js";
import { PeerFault } from "../../ring/peer-fault.js";
import type { QueueSetup } from "../../transport/driver-transport.js";
import type { RingSession } from "../../vhost-user/session.js";
import type { GuestTable } from "./guest-table.js";

/** The guest's ring by guest address, from what the front end said of it; throws PeerFault when it is not all there. */
export function guestSetup(table: GuestTable, { num: size, addr, base }: RingSession): QueueSetup {
  if (size === 0 || addr === undefined) throw new PeerFault("queue-size", "the queue has no size or no areas");
  const at = (what: string, address: number, bytes: number) => {
    const gpa = table.gpaOf(address, bytes);
    if (gpa !== undefined) return gpa;
    throw new PeerFault("ring-outside-memory", `${what}: ${bytes} bytes at user address 0x${address.toString(16)}`);
  };
  return {
    size,
    desc: at("descriptor table", addr.desc, descTableBytes(size)),
    avail: at("available ring", addr.avail, availRingBytes(size)),
    used: at("used ring", addr.used, usedRingBytes(size)),
    lastAvailIdx: base,
    usedIdx: base,
    call: 0,
    alwaysCall: false,
  };
}

/** How far the guest's used ring is filled, as whoever fills it left it; throws PeerFault. */
export function guestUsedIdx(table: GuestTable, { used, size }: QueueSetup): number {
  const place = table.memory.locate(used, usedRingBytes(size));
  if (place === undefined) throw new PeerFault("ring-outside-memory", `used ring at 0x${used.toString(16)}`);
  return place.memory.observe16(place.offset + VRING_USED.offsets.idx);
}
