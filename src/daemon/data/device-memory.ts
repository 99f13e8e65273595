import { IovaTree } from "../../iova/iova-tree.js";
import { VHOST_ACCESS_RW } from "../../layout/vhost.js";
import * as vu from "../../layout/vhost-user.js";
import { type Gpa, gpa, iova } from "../../memory/address.js";
import { assert } from "../../memory/assert.js";
import type { OwnedFd } from "../../sys/fd.js";
import { encodeMemRegion, encodeMemTable, type MemRegion } from "../../vhost-user/memory-regions.js";
import { MessageFault } from "../../vhost-user/message-fault.js";
import { type BackEnd, BackEndLost, BackEndRefused } from "./back-end.js";
import type { DataOptions } from "./data-options.js";
import type { GuestTable } from "./guest-table.js";
import type { ShadowRegion } from "./shadow-region.js";

/** The addresses that a back end is given: every one that x86 and Arm front ends have in use is below. */
const LAST_IOVA = 2 ** 47 - 1;

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

/** Guest memory as the front end has it: for a back end that works on the guest's own rings. */
export function passthroughMemory(table: GuestTable): DeviceMemory {
  const tree = new IovaTree({ first: iova(0), last: iova(LAST_IOVA) }, true);
  for (const { region } of table.regions) {
    const mapped = tree.mapGuestAt(
      region.guestPhysAddr,
      region.memorySize,
      iova(region.guestPhysAddr),
      VHOST_ACCESS_RW,
    );
    if (!mapped) throw noRoom("guest memory", region);
  }
  return { tree, regions: table.regions, shadowAt: undefined };
}

/**
 * Guest memory and shadow rings at addresses of the relay's: what descriptors of a shadow ring refer to.
 *
 * Such an address is guest physical and user address in one for the back end. Throws MessageFault without room.
 */
export function shadowMemory(table: GuestTable, shadow: ShadowRegion, policy: DataOptions["iovaPolicy"]): DeviceMemory {
  const tree = new IovaTree({ first: iova(0), last: iova(LAST_IOVA) }, policy === "gpa");
  const regions = table.regions.map(({ region, fd }) => {
    const at = mapRegion(tree, region, policy);
    if (at === undefined) throw noRoom("guest memory", region);
    return { region: { ...region, guestPhysAddr: gpa(at), userspaceAddr: at }, fd };
  });
  const shadowAt = tree.mapHost({ backing: 0, offset: 0 }, shadow.bytes, VHOST_ACCESS_RW);
  assert(shadowAt !== undefined, "there is room for shadow rings below 2^47");
  const rings = { guestPhysAddr: gpa(shadowAt), memorySize: shadow.bytes, userspaceAddr: shadowAt, mmapOffset: 0 };
  return { tree, regions: [...regions, { region: rings, fd: shadow.fd }], shadowAt };
}

function mapRegion(tree: IovaTree, region: MemRegion, policy: DataOptions["iovaPolicy"]): number | undefined {
  const { guestPhysAddr, memorySize } = region;
  if (policy === "tree") return tree.mapGuest(guestPhysAddr as Gpa, memorySize, VHOST_ACCESS_RW);
  return tree.mapGuestAt(guestPhysAddr, memorySize, iova(guestPhysAddr), VHOST_ACCESS_RW) ? guestPhysAddr : undefined;
}

function noRoom(what: string, { guestPhysAddr, memorySize }: MemRegion): MessageFault {
  return new MessageFault("region-wraps", `${what}: ${memorySize} bytes at ${guestPhysAddr} are out of reach`);
}
