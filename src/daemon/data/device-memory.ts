import { IovaTree } from "../../iova/iova-tree.js";
import { VHOST_ACCESS_RW } from "../../layout/vhost.js";
import * as vu from "../../layout/vhost-user.js";
import { type Gpa, gpa, iova } from "../../memory/address.js";
import type { OwnedFd } from "../../sys/fd.js";
import { encodeMemRegion, encodeMemTable, type MemRegion } from "../../vhost-user/memory-regions.js";
import { MessageFault } from "../../vhost-user/message-fault.js";
import { type BackEnd, BackEndLost, BackEndRefused } from "./back-end.js";
import type { DataOptions } from "./data-options.js";
import type { GuestTable } from "./guest-table.js";
import type { ShadowRegion } from "./shadow-region.js";

/** The addresses that a back end is given: every one that x86 and Arm front ends have in use is below. */
const LAST_IOVA = 2 ** 47 - 1;
/** Where the shadow rings are for the back end, unless the front end has something there; then so much further on. */
const SHADOW_AT = 2 ** 46;
const SHADOW_STEP = 2 ** 40;
const NO_SHADOW_ROOM = "guest memory leaves no room for shadow rings";

/** A region as the back end is told of it; the file stays its owner's. */
interface BackRegion {
  readonly region: MemRegion;
  readonly fd: OwnedFd;
}

/** What the back end sees of memory: its regions, the tree they come from, and where the shadow rings are in it. */
export interface DeviceMemory {
  readonly tree: IovaTree;
  readonly regions: readonly BackRegion[];
  /** First address of the shadow rings, guest physical and user address in one; undefined without them. */
  readonly shadowAt: number | undefined;
}

/** What a back end knows of memory at present. */
export class BackMemory {
  #current: DeviceMemory | undefined;
  /** What it was told of last. */
  #regions: readonly MemRegion[] = [];

  /** What it has taken; undefined before, and after it refused. */
  get current(): DeviceMemory | undefined {
    return this.#current;
  }

  /** Tells it of other memory, or of none; throws as installRegions(). There is none until it has taken it. */
  install(back: BackEnd, next: DeviceMemory | undefined): void {
    this.#current = undefined;
    if (next === undefined) return;
    installRegions(back, this.#regions, next.regions);
    this.#regions = next.regions.map(({ region }) => region);
    this.#current = next;
  }
}

/**
 * Tells the back end of regions in the place of those it has.
 *
 * Throws BackEndRefused when it takes no table, BackEndLost when it stops halfway through a change one by one.
 */
function installRegions(back: BackEnd, old: readonly MemRegion[], regions: readonly BackRegion[]): void {
  if (regions.length <= vu.VHOST_MEMORY_BASELINE_NREGIONS) {
    const table = encodeMemTable(regions.map(({ region }) => region));
    back.tell(
      vu.VHOST_USER_SET_MEM_TABLE,
      table,
      regions.map(({ fd }) => fd),
    );
    return;
  }
  try {
    for (const region of old) back.tell(vu.VHOST_USER_REM_MEM_REG, encodeMemRegion(region));
    for (const { region, fd } of regions) back.tell(vu.VHOST_USER_ADD_MEM_REG, encodeMemRegion(region), [fd]);
  } catch (error) {
    if (error instanceof BackEndRefused) throw new BackEndLost(error.message);
    throw error;
  }
}

/**
 * Guest memory as the front end has it: for a back end that works on the guest's own rings.
 *
 * The shadow rings stay among the regions, and in shadowMemory() the front end's user addresses do: libvhost-user looks
 * for the rings that it had last in every new table, also those of queues that are stopped, and gives up without them.
 */
export function passthroughMemory(table: GuestTable, shadow: ShadowRegion): DeviceMemory {
  const tree = newTree(true);
  for (const { region } of table.regions) {
    const mapped = tree.mapGuestAt(
      region.guestPhysAddr,
      region.memorySize,
      iova(region.guestPhysAddr),
      VHOST_ACCESS_RW,
    );
    if (!mapped) throw noRoom("guest memory", region);
  }
  return { tree, regions: [...table.regions, shadowRegionAt(shadowPlace(table, shadow), shadow)], shadowAt: undefined };
}

/**
 * Guest memory and shadow rings at addresses of the relay's: what descriptors of a shadow ring refer to.
 *
 * Throws MessageFault without room.
 */
export function shadowMemory(table: GuestTable, shadow: ShadowRegion, policy: DataOptions["iovaPolicy"]): DeviceMemory {
  const tree = newTree(policy === "gpa");
  const regions = table.regions.map(({ region, fd }) => {
    const at = mapRegion(tree, region, policy);
    if (at === undefined) throw noRoom("guest memory", region);
    return { region: { ...region, guestPhysAddr: gpa(at) }, fd };
  });
  const shadowAt = shadowPlace(table, shadow);
  const mapped = tree.mapHostAt({ backing: 0, offset: 0 }, shadow.bytes, iova(shadowAt), VHOST_ACCESS_RW);
  if (!mapped) throw new MessageFault("region-wraps", NO_SHADOW_ROOM);
  return { tree, regions: [...regions, shadowRegionAt(shadowAt, shadow)], shadowAt };
}

function newTree(pageZero: boolean): IovaTree {
  return new IovaTree({ first: iova(0), last: iova(LAST_IOVA) }, pageZero);
}

/** The same place for the same memory, whatever path it is for; guest physical and user address in one. */
function shadowPlace({ regions }: GuestTable, { bytes }: ShadowRegion): number {
  for (let at = SHADOW_AT; at + bytes - 1 <= LAST_IOVA; at += SHADOW_STEP) {
    const meets = (start: number, size: number) => start < at + bytes && at < start + size;
    const taken = regions.some(
      ({ region }) => meets(region.guestPhysAddr, region.memorySize) || meets(region.userspaceAddr, region.memorySize),
    );
    if (!taken) return at;
  }
  throw new MessageFault("region-wraps", NO_SHADOW_ROOM);
}

function shadowRegionAt(at: number, { bytes, fd }: ShadowRegion): BackRegion {
  return { region: { guestPhysAddr: gpa(at), memorySize: bytes, userspaceAddr: at, mmapOffset: 0 }, fd };
}

function mapRegion(tree: IovaTree, region: MemRegion, policy: DataOptions["iovaPolicy"]): number | undefined {
  const { guestPhysAddr, memorySize } = region;
  if (policy === "tree") return tree.mapGuest(guestPhysAddr as Gpa, memorySize, VHOST_ACCESS_RW);
  return tree.mapGuestAt(guestPhysAddr, memorySize, iova(guestPhysAddr), VHOST_ACCESS_RW) ? guestPhysAddr : undefined;
}

function noRoom(what: string, { guestPhysAddr, memorySize }: MemRegion): MessageFault {
  return new MessageFault("region-wraps", `${what}: ${memorySize} bytes at ${guestPhysAddr} are out of reach`);
}
