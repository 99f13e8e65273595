import {
  availEventOffset,
  usedEventOffset,
  VRING_AVAIL_F_NO_INTERRUPT,
  VRING_DESC_F_WRITE,
  VRING_USED_F_NO_NOTIFY,
} from "../../layout/virtio-ring.js";
import { u16 } from "../../memory/shared-memory.js";
import { SPACE, TABLES_GPA, type World } from "../rig/world.js";
import { CELLS, type GuestProgram, OWN_TABLE, type Request, type RequestDescriptor } from "./guest-program.js";

/** What came of an entry of the avail ring: its used length, or NEVER. */
export const NEVER = -1;

interface Exposure {
  readonly position: number;
  readonly request: number;
  readonly slots: readonly number[];
}

/** The driver of a program: offers its requests one after the other, notes what the guest can see of each. */
export class ScriptedGuest {
  /** By place in the avail ring, counted from 0: used length, or NEVER. */
  readonly outcomes: number[] = [];
  /** By the same: what the writable buffers held when the guest got them back. */
  readonly contents: number[] = [];
  /** By the same: the request exposed there. */
  readonly requests: number[] = [];
  /** Places in the avail ring, in the order in which they came back. */
  readonly order: number[] = [];
  /** Used entries that name nothing the guest waits for, and indices that cannot be. */
  readonly strays: string[] = [];
  asleep = false;
  readonly #world: World;
  readonly #view: DataView;
  readonly #program: GuestProgram;
  readonly #free: number[];
  readonly #waiting = new Map<number, Exposure[]>();
  readonly #busyCells = new Uint8Array(CELLS);
  #nextRequest = 0;
  #outstanding = 0;
  #jump = 0;
  #availIdx: number;
  #publishedIdx: number;
  #lastUsedIdx: number;

  constructor(world: World, program: GuestProgram) {
    this.#world = world;
    this.#view = world.views[SPACE.low]!;
    this.#program = program;
    this.#free = Array.from({ length: world.setup.num }, (_, i) => i);
    this.#availIdx = this.#publishedIdx = this.#lastUsedIdx = world.setup.start;
  }

  /** Where used.idx stands, counted from where it began. */
  get used(): number {
    return u16(this.#view.getUint16(this.#world.guestRing.used + 2, true) - this.#world.setup.start);
  }

  /** Offers up to `count` requests, as far as descriptors and buffers are free; returns how many it did. */
  offer(count: number): number {
    let offered = 0;
    for (; offered < count && this.#offerNext(); offered++);
    return offered;
  }

  /** Moves avail.idx; true when the other side asked to be kicked for that. */
  publish(): boolean {
    const { setup, guestRing } = this.#world;
    const oldIdx = this.#publishedIdx;
    const idx = u16(this.#availIdx + this.#jump);
    if (idx === oldIdx) return false;
    this.#view.setUint16(guestRing.avail + 2, idx, true);
    this.#publishedIdx = idx;
    if (!setup.eventIdx) return (this.#view.getUint16(guestRing.used, true) & VRING_USED_F_NO_NOTIFY) === 0;
    const event = this.#view.getUint16(guestRing.used + availEventOffset(setup.num), true);
    return u16(idx - event - 1) < u16(idx - oldIdx);
  }

  /** Takes back what is used, and asks not to be called while it works. */
  reap(): boolean {
    const { setup, guestRing } = this.#world;
    if (!setup.eventIdx) this.#view.setUint16(guestRing.avail, VRING_AVAIL_F_NO_INTERRUPT, true);
    const usedIdx = this.#view.getUint16(guestRing.used + 2, true);
    const fresh = u16(usedIdx - this.#lastUsedIdx);
    if (fresh > setup.num) this.strays.push(`used.idx moved by ${fresh}`);
    for (let i = 0; i < Math.min(fresh, setup.num); i++) {
      const at = guestRing.used + 4 + (u16(this.#lastUsedIdx + i) & (setup.num - 1)) * 8;
      this.#returned(this.#view.getUint32(at, true), this.#view.getUint32(at + 4, true));
    }
    this.#lastUsedIdx = usedIdx;
    return fresh > 0;
  }

  /** Asks to be called, then looks again; sleeps when nothing is used, unless it only has more to offer. */
  arm(): void {
    const { setup, guestRing } = this.#world;
    if (setup.eventIdx) this.#view.setUint16(guestRing.avail + usedEventOffset(setup.num), this.#lastUsedIdx, true);
    else this.#view.setUint16(guestRing.avail, 0, true);
    const waits = this.#outstanding > 0 || this.#nextRequest === this.#program.requests.length;
    this.asleep = waits && this.#view.getUint16(guestRing.used + 2, true) === this.#lastUsedIdx;
  }

  #offerNext(): boolean {
    const request = this.#program.requests[this.#nextRequest];
    const cell = this.#nextRequest % CELLS;
    if (request === undefined || this.#jump !== 0 || this.#busyCells[cell] === 1) return false;
    const exposures = request.twice === true ? 2 : 1;
    const { num } = this.#world.setup;
    if (request.direct.length > this.#free.length || this.#outstanding + exposures > num) return false;
    const slots = this.#free.splice(0, request.direct.length);
    this.#layOut(request, slots);
    this.#busyCells[cell] = 1;
    const head = request.head ?? slots[0]!;
    this.#expose(head, slots);
    if (request.twice === true) this.#expose(head, []);
    this.#jump = request.jump ?? 0;
    this.#nextRequest += 1;
    return true;
  }

  #layOut({ direct, table }: Request, slots: readonly number[]): void {
    const { guestRing, setup } = this.#world;
    const ownTable = TABLES_GPA + slots[0]! * setup.num * 16;
    for (const [i, each] of table.slice(0, setup.num).entries()) {
      this.#descriptor(ownTable + i * 16, each, ownTable, each.next);
      this.#fill(each);
    }
    for (const [i, each] of direct.entries()) {
      const next = each.next < slots.length ? slots[each.next]! : each.next;
      this.#descriptor(guestRing.desc + slots[i]! * 16, each, ownTable, next);
      this.#fill(each);
    }
  }

  #descriptor(at: number, { address, length, flags }: RequestDescriptor, ownTable: number, next: number): void {
    this.#view.setBigUint64(at, address === OWN_TABLE ? BigInt(ownTable) : address, true);
    this.#view.setUint32(at + 8, length, true);
    this.#view.setUint16(at + 12, flags, true);
    this.#view.setUint16(at + 14, next, true);
  }

  /** Writes what the device is to read, and spoils what it is to write. */
  #fill({ address, length, flags }: RequestDescriptor): void {
    const bytes = bufferBytes(this.#world, address, length);
    if (bytes === undefined) return;
    if ((flags & VRING_DESC_F_WRITE) !== 0) bytes.fill(0xa5);
    else for (let i = 0; i < bytes.length; i++) bytes[i] = this.#nextRequest * 37 + i * 11 + 1;
  }

  #expose(head: number, slots: readonly number[]): void {
    const { setup, guestRing } = this.#world;
    this.#view.setUint16(guestRing.avail + 4 + (this.#availIdx & (setup.num - 1)) * 2, head, true);
    this.#availIdx = u16(this.#availIdx + 1);
    const exposure = { position: this.outcomes.length, request: this.#nextRequest, slots };
    const queue = this.#waiting.get(head);
    if (queue === undefined) this.#waiting.set(head, [exposure]);
    else queue.push(exposure);
    this.outcomes.push(NEVER);
    this.contents.push(0);
    this.requests.push(this.#nextRequest);
    this.#outstanding += 1;
  }

  #returned(id: number, length: number): void {
    const exposure = this.#waiting.get(id)?.shift();
    if (exposure === undefined) {
      this.strays.push(`head ${id} came back, which is not outstanding`);
      return;
    }
    const { position, request, slots } = exposure;
    this.outcomes[position] = length;
    this.order.push(position);
    this.#outstanding -= 1;
    // Of a head that was offered twice the second exposure keeps the buffers.
    if (this.#waiting.get(id)!.length > 0) {
      this.#waiting.get(id)![0] = { ...this.#waiting.get(id)![0]!, slots };
      return;
    }
    this.contents[position] = this.#hash(this.#program.requests[request]!);
    this.#busyCells[request % CELLS] = 0;
    this.#free.push(...slots);
  }

  #hash({ direct, table }: Request): number {
    let hash = 1;
    for (const each of [direct, table].flat()) {
      if ((each.flags & VRING_DESC_F_WRITE) === 0) continue;
      const bytes = bufferBytes(this.#world, each.address, each.length);
      if (bytes === undefined) continue;
      for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x0100_0193);
    }
    return hash;
  }
}

/** The bytes of a buffer that lies in guest RAM as a whole. */
function bufferBytes(world: World, address: bigint, length: number): Uint8Array | undefined {
  if (address < 0n || address >= 2n ** 53n || length === 0) return undefined;
  const place = world.at(Number(address));
  if (place === undefined || place.offset + length > place.view.byteLength) return undefined;
  return new Uint8Array(place.view.buffer as ArrayBuffer, place.offset, length);
}
