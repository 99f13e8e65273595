import { VRING_USED, VRING_USED_ELEM } from "../../layout/virtio-ring.js";
import { u16 } from "../../memory/shared-memory.js";
import { INFLIGHT_HEAD, INFLIGHT_QUEUE } from "../../relay/inflight-record.js";
import type { DirtyStamps } from "../oracles/dirty-stamps.js";
import { Permits } from "../oracles/permits.js";
import { Violation } from "../oracles/violation.js";
import type { Element } from "../rig/program.js";
import { ACCESS, type Watch } from "../rig/watched-memory.js";
import { RIG_REGIONS, SPACE, type World } from "../rig/world.js";
import { type CrashPoint, WRITTEN_BYTES } from "./scenario.js";

/** Which buffer an access goes to, beside those of a rig: the record. */
export const RECORD_SPACE = 4;

/** More accesses than any turn of these runs needs. */
const TURN_ACCESSES_MAX = 20_000;

/** Thrown out of a relay to end it. */
export class Killed extends Error {
  override readonly name = "Killed";
}

/** Counts the stores of one relay after the other, kills them, and judges what the guest and a migration would see. */
export class CrashJudge implements Watch {
  /** Stores of this relay so far. */
  stores = 0;
  /** Where this one is to die. */
  kill: CrashPoint | undefined;
  /** Chains that the guest waits for, by head. */
  readonly exposed = new Map<number, readonly Element[]>();
  readonly #world: World;
  readonly #stamps: DirtyStamps;
  readonly #record: Uint8Array;
  readonly #permits: Permits;
  #usedIdx: number;
  #accesses = 0;
  /** The relay took over and has not forwarded anything yet. */
  #recovering = false;

  constructor(world: World, stamps: DirtyStamps, record: Uint8Array) {
    this.#world = world;
    this.#stamps = stamps;
    this.#record = record;
    this.#permits = new Permits(world);
    this.#usedIdx = world.setup.start;
  }

  /** Another relay begins. */
  life(kill: CrashPoint | undefined, recovering: boolean): void {
    this.stores = 0;
    this.kill = kill;
    this.#recovering = recovering;
    this.turn();
  }

  /** A turn begins. */
  turn(): void {
    this.#accesses = 0;
  }

  /** The relay that took over is ready: whatever any before it left unmarked has to be marked by now. */
  recovered(): void {
    if (!this.#recovering) return;
    this.#recovering = false;
    this.#stamps.checkAll("before anything is forwarded");
  }

  before(kind: number, space: number, offset: number, bytes: number): void {
    this.#accesses += 1;
    if (this.#accesses > TURN_ACCESSES_MAX) throw new Violation("O7", 38, "a turn without end");
    if (kind < ACCESS.write || kind === ACCESS.fence) return;
    this.#contained(space, offset, bytes);
    if (space !== SPACE.log && space !== RECORD_SPACE) this.recovered();
    this.stores += 1;
    if (this.kill?.side === "before" && this.kill.store === this.stores) throw new Killed();
  }

  after(kind: number, space: number, offset: number, bytes: number, value: number): void {
    if (kind < ACCESS.write || kind === ACCESS.fence) return;
    if (space !== RECORD_SPACE) this.#world.touch(space, offset, bytes);
    if (space === SPACE.low) this.#stamps.relayWrote(RIG_REGIONS[SPACE.low].gpa + offset, bytes);
    if (space === SPACE.low && offset === this.#world.guestRing.used + VRING_USED.offsets.idx) this.#used(value);
    if (this.kill?.side === "after" && this.kill.store === this.stores) throw new Killed();
  }

  /** Everybody sleeps. */
  ends(): void {
    if (this.exposed.size > 0) {
      throw new Violation("O3", 7, `lost: heads ${[...this.exposed.keys()].join(", ")} never came back`);
    }
    const view = new DataView(this.#record.buffer);
    for (let head = 0; head < this.#world.setup.num; head++) {
      const flag = view.getUint8(INFLIGHT_QUEUE.size + head * INFLIGHT_HEAD.size);
      if (flag !== 0) throw new Violation("O3", 7, `lost: the record still has head ${head} in flight`);
    }
  }

  #contained(space: number, offset: number, bytes: number): void {
    if (space !== RECORD_SPACE) this.#permits.checkStore(space, offset, bytes);
    else if (offset < 0 || offset + bytes > this.#record.length) {
      throw new Violation("O6", 5, `a store of ${bytes} bytes at ${offset} of the record`);
    }
  }

  #used(idx: number): void {
    const { setup, guestRing, views } = this.#world;
    const fresh = u16(idx - this.#usedIdx);
    if (fresh > setup.num) throw new Violation("O3", 8, `the guest's used index moved by ${fresh}`);
    for (let i = 0; i < fresh; i++) {
      const slot = u16(this.#usedIdx + i) & (setup.num - 1);
      const at = guestRing.used + VRING_USED.offsets.ring + slot * VRING_USED_ELEM.size;
      const low = views[SPACE.low]!;
      this.#returned(low.getUint32(at, true), low.getUint32(at + VRING_USED_ELEM.offsets.len, true));
    }
    this.#usedIdx = idx;
  }

  #returned(head: number, length: number): void {
    const elements = this.exposed.get(head);
    if (elements === undefined) throw new Violation("O3", 8, `doubled: head ${head} came back and nobody waits for it`);
    if (length !== WRITTEN_BYTES) throw new Violation("O3", 39, `head ${head} came back with ${length} bytes`);
    this.exposed.delete(head);
    for (const { gpa, bytes, writable } of elements) {
      if (!writable) continue;
      if (this.#world.byte(gpa) === 0) throw new Violation("O3", 8, `head ${head} came back, its buffer untouched`);
      this.#stamps.checkDevices(gpa, bytes, "as its buffer is returned");
    }
  }
}
