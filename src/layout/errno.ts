/**
 * Error numbers as in asm-generic/errno.h: what trackers and VFIO ioctls answer, spelled as in the header.
 *
 * A call that can fail returns 0 (or another value that is not negative), or a negative int32; never a string, so that
 * it crosses a thread or a socket as it is.
 */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENOTTY: 25,
  ENOSPC: 28,
  ESPIPE: 29,
  EDEADLOCK: 35,
  ENOMSG: 42,
  EOVERFLOW: 75,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ENOTCONN: 107,
} as const;

/** The name of an error number. */
export type ErrnoName = keyof typeof ERRNO;

/** What a call answers that gives nothing else: 0, or a negative error number. */
export type ErrnoResult = number;

/** What a call answers to fail: the negative number of `name`. */
export function errno(name: ErrnoName): ErrnoResult {
  return -ERRNO[name];
}

/** The name behind a negative answer; undefined for one that is no failure, "errno N" for a number not listed. */
export function errnoName(result: ErrnoResult): string | undefined {
  if (result >= 0) return undefined;
  const found = Object.entries(ERRNO).find(([, number]) => number === -result);
  return found?.[0] ?? `errno ${-result}`;
}
