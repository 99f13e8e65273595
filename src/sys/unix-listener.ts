import { chmodSync, lstatSync, type Stats, unlinkSync } from "node:fs";
import { constants } from "node:os";
import { AF_UNIX, POLLIN, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from "../layout/linux.js";
import { Deadline, waitFor } from "./deadline.js";
import { OwnedFd } from "./fd.js";
import { check, errno, libc, NativeError } from "./native.js";
import { pathAddress, SocketPathError } from "./socket-address.js";
import { UnixSocket } from "./unix-socket.js";

const { EACCES, EADDRINUSE, EAGAIN, ECONNABORTED, EINTR, ENOENT, ENOTDIR, EPERM, EROFS } = constants.errno;

const STREAM = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

/** How a listener is made. */
export interface ListenOptions {
  /** Permission bits of the socket file; 0o600 when absent: only this user may connect. */
  readonly mode?: number;
  /** Connections that may wait to be accepted; 16 when absent. */
  readonly backlog?: number;
}

/** A socket file at which peers connect. */
export class UnixListener {
  readonly path: string;
  readonly #fd: OwnedFd;
  readonly #file: Stats;

  private constructor(path: string, fd: OwnedFd, file: Stats) {
    this.path = path;
    this.#fd = fd;
    this.#file = file;
  }

  /**
   * Listens at a path; replaces a socket file at which nobody answers, and refuses one at which somebody does.
   *
   * Throws SocketPathError (in-use, not-a-socket, denied, absent for its folder, path-too-long) and NativeError.
   */
  static listen(path: string, { mode = 0o600, backlog = 16 }: ListenOptions = {}): UnixListener {
    const address = pathAddress(path);
    const fd = new OwnedFd(check("socket", libc.socket(AF_UNIX, STREAM, 0)));
    let file: Stats | undefined;
    try {
      bindOrReplace(fd.fd, address, path);
      file = lstatSync(path);
      // Before listen(): until then nobody can connect, whatever the umask allowed.
      chmodSync(path, mode);
      check("listen", libc.listen(fd.fd, backlog), path);
      return new UnixListener(path, fd, file);
    } catch (error) {
      if (file !== undefined) removeIfSame(path, file);
      fd.close();
      throw error;
    }
  }

  /** The bare descriptor, for a Poller. */
  get fd(): number {
    return this.#fd.fd;
  }

  /**
   * Takes the next connection; undefined when none came before `timeoutMs` passed; 0 ms does not wait.
   *
   * Throws NativeError. After EMFILE the connection is still waiting, and a Poller goes on reporting it.
   */
  accept(timeoutMs = 0): UnixSocket | undefined {
    const deadline = new Deadline(timeoutMs);
    for (;;) {
      const fd = libc.accept4(this.fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) return new UnixSocket(new OwnedFd(fd));
      const error = errno();
      if (error === EINTR || error === ECONNABORTED) continue;
      if (error !== EAGAIN) throw new NativeError("accept4", error, this.path);
      if (deadline.leftMs === 0 || !waitFor(this.fd, POLLIN, deadline)) return undefined;
    }
  }

  /** Closes it and removes the socket file, if that is still the one it made. */
  close(): void {
    if (!this.#fd.isOpen) return;
    // First the file, so that nobody finds one at which nobody answers.
    removeIfSame(this.path, this.#file);
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function bindOrReplace(fd: number, address: Buffer, path: string): void {
  if (libc.bind(fd, address, address.length) === 0) return;
  if (errno() !== EADDRINUSE) throw bindError(errno(), path);
  removeStale(path);
  if (libc.bind(fd, address, address.length) === 0) return;
  throw bindError(errno(), path);
}

/** Removes a socket file at which nobody answers; throws SocketPathError for any other. */
function removeStale(path: string): void {
  const file = lstatSync(path, { throwIfNoEntry: false });
  if (file === undefined) return;
  if (!file.isSocket()) throw new SocketPathError("not-a-socket", path, "exists and is no socket");
  try {
    UnixSocket.connect(path, 0).close();
  } catch (error) {
    if (!(error instanceof SocketPathError)) throw error;
    if (error.reason === "absent") return;
    if (error.reason === "denied") throw error;
    if (error.reason === "refused") {
      removeIfSame(path, file);
      return;
    }
  }
  throw new SocketPathError("in-use", path, "somebody listens at this socket already");
}

function removeIfSame(path: string, file: Stats): void {
  const now = lstatSync(path, { throwIfNoEntry: false });
  if (now === undefined || now.ino !== file.ino || now.dev !== file.dev) return;
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function bindError(error: number, path: string): Error {
  if (error === EADDRINUSE) return new SocketPathError("in-use", path, "somebody else took this path meanwhile");
  if (error === ENOENT || error === ENOTDIR) return new SocketPathError("absent", path, "its folder does not exist");
  if (error === EACCES || error === EPERM || error === EROFS) {
    return new SocketPathError("denied", path, "no permission to make a socket here");
  }
  return new NativeError("bind", error, path);
}
