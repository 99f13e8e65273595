import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import type { DmaLogger } from "./dma-logger.js";
import {
  FEATURE_HEADER_BYTES,
  LOGGING_CONTROL_BYTES,
  LOGGING_REPORT_BYTES,
  readControl,
  readReport,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
  writeControl,
} from "./feature-layout.js";
import { type BitmapPath, IovaBitmap } from "./iova-bitmap.js";
import { reportRange, startRanges } from "./logging-request.js";
import type { UserMemory } from "./user-memory.js";

/** What the core calls for a feature that it does not know. */
export type FeatureHook = (index: number, flags: number, data: Uint8Array | undefined) => ErrnoResult;

/** What a device is made of. */
export interface LoggingDeviceParts {
  /** Undefined: its driver has no log_ops. */
  readonly logger?: DmaLogger | undefined;
  readonly hook?: FeatureHook;
  readonly path?: BitmapPath;
  readonly gapWords?: number;
}

/** What a feature can be asked for, and how much data that takes. */
interface Feature {
  readonly operations: number;
  readonly bytes: number;
  readonly call: (argument: Argument) => ErrnoResult;
}

/** Data of a feature, as it was read, and where it lies. */
interface Argument {
  readonly data: Uint8Array;
  readonly address: bigint;
  readonly user: UserMemory;
}

const OPERATIONS = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET;

/** What vfio-pci's core answers for features that neither it nor the driver has. */
export const PCI_CORE_HOOK: FeatureHook = () => errno("ENOTTY");

/**
 * A VFIO device as far as its DMA logging goes: VFIO_DEVICE_FEATURE with features 6, 7 and 8 (specification 2.3, 3).
 *
 * Checks are made in the kernel's order, so that of several mistakes the same one is named. Logging asks not for the
 * device's migration state.
 */
export class LoggingDevice {
  readonly logger: DmaLogger | undefined;
  /** What its reports have done to users' bitmaps. */
  readonly reported = { windows: 0, pinnedPages: 0, bitsSet: 0, copiedBytes: 0, copiedRuns: 0 };
  readonly #parts: LoggingDeviceParts;
  readonly #features: ReadonlyMap<number, Feature>;

  constructor(parts: LoggingDeviceParts) {
    this.logger = parts.logger;
    this.#parts = parts;
    this.#features = new Map<number, Feature>([
      [
        VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
        {
          operations: VFIO_DEVICE_FEATURE_SET,
          bytes: LOGGING_CONTROL_BYTES,
          call: (argument) => this.#start(argument),
        },
      ],
      [
        VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
        { operations: VFIO_DEVICE_FEATURE_SET, bytes: 0, call: () => this.#stop() },
      ],
      [
        VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
        {
          operations: VFIO_DEVICE_FEATURE_GET,
          bytes: LOGGING_REPORT_BYTES,
          call: (argument) => this.#report(argument),
        },
      ],
    ]);
  }

  /** ioctl VFIO_DEVICE_FEATURE with its argument at `address`: 0 or a negative error number. */
  feature(user: UserMemory, address: bigint): ErrnoResult {
    const header = user.read(address, FEATURE_HEADER_BYTES);
    if (header === undefined) return errno("EFAULT");
    const view = new DataView(header.buffer, header.byteOffset, FEATURE_HEADER_BYTES);
    const argsz = view.getUint32(0, true);
    const flags = view.getUint32(4, true);
    const known = VFIO_DEVICE_FEATURE_MASK | OPERATIONS | VFIO_DEVICE_FEATURE_PROBE;
    if (argsz < FEATURE_HEADER_BYTES || (flags & ~known) !== 0) return errno("EINVAL");
    if ((flags & OPERATIONS) === OPERATIONS && (flags & VFIO_DEVICE_FEATURE_PROBE) === 0) return errno("EINVAL");
    const dataAddress = address + BigInt(FEATURE_HEADER_BYTES);
    const index = flags & VFIO_DEVICE_FEATURE_MASK;
    const feature = this.#features.get(index);
    if (feature !== undefined) return this.#call(feature, { flags, argsz, dataAddress, user });
    const data = user.write(dataAddress, argsz - FEATURE_HEADER_BYTES);
    return this.#parts.hook?.(index, flags, data) ?? errno("EINVAL");
  }

  #call(
    { operations, bytes, call }: Feature,
    given: { flags: number; argsz: number; dataAddress: bigint; user: UserMemory },
  ): ErrnoResult {
    const { flags, argsz, dataAddress, user } = given;
    if (this.logger === undefined) return errno("ENOTTY");
    if ((flags & OPERATIONS & ~operations) !== 0) return errno("EINVAL");
    if ((flags & VFIO_DEVICE_FEATURE_PROBE) !== 0) return 0;
    if ((flags & OPERATIONS) === 0 || argsz - FEATURE_HEADER_BYTES < bytes) return errno("EINVAL");
    const data = user.read(dataAddress, bytes);
    return data === undefined ? errno("EFAULT") : call({ data, address: dataAddress, user });
  }

  #start({ data, address, user }: Argument): ErrnoResult {
    const control = readControl(data);
    const ranges = startRanges(control, user);
    if (typeof ranges === "number") return ranges;
    const chosen = this.logger!.start(ranges, Number(control.pageSize));
    if (chosen < 0) return chosen;
    const out = user.write(address, LOGGING_CONTROL_BYTES);
    if (out === undefined) {
      this.logger!.stop();
      return errno("EFAULT");
    }
    writeControl(out, { ...control, pageSize: BigInt(chosen) });
    return 0;
  }

  #stop(): ErrnoResult {
    this.logger!.stop();
    return 0;
  }

  #report({ data, user }: Argument): ErrnoResult {
    const report = readReport(data);
    const asked = reportRange(report);
    if (typeof asked === "number") return asked;
    const grainPages = Number(report.pageSize) / PAGE_BYTES;
    const bits = user.write(report.bitmap, Math.ceil(asked.pageCount / grainPages / 64) * 8);
    if (bits === undefined) return errno("EFAULT");
    const { path = "in-place", gapWords = 0 } = this.#parts;
    const bitmap = new IovaBitmap({ bits, ...asked, grainPages, path, gapWords });
    const result = this.logger!.report(asked, bitmap);
    for (const name of Object.keys(this.reported) as (keyof typeof this.reported)[]) {
      this.reported[name] += bitmap.counters[name];
    }
    return result;
  }
}
