import { PAGE_BYTES, PAGE_SHIFT } from "../../memory/address.js";
import type { Ground } from "../rig/ground.js";
import { RIG_REGIONS, SPACE, type World } from "../rig/world.js";
import { Violation } from "./violation.js";

/**
 * O4: a version stamp for each page, raised by every store of device or relay, and what a migration has copied of it.
 *
 * A page whose last version was not copied has to be marked: from the end of the turn in which the relay wrote it, and
 * for a buffer before the guest can see that it is used.
 */
export class DirtyStamps {
  /** Pages that a migration took although nothing had changed since it copied them last. */
  overMarked = 0;
  taken = 0;
  readonly #world: World;
  readonly #ground: Ground;
  readonly #log: Uint8Array;

  constructor(world: World, ground: Ground) {
    this.#world = world;
    this.#ground = ground;
    this.#log = ground.sheets[SPACE.log]!.bytes;
    // The migration begins with a copy of all there is: the indices at which the guest's ring starts.
    const { avail, used } = world.guestRing;
    this.guestWrote(SPACE.low, avail + 2, 2);
    this.guestWrote(SPACE.low, used + 2, 2);
  }

  /** The device wrote `bytes` bytes of guest RAM. */
  wrote(gpa: number, bytes: number): void {
    this.#stamp(gpa, bytes, this.#ground.byDevice);
  }

  /** The relay wrote `bytes` bytes of guest RAM. */
  relayWrote(gpa: number, bytes: number): void {
    this.#stamp(gpa, bytes, this.#ground.byRelay);
  }

  /** The guest wrote, or a rogue device outside of its chains: no relay logs that, so the copy follows. */
  guestWrote(space: number, offset: number, bytes: number): void {
    if (space > SPACE.high || !this.#world.setup.log) return;
    const copy = this.#ground.copy[space]!;
    const source = this.#ground.sheets[space]!.bytes;
    copy.touch(offset, bytes);
    for (let at = offset; at < offset + bytes; at++) copy.bytes[at] = source[at]!;
  }

  /** Throws unless the pages of `bytes` bytes are copied or marked. */
  checkRange(gpa: number, bytes: number, what: string): void {
    const last = (gpa + bytes - 1) >>> PAGE_SHIFT;
    for (let page = gpa >>> PAGE_SHIFT; page <= last; page++) this.#check(page, this.#ground.versions[page]!, what);
  }

  /** The same for what a device wrote to them: buffers may share a page with the used ring, which is marked later. */
  checkDevices(gpa: number, bytes: number, what: string): void {
    const last = (gpa + bytes - 1) >>> PAGE_SHIFT;
    for (let page = gpa >>> PAGE_SHIFT; page <= last; page++) this.#check(page, this.#ground.byDevice[page]!, what);
  }

  /** The same for what the relay wrote of them itself. */
  checkRelays(gpa: number, bytes: number, what: string): void {
    const last = (gpa + bytes - 1) >>> PAGE_SHIFT;
    for (let page = gpa >>> PAGE_SHIFT; page <= last; page++) this.#check(page, this.#ground.byRelay[page]!, what);
  }

  /** Throws unless every page is copied or marked. */
  checkAll(what: string): void {
    for (const { gpa, bytes } of RIG_REGIONS) this.checkRange(gpa, bytes, what);
  }

  /** Takes every mark and copies its page. */
  harvest(): void {
    const { copied, versions } = this.#ground;
    for (let space = 0; space < RIG_REGIONS.length; space++) {
      const { gpa, bytes } = RIG_REGIONS[space]!;
      for (let offset = 0; offset < bytes; offset += PAGE_BYTES) {
        const page = (gpa + offset) / PAGE_BYTES;
        if (!this.#marked(page)) continue;
        this.#log[page >>> 3]! &= ~(1 << (page & 7));
        this.taken += 1;
        if (copied[page] === versions[page]) this.overMarked += 1;
        copied[page] = versions[page]!;
        this.#ground.copy[space]!.copyFrom(this.#ground.sheets[space]!, offset, PAGE_BYTES);
      }
    }
  }

  /** Compares source and destination byte for byte, after a last harvest with nobody running. */
  compare(): void {
    for (let space = 0; space < RIG_REGIONS.length; space++) {
      // What neither has touched is zero in both; what only the copy has, it has from the source.
      const at = this.#ground.sheets[space]!.firstDifference(this.#ground.copy[space]!);
      if (at >= 0) throw new Violation("O4", 24, `the destination differs at ${RIG_REGIONS[space]!.gpa + at}`);
    }
  }

  #stamp(gpa: number, bytes: number, writer: Uint32Array): void {
    const { versions } = this.#ground;
    const last = (gpa + bytes - 1) >>> PAGE_SHIFT;
    for (let page = gpa >>> PAGE_SHIFT; page <= last; page++) writer[page] = versions[page]! += 1;
  }

  #check(page: number, version: number, what: string): void {
    if (version <= this.#ground.copied[page]! || this.#marked(page)) return;
    throw new Violation("O4", 20, `page ${page} was written and is not marked ${what}`);
  }

  #marked(page: number): boolean {
    return (this.#log[page >>> 3]! & (1 << (page & 7))) !== 0;
  }
}
