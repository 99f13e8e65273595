import { VRING_AVAIL, VRING_USED } from "../../layout/virtio-ring.js";
import { INFLIGHT_HEAD, INFLIGHT_QUEUE } from "../../relay/inflight-record.js";
import type { NaiveDevice } from "../rig/naive-device.js";
import { ACCESS, type Watch } from "../rig/watched-memory.js";
import { SPACE, type World } from "../rig/world.js";
import { accessText } from "../trace/describe.js";
import { ringPlaces } from "../trace/places.js";
import type { TimelineStep } from "../trace/timeline.js";

const STORED: ReadonlySet<number> = new Set([ACCESS.write, ACCESS.publish]);
const NAMES = Object.keys(ACCESS);

/** What happened in one run, as the steps of a timeline; a run without one is as fast as it was. */
export class CrashStory {
  readonly steps: TimelineStep[] = [];
  readonly #world: World;
  readonly #device: () => NaiveDevice;
  #seen: number;
  #taken = 0;

  /** Of a run over `world`, with whichever device it has at the moment. */
  constructor(world: World, device: () => NaiveDevice) {
    this.#world = world;
    this.#device = device;
    this.#seen = world.setup.start;
  }

  /** Passes each access on, and notes those that took effect, also when the relay dies of them. */
  over(watch: Watch): Watch {
    return {
      before: (kind, space, offset, bytes) => watch.before(kind, space, offset, bytes),
      after: (kind, space, offset, bytes, value) => {
        this.#relayDid(kind, space, offset, bytes, value);
        watch.after(kind, space, offset, bytes, value);
      },
    };
  }

  /** Anything that is no access of the relay. */
  did(role: TimelineStep["role"], access: string): void {
    const { guestRing, shadowRing } = this.#world;
    const { lastAvailIdx, usedIdx } = this.#device();
    const [availIdx, used] = [VRING_AVAIL.offsets.idx, VRING_USED.offsets.idx];
    this.steps.push({
      step: this.steps.length,
      role,
      access,
      guest: [this.#world.get16(guestRing.avail + availIdx), this.#seen, this.#world.get16(guestRing.used + used)],
      shadow: [this.#shadow16(shadowRing.avail + availIdx), this.#shadow16(shadowRing.used + used), this.#taken],
      device: [lastAvailIdx, usedIdx],
    });
  }

  /** Another relay takes over, and a device that was reset. */
  died(): void {
    this.did("relay", "dies, and its device is reset; another relay takes over");
    this.#seen = this.#world.get16(this.#world.guestRing.used + VRING_USED.offsets.idx);
    this.#taken = 0;
  }

  #relayDid(kind: number, space: number, offset: number, bytes: number, value: number): void {
    const { setup } = this.#world;
    const { guest, shadow } = ringPlaces(setup);
    if (kind === ACCESS.observe && space === SPACE.low && offset === guest.avail + VRING_AVAIL.offsets.idx) {
      this.#seen = value & 0xffff;
    }
    const entry = offset - shadow.used - VRING_USED.offsets.ring;
    if (kind === ACCESS.read && space === SPACE.shadow && entry >= 0 && entry % 8 === 0) this.#taken += 1;
    const indices = [0, 0, 0, 0, 0, 0] as const;
    const event = { kind, space, offset, bytes, value, action: 0, refused: false, indices };
    this.did("relay", space > SPACE.log ? recordText(kind, offset, value) : accessText(setup, event));
  }

  #shadow16(offset: number): number {
    return this.#world.views[SPACE.shadow]!.getUint16(offset, true);
  }
}

/** An access to the in-flight record. */
function recordText(kind: number, offset: number, value: number): string {
  const head = offset - INFLIGHT_QUEUE.size;
  const field = (names: Readonly<Record<string, number>>, at: number) =>
    Object.entries(names).findLast(([, start]) => start <= at)![0];
  const place =
    head < 0
      ? field(INFLIGHT_QUEUE.offsets, offset)
      : `${field(INFLIGHT_HEAD.offsets, head % INFLIGHT_HEAD.size)} of head ${Math.floor(head / INFLIGHT_HEAD.size)}`;
  const what = STORED.has(kind) ? `${NAMES[kind]} ${value}` : NAMES[kind];
  return `${what}: ${place} in the record`;
}
