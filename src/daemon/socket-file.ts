import { closeSync, constants, linkSync, lstatSync, openSync, type Stats, unlinkSync } from "node:fs";
import { connect, type Server } from "node:net";
import { basename, dirname } from "node:path";
import { UsageError } from "../report/exit-codes.js";

/** Milliseconds that a live listener has to take a connection. */
const PROBE_MS = 1000;
/** Names bound by this process. */
let boundCount = 0;

/** The file of a Unix socket, known by what it is and not only by its name. */
export class SocketFile {
  readonly path: string;
  readonly #ino: number;
  readonly #dev: number;

  private constructor(path: string, { ino, dev }: Stats) {
    this.path = path;
    this.#ino = ino;
    this.#dev = dev;
  }

  /** The socket that lies at a path; undefined when none does, or nobody may look. */
  static at(path: string): SocketFile | undefined {
    const stat = statOf(path);
    return stat?.isSocket() === true ? new SocketFile(path, stat) : undefined;
  }

  /** Removes the file if it is still the same one; never throws. */
  remove(): void {
    try {
      const { ino, dev } = lstatSync(this.path);
      if (ino === this.#ino && dev === this.#dev) unlinkSync(this.path);
    } catch {
      // It is gone already.
    }
  }
}

/**
 * Lets a server listen at a path, mode 0600; a stale socket there is replaced.
 *
 * The server binds another name first, since libuv removes the name it bound at the end, whoever has it by then; and
 * the mode is right before the path exists. Throws UsageError that names the path: in use, no socket, no permission.
 */
export async function listenAt(server: Server, path: string): Promise<SocketFile> {
  await clearStale(path);
  let folder: number | undefined;
  try {
    folder = openSync(dirname(path), constants.O_DIRECTORY);
    // Through the folder's descriptor, so that the name fits whatever the length of the path.
    const bound = `/proc/self/fd/${folder}/.svq-${process.pid}-${++boundCount}`;
    await listening(server, bound);
    try {
      linkSync(bound, path);
    } finally {
      unlinkSync(bound);
    }
    return SocketFile.at(path)!;
  } catch (error) {
    throw new UsageError(`cannot listen on ${path}: ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
}

/** Removes a socket on which nobody listens any more; leaves everything else alone, and never throws. */
export async function removeStale(path: string): Promise<void> {
  const file = SocketFile.at(path);
  if (file !== undefined && (await probe(path)) === "ECONNREFUSED") file.remove();
}

async function clearStale(path: string): Promise<void> {
  let stat: Stats | undefined;
  try {
    stat = lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw new UsageError(`cannot listen on ${path}: ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  }
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new UsageError(`cannot listen on ${path}: there is a file that is no socket`);
  const file = SocketFile.at(path);
  const answer = await probe(path);
  if (answer !== "ECONNREFUSED" && answer !== "ENOENT") {
    const why = answer === "EACCES" ? "no permission for the socket there" : "somebody listens there";
    throw new UsageError(`cannot listen on ${path}: ${why}`);
  }
  file?.remove();
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** Connects and leaves: the code of the error, or undefined when somebody took the connection. */
function probe(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const done = (code?: string) => {
      socket.destroy();
      resolve(code);
    };
    socket.setTimeout(PROBE_MS, done);
    socket.on("connect", () => done());
    socket.on("error", (error: NodeJS.ErrnoException) => done(error.code));
  });
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // A Unix socket is bound within this call, which is all that the mask is changed for.
    const before = process.umask(0o177);
    server.listen({ path }, () => {
      server.off("error", reject);
      resolve();
    });
    process.umask(before);
  });
}

/** Bytes of the longest path that fits a Unix socket's address, without its final zero. */
const SOCKET_PATH_BYTES_MAX = 107;

/** Refuses a path that no Unix socket can have; throws UsageError with the option's name. */
export function checkSocketPath(option: string, path: string): void {
  const bytes = Buffer.byteLength(path);
  if (path === "" || path.includes("\0") || ["", ".", "..", "/"].includes(basename(path)) || path.endsWith("/")) {
    throw new UsageError(`${option}: ${JSON.stringify(path)} is no path of a socket`);
  }
  if (bytes > SOCKET_PATH_BYTES_MAX) {
    throw new UsageError(`${option}: ${path} has ${bytes} bytes: at most ${SOCKET_PATH_BYTES_MAX}`);
  }
}
