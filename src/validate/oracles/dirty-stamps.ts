import { PAGE_BYTES } from "../../memory/address.js";
import { RIG_PAGES, RIG_REGIONS, SPACE, type World } from "../rig/world.js";
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
  readonly #log: Uint8Array;
  readonly #versions = new Uint32Array(RIG_PAGES);
  readonly #copied = new Uint32Array(RIG_PAGES);
  readonly #copy: readonly Uint8Array[];

  constructor(world: World) {
    this.#world = world;
    this.#log = new Uint8Array(world.buffers[SPACE.log]!);
    this.#copy = RIG_REGIONS.map((_, space) => new Uint8Array(world.buffers[space]!.slice(0)));
  }

  /** Device or relay wrote `bytes` bytes of guest RAM. */
  wrote(gpa: number, bytes: number): void {
    for (let page = Math.floor(gpa / PAGE_BYTES); page * PAGE_BYTES < gpa + bytes; page++) this.#versions[page]! += 1;
  }

  /** The guest wrote: whoever runs the guest logs that, so the copy follows. */
  guestWrote(space: number, offset: number, bytes: number): void {
    if (space > SPACE.high) return;
    const from = new Uint8Array(this.#world.buffers[space]!, offset, bytes);
    this.#copy[space]!.set(from, offset);
  }

  /** Throws unless the pages of `bytes` bytes are copied or marked. */
  checkRange(gpa: number, bytes: number, what: string): void {
    for (let page = Math.floor(gpa / PAGE_BYTES); page * PAGE_BYTES < gpa + bytes; page++) this.#check(page, what);
  }

  /** Throws unless every page is copied or marked. */
  checkAll(what: string): void {
    for (const { gpa, bytes } of RIG_REGIONS) this.checkRange(gpa, bytes, what);
  }

  /** Takes every mark and copies its page. */
  harvest(): void {
    for (const [space, { gpa, bytes }] of RIG_REGIONS.entries()) {
      for (let offset = 0; offset < bytes; offset += PAGE_BYTES) {
        const page = (gpa + offset) / PAGE_BYTES;
        if (!this.#marked(page)) continue;
        this.#log[page >>> 3]! &= ~(1 << (page & 7));
        this.taken += 1;
        if (this.#copied[page] === this.#versions[page]) this.overMarked += 1;
        this.#copied[page] = this.#versions[page]!;
        this.#copy[space]!.set(new Uint8Array(this.#world.buffers[space]!, offset, PAGE_BYTES), offset);
      }
    }
  }

  /** Compares source and destination byte for byte, after a last harvest with nobody running. */
  compare(): void {
    for (const [space, { gpa }] of RIG_REGIONS.entries()) {
      const source = Buffer.from(this.#world.buffers[space]!);
      if (source.equals(this.#copy[space]!)) continue;
      const at = source.findIndex((byte, i) => byte !== this.#copy[space]![i]);
      throw new Violation("O4", 24, `the destination differs at ${gpa + at}`);
    }
  }

  #check(page: number, what: string): void {
    if (this.#versions[page] === this.#copied[page] || this.#marked(page)) return;
    throw new Violation("O4", 20, `page ${page} was written and is not marked ${what}`);
  }

  #marked(page: number): boolean {
    return (this.#log[page >>> 3]! & (1 << (page & 7))) !== 0;
  }
}
