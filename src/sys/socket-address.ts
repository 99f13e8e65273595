import { AF_UNIX, SOCKADDR_UN } from "../layout/linux.js";
import { ConfigError } from "../memory/config-error.js";

/** Why a socket cannot be had at a path: a closed list. */
export type SocketPathReason =
  | "absent"
  | "refused"
  | "denied"
  | "in-use"
  | "busy"
  | "not-a-socket"
  | "path-empty"
  | "path-too-long";

/** A socket path that cannot be used; `reason` says why, by name. */
export class SocketPathError extends ConfigError {
  readonly reason: SocketPathReason;
  readonly path: string;

  constructor(reason: SocketPathReason, path: string, detail: string) {
    super(`${path}: ${detail}`);
    this.reason = reason;
    this.path = path;
  }
}

/** The longest path in bytes: sun_path without its final NUL. */
export const SOCKET_PATH_BYTES_MAX = SOCKADDR_UN.size - SOCKADDR_UN.offsets.sun_path - 1;

/** The sockaddr_un of a path, with its NUL; throws SocketPathError. */
export function pathAddress(path: string): Buffer {
  const name = Buffer.from(path);
  if (name.length === 0 || name.includes(0)) throw new SocketPathError("path-empty", path, "not a path");
  if (name.length > SOCKET_PATH_BYTES_MAX) {
    const detail = `a socket path has at most ${SOCKET_PATH_BYTES_MAX} bytes, this one has ${name.length}`;
    throw new SocketPathError("path-too-long", path, detail);
  }
  return sockaddr(Buffer.concat([name, Buffer.of(0)]));
}

/** The sockaddr_un of a name in the abstract namespace, which is no file. */
export function abstractAddress(name: string): Buffer {
  const bytes = Buffer.from(name);
  if (bytes.length === 0 || bytes.length > SOCKET_PATH_BYTES_MAX) {
    throw new SocketPathError("path-too-long", `@${name}`, `a name has 1 to ${SOCKET_PATH_BYTES_MAX} bytes`);
  }
  return sockaddr(Buffer.concat([Buffer.of(0), bytes]));
}

function sockaddr(name: Buffer): Buffer {
  const address = Buffer.alloc(SOCKADDR_UN.offsets.sun_path + name.length);
  address.writeUInt16LE(AF_UNIX, SOCKADDR_UN.offsets.sun_family);
  name.copy(address, SOCKADDR_UN.offsets.sun_path);
  return address;
}
