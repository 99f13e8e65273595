import { chmodSync, existsSync, mkdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AF_UNIX, SOCK_STREAM } from "../../src/layout/linux.js";
import { ConfigError } from "../../src/memory/config-error.js";
import { OwnedFd } from "../../src/sys/fd.js";
import { check, libc } from "../../src/sys/native.js";
import { pathAddress, SOCKET_PATH_BYTES_MAX, type SocketPathReason } from "../../src/sys/socket-address.js";
import { UnixListener } from "../../src/sys/unix-listener.js";
import { UnixSocket } from "../../src/sys/unix-socket.js";
import { leavesNoDescriptor, withFolder } from "../helpers/descriptors.js";

const WAIT_MS = 5000;

const inFolder = (use: (path: string, folder: string) => void) =>
  withFolder((folder) => leavesNoDescriptor(() => use(join(folder, "socket"), folder)));

function refused(run: () => unknown, reason: SocketPathReason): void {
  expect(run).toThrow(ConfigError);
  expect(run).toThrow(expect.objectContaining({ reason, message: expect.stringMatching(/^[^\n]+$/) }));
}

/** Leaves a socket file at which nobody answers, as a process that was killed does. */
function leaveStale(path: string): void {
  const fd = new OwnedFd(check("socket", libc.socket(AF_UNIX, SOCK_STREAM, 0)));
  const address = pathAddress(path);
  check("bind", libc.bind(fd.fd, address, address.length));
  check("listen", libc.listen(fd.fd, 1));
  fd.close();
}

describe("UnixListener", () => {
  it("accepts who connects, in both directions", () => {
    inFolder((path) => {
      const listener = UnixListener.listen(path);
      expect(listener.accept()).toBeUndefined();
      expect(listener.accept(10)).toBeUndefined();
      const near = UnixSocket.connect(path, WAIT_MS);
      const far = listener.accept(WAIT_MS)!;
      near.send(Buffer.from("a"));
      far.send(Buffer.from("bc"));
      expect(far.receive(new Uint8Array(4), WAIT_MS).bytes).toBe(1);
      expect(near.receive(new Uint8Array(4), WAIT_MS).bytes).toBe(2);
      for (const each of [near, far, listener]) each.close();
    });
  });

  it("gives its file the mode it was told, and only this user when told none", () => {
    inFolder((path) => {
      const secret = UnixListener.listen(path);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      secret.close();
      const open = UnixListener.listen(path, { mode: 0o666 });
      expect(statSync(path).mode & 0o777).toBe(0o666);
      open.close();
    });
  });

  it("replaces a socket file at which nobody answers", () => {
    inFolder((path) => {
      leaveStale(path);
      refused(() => UnixSocket.connect(path, 0), "refused");
      const listener = UnixListener.listen(path);
      UnixSocket.connect(path, WAIT_MS).close();
      listener.close();
    });
  });

  it("refuses a path at which somebody listens, and leaves that one as it is", () => {
    inFolder((path) => {
      const first = UnixListener.listen(path);
      refused(() => UnixListener.listen(path), "in-use");
      UnixSocket.connect(path, WAIT_MS).close();
      first.close();
    });
  });

  it("refuses one whose queue is full as well: it is in use", () => {
    inFolder((path) => {
      const first = UnixListener.listen(path, { backlog: 1 });
      const waiting = [UnixSocket.connect(path, 0), UnixSocket.connect(path, 0)];
      refused(() => UnixSocket.connect(path, 20), "busy");
      refused(() => UnixListener.listen(path), "in-use");
      for (const each of [...waiting, first]) each.close();
    });
  });

  it("refuses a path where something else is, and leaves it there", () => {
    inFolder((path, folder) => {
      writeFileSync(path, "dear file");
      refused(() => UnixListener.listen(path), "not-a-socket");
      refused(() => UnixListener.listen(folder), "not-a-socket");
      expect(statSync(path).size).toBe(9);
    });
  });

  it("removes its file when it closes", () => {
    inFolder((path) => {
      const listener = UnixListener.listen(path);
      listener.close();
      listener[Symbol.dispose]();
      expect(existsSync(path)).toBe(false);
      refused(() => UnixSocket.connect(path, 0), "absent");
    });
  });

  it("leaves a file that is no longer its own", () => {
    inFolder((path) => {
      const first = UnixListener.listen(path);
      renameSync(path, `${path}.old`);
      const second = UnixListener.listen(path);
      first.close();
      UnixSocket.connect(path, WAIT_MS).close();
      second.close();
      expect(existsSync(path)).toBe(false);
    });
  });

  it.each([SOCKET_PATH_BYTES_MAX, SOCKET_PATH_BYTES_MAX + 1, 4000])("knows whether %s bytes are too long", (bytes) => {
    withFolder((folder) => {
      const path = join(folder, "x".repeat(bytes - folder.length - 1));
      if (bytes <= SOCKET_PATH_BYTES_MAX) {
        const listener = UnixListener.listen(path);
        UnixSocket.connect(path, WAIT_MS).close();
        listener.close();
      } else {
        refused(() => UnixListener.listen(path), "path-too-long");
        refused(() => UnixSocket.connect(path, 0), "path-too-long");
      }
    });
  });

  it("counts bytes, not characters", () => {
    withFolder((folder) => refused(() => UnixListener.listen(join(folder, "é".repeat(60))), "path-too-long"));
  });

  it.each(["", "a\0b"])("refuses %j, which is no path", (path) => {
    refused(() => UnixListener.listen(path), "path-empty");
    refused(() => UnixSocket.connect(path, 0), "path-empty");
  });

  it("names a folder that is not there", () => {
    inFolder((path) => refused(() => UnixListener.listen(join(path, "deeper")), "absent"));
  });

  it("names a lack of permission", () => {
    inFolder((path, folder) => {
      const locked = join(folder, "locked");
      mkdirSync(locked);
      const listener = UnixListener.listen(path);
      chmodSync(path, 0o000);
      chmodSync(locked, 0o000);
      asNobody(() => {
        refused(() => UnixListener.listen(join(locked, "socket")), "denied");
        refused(() => UnixSocket.connect(join(locked, "socket"), 0), "denied");
        refused(() => UnixSocket.connect(path, 0), "denied");
        refused(() => UnixListener.listen(path), "denied");
      });
      listener.close();
    });
  });
});

/** Root may do everything: it becomes another user meanwhile. */
function asNobody(run: () => void): void {
  const own = process.geteuid!();
  if (own === 0) process.seteuid!(65_534);
  try {
    run();
  } finally {
    if (own === 0) process.seteuid!(own);
  }
}
