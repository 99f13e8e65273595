import type { TranslationFlush } from "../dirty/discipline.js";
import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import { Hwpt } from "./hwpt.js";
import { Ioas } from "./ioas.js";
import { IOMMU_PROFILES, type IommuProfile, type IommuProfileName } from "./iommu-profile.js";
import { type BitmapPath, IovaBitmap } from "./iova-bitmap.js";
import { isPageSize } from "./logging-request.js";

/** IOMMU_HWPT_ALLOC_NEST_PARENT and _DIRTY_TRACKING of linux/iommufd.h. */
export const HWPT_ALLOC = { nestParent: 1, dirtyTracking: 2 } as const;
/** IOMMU_HWPT_DIRTY_TRACKING_ENABLE of linux/iommufd.h. */
export const HWPT_DIRTY_TRACKING_ENABLE = 1;
/** IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR of linux/iommufd.h. */
export const HWPT_GET_DIRTY_BITMAP_NO_CLEAR = 1;
/** IOMMU_HW_CAP_DIRTY_TRACKING of linux/iommufd.h. */
export const HW_CAP_DIRTY_TRACKING = 1;

/** struct iommu_hwpt_get_dirty_bitmap, with the memory behind its pointer; 64-bit numbers as they cross the ABI. */
export interface GetDirtyBitmap {
  readonly hwptId: number;
  readonly flags: number;
  readonly reserved: number;
  readonly iova: bigint;
  readonly length: bigint;
  readonly pageSize: bigint;
  /** By reference: it belongs to the caller, who may have given it up. */
  readonly data: Uint8Array;
  readonly path?: BitmapPath;
}

/** How a domain differs beyond what the ABI says. */
export interface HwptChoice {
  readonly hugePages?: boolean;
  readonly flushes?: boolean;
  readonly refusesHoles?: boolean;
}

interface FdDevice {
  readonly profile: IommuProfile;
}

/**
 * /dev/iommu as far as dirty tracking goes: objects by their ids, and errors as specified (specification 4.1 to 4.3).
 *
 *     Ioas (what is mapped) ──► Hwpt (one page table, its dirty bits) ◄── devices attach, each through a cache
 */
export class Iommufd {
  readonly #objects = new Map<number, Ioas | Hwpt | FdDevice>();
  #nextId = 1;

  /** A device behind an IOMMU; returns its id. */
  addDevice(profile: IommuProfileName): number {
    return this.#add({ profile: IOMMU_PROFILES[profile] });
  }

  /** IOMMU_GET_HW_INFO: the capabilities of a device's IOMMU, or ENOENT. */
  hwInfo(deviceId: number): number {
    const device = this.#device(deviceId);
    if (device === undefined) return errno("ENOENT");
    return device.profile.tracksDirty ? HW_CAP_DIRTY_TRACKING : 0;
  }

  /** IOMMU_IOAS_ALLOC: the id of a new address space. */
  allocIoas(): number {
    return this.#add(new Ioas());
  }

  /** IOMMU_HWPT_ALLOC for a device and an address space: the id of a new domain, ENOENT or EOPNOTSUPP. */
  allocHwpt(deviceId: number, ioasId: number, flags = 0, choice: HwptChoice = {}): number {
    const device = this.#device(deviceId);
    const ioas = this.ioas(ioasId);
    if (device === undefined || ioas === undefined) return errno("ENOENT");
    if ((flags & ~(HWPT_ALLOC.nestParent | HWPT_ALLOC.dirtyTracking)) !== 0) return errno("EOPNOTSUPP");
    const dirtyTracking = (flags & HWPT_ALLOC.dirtyTracking) !== 0;
    if (dirtyTracking && !device.profile.tracksDirty) return errno("EOPNOTSUPP");
    const hwpt = new Hwpt({ ...choice, profile: device.profile, dirtyTracking });
    ioas.add(hwpt);
    return this.#add(hwpt);
  }

  /** Attaches a device to a domain; `cacheOf` makes the cache through which it translates. 0, ENOENT or EINVAL. */
  attach(deviceId: number, hwptId: number, cacheOf: (hwpt: Hwpt) => TranslationFlush): ErrnoResult {
    const device = this.#device(deviceId);
    const hwpt = this.hwpt(hwptId);
    if (device === undefined || hwpt === undefined) return errno("ENOENT");
    if (hwpt.tracksDirty && !device.profile.tracksDirty) return errno("EINVAL");
    hwpt.attach(cacheOf(hwpt));
    return 0;
  }

  /** IOMMU_HWPT_SET_DIRTY_TRACKING: 0, EOPNOTSUPP or ENOENT. */
  setDirtyTracking(hwptId: number, flags: number): ErrnoResult {
    if ((flags & ~HWPT_DIRTY_TRACKING_ENABLE) !== 0) return errno("EOPNOTSUPP");
    const hwpt = this.hwpt(hwptId);
    return hwpt === undefined ? errno("ENOENT") : hwpt.setDirtyTracking(flags === HWPT_DIRTY_TRACKING_ENABLE);
  }

  /** IOMMU_HWPT_GET_DIRTY_BITMAP: 0, EOPNOTSUPP, ENOENT, EINVAL, EOVERFLOW or EFAULT. Only ever sets bits. */
  getDirtyBitmap(request: GetDirtyBitmap): ErrnoResult {
    const { flags, reserved, iova, length, pageSize, data } = request;
    if ((flags & ~HWPT_GET_DIRTY_BITMAP_NO_CLEAR) !== 0 || reserved !== 0) return errno("EOPNOTSUPP");
    const hwpt = this.hwpt(request.hwptId);
    if (hwpt === undefined) return errno("ENOENT");
    if (length === 0n) return errno("EINVAL");
    if (iova + length - 1n >= 2n ** 64n) return errno("EOVERFLOW");
    if (!isPageSize(pageSize) || iova % pageSize !== 0n || length % pageSize !== 0n) return errno("EINVAL");
    const grainPages = Number(pageSize) / PAGE_BYTES;
    const range = { firstPage: Number(iova) / PAGE_BYTES, pageCount: Number(length) / PAGE_BYTES };
    if (data.length * 8 < Math.ceil(range.pageCount / grainPages)) return errno("EFAULT");
    const path = request.path ?? "in-place";
    const bitmap = new IovaBitmap({ bits: data, ...range, grainPages, path });
    const result = hwpt.readAndClearDirty(range, bitmap, { noClear: flags === HWPT_GET_DIRTY_BITMAP_NO_CLEAR });
    hwpt.counters.pagesReported += bitmap.counters.bitsSet * grainPages;
    hwpt.counters.bytesMarshalled += bitmap.counters.copiedBytes;
    return result;
  }

  /** An address space by its id. */
  ioas(id: number): Ioas | undefined {
    const found = this.#objects.get(id);
    return found instanceof Ioas ? found : undefined;
  }

  /** A domain by its id. */
  hwpt(id: number): Hwpt | undefined {
    const found = this.#objects.get(id);
    return found instanceof Hwpt ? found : undefined;
  }

  #device(id: number): FdDevice | undefined {
    const found = this.#objects.get(id);
    return found === undefined || found instanceof Ioas || found instanceof Hwpt ? undefined : found;
  }

  #add(object: Ioas | Hwpt | FdDevice): number {
    const id = this.#nextId++;
    this.#objects.set(id, object);
    return id;
  }
}
