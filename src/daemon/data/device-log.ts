import { type DirtyLog, logBytes } from "../../dirty/dirty-log.js";
import { usedRingBytes } from "../../layout/virtio-ring.js";
import type { OwnedFd } from "../../sys/fd.js";
import type { MemRegion } from "../../vhost-user/memory-regions.js";
import { MessageFault } from "../../vhost-user/message-fault.js";
import type { LogArea } from "../../vhost-user/payloads.js";
import type { RingSession } from "../../vhost-user/session.js";
import { MappedLog } from "./mapped-log.js";

/**
 * The dirty log of a device, and the promise that every mark of it lies inside.
 *
 * Whoever changes the log, memory, or where a used ring is logged, asks here first; so a mark is never out of range.
 */
export class DeviceLog {
  #mapped: MappedLog | undefined;

  /** Where marks go; undefined before there is a log. */
  get all(): DirtyLog | undefined {
    return this.#mapped?.dirtyLog;
  }

  /**
   * Puts another log in the place of the one there is, which `spread` tells to whoever marks before that one is gone.
   *
   * Throws MappingFault, NativeError, and MessageFault (log-range) when it covers not all of memory and used rings.
   */
  replace(area: LogArea, fd: OwnedFd, end: number, rings: readonly RingSession[], spread: () => void): void {
    const next = new MappedLog(area, fd, (bytes) => {
      demandCover(bytes, end, "guest memory");
      for (const { addr, num } of rings) demandCover(bytes, usedEnd(addr?.log, num), "a used ring");
    });
    const old = this.#mapped;
    this.#mapped = next;
    // The front end takes what is in the old one once it has the answer.
    spread();
    old?.close();
  }

  /** Throws MessageFault (log-range) unless there is no log, or it covers these regions. */
  demandRegions(regions: readonly MemRegion[]): void {
    const ends = regions.map(({ guestPhysAddr, memorySize }) => guestPhysAddr + memorySize);
    if (this.#mapped !== undefined) demandCover(this.#mapped.bytes, Math.max(0, ...ends), "guest memory");
  }

  /** Throws MessageFault (log-range) unless there is no log, or it covers a used ring of `num` entries at `address`. */
  demandUsedRing(address: number | undefined, num: number): void {
    if (this.#mapped !== undefined) demandCover(this.#mapped.bytes, usedEnd(address, num), "a used ring");
  }

  close(): void {
    this.#mapped?.close();
    this.#mapped = undefined;
  }
}

function usedEnd(address: number | undefined, num: number): number {
  return address === undefined ? 0 : address + usedRingBytes(num);
}

function demandCover(bytes: number, end: number, what: string): void {
  if (logBytes(end) <= bytes) return;
  throw new MessageFault("log-range", `a log of ${bytes} bytes, with ${what} up to 0x${end.toString(16)}`);
}
