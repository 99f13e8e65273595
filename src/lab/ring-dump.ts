import { availEventOffset, descTableBytes, usedEventOffset, VRING_AVAIL, VRING_USED } from "../layout/virtio-ring.js";
import { type Arena, COUNTER_BLOCKS, guestRegions, shadowRingPlaces } from "../machine/arena.js";
import { guestLayout } from "../machine/assemble.js";
import type { MachineConfig } from "../machine/config.js";
import { RealMemory } from "../memory/real-memory.js";
import { type SharedMemory, u16 } from "../memory/shared-memory.js";
import { counterBlock, snapshot } from "../telemetry/counters.js";

/** What the shared words of one ring say. */
interface RingDump {
  readonly ring: "guest" | "shadow";
  readonly queue: number;
  readonly availIdx: number;
  readonly availFlags: number;
  readonly usedEvent: number;
  readonly usedIdx: number;
  readonly usedFlags: number;
  readonly availEvent: number;
}

/** Reads the shared words of every ring of a machine; safe while it runs. */
function dumpRings(config: MachineConfig, arena: Arena): RingDump[] {
  const region = guestRegions(config.ramBytes, config.hole)[0]!;
  const guest = new RealMemory(arena.regions[0]!.buffer);
  const shadow = new RealMemory(arena.shadowRings);
  const shadowNum = config.shadowQueueSize || config.queueSize;
  const guestRings = guestLayout(config).map(({ avail, used }, queue) =>
    dump("guest", queue, guest, avail - region.gpa, used - region.gpa, config.queueSize),
  );
  const shadowRings = shadowRingPlaces(config).map(({ driverArea, deviceArea }, queue) =>
    dump("shadow", queue, shadow, driverArea.offset + descTableBytes(shadowNum), deviceArea.offset, shadowNum),
  );
  return config.path === "svq" ? [...guestRings, ...shadowRings] : guestRings;
}

/** Says who holds up the work, from what the rings say and what the driver has taken. */
export function whoIsStuck(config: MachineConfig, arena: Arena): string {
  const dumps = dumpRings(config, arena);
  const shadowed = dumps.find(({ ring, availIdx, usedIdx }) => ring === "shadow" && availIdx !== usedIdx);
  if (shadowed !== undefined)
    return `device holds ${u16(shadowed.availIdx - shadowed.usedIdx)} chains of the shadow ring`;
  const guest = dumps.find(({ ring, availIdx, usedIdx }) => ring === "guest" && availIdx !== usedIdx);
  if (guest === undefined) return "driver has not taken what was used";
  const holder = config.path === "svq" || config.path === "used-only" ? "relay" : "device";
  return `${holder} holds ${u16(guest.availIdx - guest.usedIdx)} chains of the guest's ring`;
}

/** A phrase for each ring and role, on one line. */
export function describeMachine(config: MachineConfig, arena: Arena): string {
  const rings = dumpRings(config, arena).map(
    (d) =>
      `${d.ring} ring ${d.queue}: avail.idx ${d.availIdx} flags ${d.availFlags} used_event ${d.usedEvent} | ` +
      `used.idx ${d.usedIdx} flags ${d.usedFlags} avail_event ${d.availEvent}`,
  );
  const roles = Object.entries(COUNTER_BLOCKS).map(([role, block]) => {
    const { progress, sleeps, timeouts } = snapshot(counterBlock(arena.counters, block));
    return `${role}: ${progress} busy turns, ${sleeps} sleeps, ${timeouts} timeouts`;
  });
  return [...rings, ...roles].join("; ");
}

function dump(
  ring: "guest" | "shadow",
  queue: number,
  memory: SharedMemory,
  avail: number,
  used: number,
  num: number,
): RingDump {
  return {
    ring,
    queue,
    availIdx: memory.observe16(avail + VRING_AVAIL.offsets.idx),
    availFlags: memory.observe16(avail + VRING_AVAIL.offsets.flags),
    usedEvent: memory.observe16(avail + usedEventOffset(num)),
    usedIdx: memory.observe16(used + VRING_USED.offsets.idx),
    usedFlags: memory.observe16(used + VRING_USED.offsets.flags),
    availEvent: memory.observe16(used + availEventOffset(num)),
  };
}
