import { type ErrnoResult, errno } from "../layout/errno.js";
import type { Iommufd } from "./iommufd.js";
import type { UserMemory } from "./user-memory.js";

/** IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING and IOMMUFD_CMD_HWPT_GET_DIRTY_BITMAP of linux/iommufd.h. */
export const IOMMUFD_CMD = { setDirtyTracking: 0x8b, getDirtyBitmap: 0x8c } as const;

/** A command: the bytes that are known of its structure, and what it does. */
interface Command {
  readonly bytes: number;
  readonly call: (fd: Iommufd, view: DataView, user: UserMemory) => ErrnoResult;
}

const COMMANDS: ReadonlyMap<number, Command> = new Map([
  [IOMMUFD_CMD.setDirtyTracking, { bytes: 16, call: setDirtyTracking }],
  [IOMMUFD_CMD.getDirtyBitmap, { bytes: 48, call: getDirtyBitmap }],
]);

/**
 * ioctl of /dev/iommu for the two commands of dirty tracking, with its argument at `address` (specification 4.1).
 *
 * Unknown commands are ENOTTY, what cannot be read EFAULT, a structure that is too short EINVAL, and one that is longer
 * than what is known E2BIG unless the rest is zero.
 */
export function iommufdIoctl(fd: Iommufd, user: UserMemory, command: number, address: bigint): ErrnoResult {
  const known = COMMANDS.get(command);
  if (known === undefined) return errno("ENOTTY");
  const head = user.read(address, 4);
  if (head === undefined) return errno("EFAULT");
  const size = viewOf(head).getUint32(0, true);
  if (size < known.bytes) return errno("EINVAL");
  const given = user.read(address, size);
  if (given === undefined) return errno("EFAULT");
  if (given.subarray(known.bytes).some((byte) => byte !== 0)) return errno("E2BIG");
  return known.call(fd, viewOf(given), user);
}

/** The argument of SET_DIRTY_TRACKING. */
export function setArgument(hwptId: number, flags: number): Uint8Array {
  const argument = new Uint32Array([16, flags, hwptId, 0]);
  return new Uint8Array(argument.buffer);
}

/** What GET_DIRTY_BITMAP is asked for. */
export interface GetArgument {
  readonly hwptId: number;
  readonly flags: number;
  readonly iova: bigint;
  readonly length: bigint;
  readonly pageSize: bigint;
  /** Address of the bitmap. */
  readonly data: bigint;
}

/** The argument of GET_DIRTY_BITMAP. */
export function getArgument({ hwptId, flags, iova, length, pageSize, data }: GetArgument): Uint8Array {
  const argument = new Uint8Array(48);
  new Uint32Array(argument.buffer, 0, 4).set([48, hwptId, flags, 0]);
  new BigUint64Array(argument.buffer, 16).set([iova, length, pageSize, data]);
  return argument;
}

function setDirtyTracking(fd: Iommufd, view: DataView): ErrnoResult {
  return fd.setDirtyTracking(view.getUint32(8, true), view.getUint32(4, true));
}

function getDirtyBitmap(fd: Iommufd, view: DataView, user: UserMemory): ErrnoResult {
  const length = view.getBigUint64(24, true);
  const pageSize = view.getBigUint64(32, true);
  const words = pageSize === 0n ? 0n : (length / pageSize + 63n) / 64n;
  return fd.getDirtyBitmap({
    hwptId: view.getUint32(4, true),
    flags: view.getUint32(8, true),
    reserved: view.getUint32(12, true),
    iova: view.getBigUint64(16, true),
    length,
    pageSize,
    // One that is not there is found too short when all else was checked.
    data: user.write(view.getBigUint64(40, true), Number(words) * 8) ?? new Uint8Array(0),
  });
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
