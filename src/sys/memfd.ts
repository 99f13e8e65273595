import {
  F_ADD_SEALS,
  F_GET_SEALS,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
} from "../layout/linux.js";
import { assert } from "../memory/assert.js";
import { OwnedFd } from "./fd.js";
import { check, libc } from "./native.js";

/** How a memfd is made. */
export interface MemfdOptions {
  /** Whether its size is fixed for good; true when absent. A peer that could shorten it could end this process. */
  readonly sealed?: boolean;
}

/** Makes a file in memory of `bytes` zeros, closed by exec; `name` is for /proc only. Throws NativeError. */
export function createMemfd(name: string, bytes: number, { sealed = true }: MemfdOptions = {}): OwnedFd {
  assert(Number.isSafeInteger(bytes) && bytes > 0, "a memfd has at least one byte");
  const fd = new OwnedFd(check("memfd_create", libc.memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), name));
  try {
    check("ftruncate", libc.ftruncate(fd.fd, bytes), `${bytes} bytes`);
    if (sealed) check("fcntl", libc.fcntl(fd.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

/** Whether a file can no longer become shorter, so that touching a mapping of it cannot raise SIGBUS. */
export function isShrinkSealed(fd: OwnedFd): boolean {
  const seals = libc.fcntl(fd.fd, F_GET_SEALS, 0);
  return seals >= 0 && (seals & F_SEAL_SHRINK) !== 0;
}
