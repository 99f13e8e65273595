import type { AtTranslateHook, Leaf } from "../dirty/discipline.js";
import type { AddressRange, ReportOptions, Tracker } from "../dirty/tracker.js";
import type { ErrnoResult } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import type { Hwpt } from "./hwpt.js";
import { HWPT_DIRTY_TRACKING_ENABLE, HWPT_GET_DIRTY_BITMAP_NO_CLEAR, type Iommufd } from "./iommufd.js";
import { getArgument, IOMMUFD_CMD, iommufdIoctl, setArgument } from "./iommufd-ioctl.js";
import { UserMemory } from "./user-memory.js";

/** One domain's dirty bits as a tracker, by ioctls; covers the devices attached to it, and no others. */
export class IommuTracker implements Tracker, AtTranslateHook {
  readonly name: string;
  readonly space = "iova";
  readonly discipline = "mark-at-translate";
  readonly hwpt: Hwpt;
  readonly #fd: Iommufd;
  readonly #hwptId: number;
  readonly #demotes: boolean;
  #ranges: readonly AddressRange[] = [];

  /** `demotes`: splits large leaves when it starts, and joins them again when it stops. */
  constructor(name: string, fd: Iommufd, hwptId: number, demotes = false) {
    this.name = name;
    this.hwpt = fd.hwpt(hwptId)!;
    this.#fd = fd;
    this.#hwptId = hwptId;
    this.#demotes = demotes;
  }

  get counters() {
    return this.hwpt.counters;
  }

  start(ranges: readonly AddressRange[], _pageHint: number): ErrnoResult {
    this.#ranges = ranges;
    if (this.#demotes) for (const range of ranges) this.hwpt.demote(pagesOf(range));
    const result = this.#set(HWPT_DIRTY_TRACKING_ENABLE);
    return result < 0 ? result : PAGE_BYTES;
  }

  stop(): ErrnoResult {
    const result = this.#set(0);
    if (this.#demotes) for (const range of this.#ranges) this.hwpt.promote(pagesOf(range));
    return result;
  }

  walkForWrite(page: number): Leaf | undefined {
    return this.hwpt.walkForWrite(page);
  }

  report(
    address: number,
    bytes: number,
    pageBytes: number,
    bitmap: Uint32Array,
    options: ReportOptions = {},
  ): ErrnoResult {
    const user = new UserMemory();
    const argument = getArgument({
      hwptId: this.#hwptId,
      flags: options.noClear === true ? HWPT_GET_DIRTY_BITMAP_NO_CLEAR : 0,
      iova: BigInt(address),
      length: BigInt(bytes),
      pageSize: BigInt(pageBytes),
      data: user.place(new Uint8Array(bitmap.buffer, bitmap.byteOffset, bitmap.byteLength)),
    });
    return iommufdIoctl(this.#fd, user, IOMMUFD_CMD.getDirtyBitmap, user.place(argument));
  }

  footprintBytes(): number {
    return 0;
  }

  #set(flags: number): ErrnoResult {
    const user = new UserMemory();
    const address = user.place(setArgument(this.#hwptId, flags));
    return iommufdIoctl(this.#fd, user, IOMMUFD_CMD.setDirtyTracking, address);
  }
}

function pagesOf({ address, bytes }: AddressRange): { firstPage: number; pageCount: number } {
  return { firstPage: address / PAGE_BYTES, pageCount: bytes / PAGE_BYTES };
}
