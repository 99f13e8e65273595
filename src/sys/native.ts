import { createRequire } from "node:module";
import { constants } from "node:os";
import type * as Koffi from "koffi";
import { ConfigError } from "../memory/config-error.js";

/** A system call that failed; `code` is its errno by name, such as "EMFILE". */
export class NativeError extends Error {
  override readonly name = "NativeError";
  readonly syscall: string;
  readonly errno: number;
  readonly code: string;

  constructor(syscall: string, errno: number, detail?: string) {
    super(`${syscall}: ${errnoName(errno)}${detail === undefined ? "" : ` (${detail})`}`);
    this.syscall = syscall;
    this.errno = errno;
    this.code = errnoName(errno);
  }
}

/** Loads koffi, or says in one line why this machine cannot run what needs it; throws ConfigError. */
export function loadKoffi(load: () => unknown, { platform, arch }: { platform: string; arch: string }): typeof Koffi {
  if (platform !== "linux" || arch !== "x64") {
    throw new ConfigError(`vhost-user sockets and shared memory need Linux on x86-64, and this is ${platform} ${arch}`);
  }
  try {
    return load() as typeof Koffi;
  } catch (error) {
    const why = (error instanceof Error ? error.message : String(error)).split("\n")[0];
    throw new ConfigError(`vhost-user needs the package koffi, which cannot be loaded here: ${why}`);
  }
}

const koffi = loadKoffi(() => createRequire(import.meta.url)("koffi"), process);
const library = koffi.load(null);

/** Memory that a call reads or writes. */
export type Bytes = Uint8Array;

/** The functions of libc that are used, as C declares them: each returns -1 when it failed; see errno(). */
export const libc = {
  socket: bind<(domain: number, type: number, protocol: number) => number>("int socket(int, int, int)"),
  socketpair: bind<(domain: number, type: number, protocol: number, fds: Int32Array) => number>(
    "int socketpair(int, int, int, void *)",
  ),
  bind: bind<(fd: number, address: Bytes, bytes: number) => number>("int bind(int, void *, uint32_t)"),
  listen: bind<(fd: number, backlog: number) => number>("int listen(int, int)"),
  accept4: bind<(fd: number, address: null, bytes: null, flags: number) => number>(
    "int accept4(int, void *, void *, int)",
  ),
  connect: bind<(fd: number, address: Bytes, bytes: number) => number>("int connect(int, void *, uint32_t)"),
  sendmsg: bind<(fd: number, message: Bytes, flags: number) => number>("intptr_t sendmsg(int, void *, int)"),
  recvmsg: bind<(fd: number, message: Bytes, flags: number) => number>("intptr_t recvmsg(int, void *, int)"),
  sendto: bind<(fd: number, data: Bytes, bytes: number, flags: number, address: Bytes, addressBytes: number) => number>(
    "intptr_t sendto(int, void *, size_t, int, void *, uint32_t)",
  ),
  shutdown: bind<(fd: number, how: number) => number>("int shutdown(int, int)"),
  memfd_create: bind<(name: string, flags: number) => number>("int memfd_create(const char *, uint32_t)"),
  ftruncate: bind<(fd: number, bytes: number) => number>("int ftruncate(int, int64_t)"),
  fcntl: bind<(fd: number, command: number, argument: number) => number>("int fcntl(int, int, intptr_t)"),
  mmap: bind<(at: number, bytes: number, prot: number, flags: number, fd: number, offset: number) => number | bigint>(
    "intptr_t mmap(intptr_t, size_t, int, int, int, int64_t)",
  ),
  munmap: bind<(address: bigint, bytes: number) => number>("int munmap(intptr_t, size_t)"),
  eventfd: bind<(count: number, flags: number) => number>("int eventfd(uint32_t, int)"),
  write: bind<(fd: number, data: Bytes, bytes: number) => number>("intptr_t write(int, void *, size_t)"),
  preadv2: bind<(fd: number, iovecs: Bytes, count: number, offset: number, flags: number) => number>(
    "intptr_t preadv2(int, void *, int, int64_t, int)",
  ),
  poll: bind<(fds: Bytes | null, count: number, timeoutMs: number) => number>("int poll(void *, uint64_t, int)"),
  epoll_create1: bind<(flags: number) => number>("int epoll_create1(int)"),
  epoll_ctl: bind<(epoll: number, command: number, fd: number, event: Bytes | null) => number>(
    "int epoll_ctl(int, int, int, void *)",
  ),
  epoll_wait: bind<(epoll: number, events: Bytes, count: number, timeoutMs: number) => number>(
    "int epoll_wait(int, void *, int, int)",
  ),
  close: bind<(fd: number) => number>("int close(int)"),
  sched_yield: bind<() => number>("int sched_yield()"),
};

/** The errno of the last call of this thread; to be asked for at once. */
export function errno(): number {
  return koffi.errno();
}

/** The result of a call that should not fail; throws NativeError for the last errno when it is negative. */
export function check(syscall: keyof typeof libc, result: number, detail?: string): number {
  if (result < 0) throw new NativeError(syscall, errno(), detail);
  return result;
}

/** Where memory lies; it must be kept alive, by a reference to it, for as long as the address is in use. */
export function addressOf(bytes: Bytes): bigint {
  return koffi.address(bytes);
}

/** The bytes at an address as a buffer; `bytes` is at most 2 GiB, since koffi ends the process beyond 4. */
export function viewAt(address: bigint, bytes: number): ArrayBuffer {
  if (!(bytes > 0 && bytes <= VIEW_BYTES_MAX)) throw new RangeError(`a view has 1 to ${VIEW_BYTES_MAX} bytes`);
  return koffi.view(address, bytes);
}

const VIEW_BYTES_MAX = 0x8000_0000;

function bind<T>(declaration: string): T {
  return library.func(declaration) as unknown as T;
}

function errnoName(errno: number): string {
  for (const [name, value] of Object.entries(constants.errno)) {
    if (value === errno && name !== "EWOULDBLOCK" && name !== "EOPNOTSUPP") return name;
  }
  return `errno ${errno}`;
}
