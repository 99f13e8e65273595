import { constants } from "node:os";
import {
  AF_UNIX,
  MSG_CMSG_CLOEXEC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  POLLIN,
  POLLOUT,
  SHUT_RDWR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from "../layout/linux.js";
import { assert } from "../memory/assert.js";
import { Deadline, nap, waitFor } from "./deadline.js";
import { closeAll, OwnedFd } from "./fd.js";
import { MESSAGE_FDS_MAX, messageToReceive, messageToSend, receivedFds } from "./message.js";
import { check, errno, libc, NativeError } from "./native.js";
import { pathAddress, SocketPathError } from "./socket-address.js";

const { EAGAIN, ECONNREFUSED, ECONNRESET, EACCES, EINTR, EMFILE, ENOENT, ENOTDIR, ENOTSOCK, EPERM, EPIPE, EPROTOTYPE } =
  constants.errno;

const STREAM = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
const NAP_MS = 5;

/** What a peer can do wrong on a socket, by name: a closed list. */
export type SocketFaultReason = "fds-truncated" | "peer-gone";

/** Thrown where a peer's message cannot be taken, or no longer be sent; the connection is of no more use. */
export class SocketFault extends Error {
  override readonly name = "SocketFault";
  readonly reason: SocketFaultReason;

  constructor(reason: SocketFaultReason, detail: string) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
  }
}

/** What a receive found; "nothing" when the time passed first, "end" when the peer is gone. */
export type Received =
  | { readonly kind: "bytes"; readonly bytes: number; readonly fds: OwnedFd[] }
  | { readonly kind: "end" | "nothing"; readonly bytes: 0; readonly fds: OwnedFd[] };

/** A connected stream socket: bytes, and descriptors with them. */
export class UnixSocket {
  readonly #fd: OwnedFd;

  /** Becomes the owner of a connected socket. */
  constructor(fd: OwnedFd) {
    this.#fd = fd;
  }

  /** Two that are connected with each other. */
  static pair(): [UnixSocket, UnixSocket] {
    const fds = new Int32Array(2);
    check("socketpair", libc.socketpair(AF_UNIX, STREAM, 0, fds));
    return [new UnixSocket(new OwnedFd(fds[0]!)), new UnixSocket(new OwnedFd(fds[1]!))];
  }

  /** Connects to whoever listens at a path; throws SocketPathError (absent, refused, denied, busy …), NativeError. */
  static connect(path: string, timeoutMs: number): UnixSocket {
    const address = pathAddress(path);
    const deadline = new Deadline(timeoutMs);
    const fd = new OwnedFd(check("socket", libc.socket(AF_UNIX, STREAM, 0)));
    try {
      while (libc.connect(fd.fd, address, address.length) < 0) {
        const error = errno();
        if (error !== EAGAIN && error !== EINTR) throw connectError(error, path);
        // The listener's queue is full, and nothing tells when it has room.
        if (!nap(NAP_MS, deadline)) throw new SocketPathError("busy", path, "its queue of connections stays full");
      }
      return new UnixSocket(fd);
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** The bare descriptor, for a Poller. */
  get fd(): number {
    return this.#fd.fd;
  }

  /** Whether it has not been closed. */
  get isOpen(): boolean {
    return this.#fd.isOpen;
  }

  /**
   * Sends all of `bytes`, not none, with up to 32 descriptors, which go with the first byte and stay the caller's.
   *
   * Returns how many bytes were taken: fewer, or 0, when `timeoutMs` passed first; 0 ms does not wait. Throws
   * SocketFault ("peer-gone") and NativeError.
   */
  send(bytes: Uint8Array, fds: readonly OwnedFd[] = [], timeoutMs = 0): number {
    assert(bytes.length > 0, "descriptors travel with at least one byte");
    const deadline = new Deadline(timeoutMs);
    let sent = 0;
    while (sent < bytes.length) {
      const message = sent === 0 ? messageToSend(bytes, fds) : messageToSend(bytes.subarray(sent), []);
      const result = libc.sendmsg(this.fd, message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (result >= 0) sent += result;
      else if (!this.#mayRetry("sendmsg", POLLOUT, deadline)) break;
    }
    return sent;
  }

  /**
   * Receives what is there, up to `target.length` bytes and 32 descriptors, which are the caller's from then on.
   *
   * Waits for the first byte until `timeoutMs` passed; 0 ms does not wait. Throws SocketFault ("fds-truncated", with
   * all that came closed) and NativeError (EMFILE, likewise, when this process has no room for them).
   */
  receive(target: Uint8Array, timeoutMs = 0): Received {
    assert(target.length > 0, "there is room for at least one byte");
    const deadline = new Deadline(timeoutMs);
    for (;;) {
      const message = messageToReceive(target);
      const result = libc.recvmsg(this.fd, message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
      if (result > 0) return { kind: "bytes", bytes: result, fds: takeFds() };
      if (result === 0 || errno() === ECONNRESET) return { kind: "end", bytes: 0, fds: [] };
      if (!this.#mayRetry("recvmsg", POLLIN, deadline)) return { kind: "nothing", bytes: 0, fds: [] };
    }
  }

  /** Ends the connection for both sides, also for whoever else has this socket; it still has to be closed. */
  shutdown(): void {
    libc.shutdown(this.fd, SHUT_RDWR);
  }

  /** Gives the descriptor away, for example to another thread; this object is closed then. */
  take(): OwnedFd {
    return this.#fd.move();
  }

  /** Closes it; nothing happens the second time. */
  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** After a failed call: true when it is worth another try, false when the time has passed. */
  #mayRetry(syscall: "sendmsg" | "recvmsg", events: number, deadline: Deadline): boolean {
    const error = errno();
    if (error === EINTR) return true;
    if (error === EPIPE || error === ECONNRESET) throw new SocketFault("peer-gone", "the connection was closed");
    if (error !== EAGAIN) throw new NativeError(syscall, error);
    return deadline.leftMs > 0 && waitFor(this.fd, events, deadline);
  }
}

/** The descriptors of the last message, unless some were lost: then none. */
function takeFds(): OwnedFd[] {
  const { fds, truncated } = receivedFds();
  if (!truncated) return fds;
  const arrived = fds.length;
  closeAll(fds);
  // The kernel stops early only when it cannot install one more.
  if (arrived < MESSAGE_FDS_MAX) throw new NativeError("recvmsg", EMFILE, `${arrived} descriptors fitted in`);
  throw new SocketFault("fds-truncated", `a message brought more than ${MESSAGE_FDS_MAX} descriptors`);
}

function connectError(error: number, path: string): Error {
  if (error === ENOENT || error === ENOTDIR) return new SocketPathError("absent", path, "there is no such socket");
  if (error === ECONNREFUSED) return new SocketPathError("refused", path, "nobody listens at this socket");
  if (error === EACCES || error === EPERM) return new SocketPathError("denied", path, "permission denied");
  if (error === ENOTSOCK || error === EPROTOTYPE) {
    return new SocketPathError("not-a-socket", path, "is no stream socket");
  }
  return new NativeError("connect", error, path);
}
