import { fstatSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { closeAll, type OwnedFd } from "../../src/sys/fd.js";
import { createMemfd } from "../../src/sys/memfd.js";
import { SocketFault, UnixSocket } from "../../src/sys/unix-socket.js";
import { leavesNoDescriptor } from "../helpers/descriptors.js";
import { sendRaw } from "../helpers/raw-message.js";

const WAIT_MS = 5000;

function withPair(use: (near: UnixSocket, far: UnixSocket) => void): void {
  leavesNoDescriptor(() => {
    const [near, far] = UnixSocket.pair();
    try {
      use(near, far);
    } finally {
      near.close();
      far.close();
    }
  });
}

/** Files of 1, 2, 3 … bytes, so that each can be told from the others at the far end. */
function files(count: number): OwnedFd[] {
  return Array.from({ length: count }, (_, i) => createMemfd(`file ${i}`, i + 1));
}

const sizes = (fds: readonly OwnedFd[]) => fds.map((fd) => fstatSync(fd.fd).size);

describe("UnixSocket", () => {
  it.each([0, 1, 8, 32])("carries %s descriptors with its bytes, in their order", (count) => {
    withPair((near, far) => {
      const sent = files(count);
      expect(near.send(Buffer.from("hello"), sent, WAIT_MS)).toBe(5);
      const target = new Uint8Array(16);
      const received = far.receive(target, WAIT_MS);
      expect(received).toMatchObject({ kind: "bytes", bytes: 5 });
      expect(Buffer.from(target.subarray(0, 5)).toString()).toBe("hello");
      expect(sizes(received.fds)).toEqual(sizes(sent));
      closeAll([...sent, ...received.fds]);
    });
  });

  it("gives the descriptors to the read that takes the first byte of their message", () => {
    withPair((near, far) => {
      const sent = files(2);
      near.send(Buffer.from("ab"));
      near.send(Buffer.from("cd"), sent);
      near.send(Buffer.from("ef"));
      const target = new Uint8Array(16);
      const counts = [far.receive(target), far.receive(target), far.receive(target)].map(({ bytes, fds }) => {
        closeAll(fds);
        return [bytes, fds.length];
      });
      // A read ends where descriptors begin or end.
      expect(counts.flat().reduce((sum, n) => sum + n)).toBe(6 + 2);
      expect(counts.filter(([, fds]) => fds === 2)).toHaveLength(1);
      closeAll(sent);
    });
  });

  it.each([33, 34, 64, 253])("closes all of %s descriptors when they are more than 32, and says so", (count) => {
    withPair((near, far) => {
      const sent = files(count);
      sendRaw(
        near.fd,
        Buffer.from("x"),
        sent.map(({ fd }) => fd),
      );
      closeAll(sent);
      expect(() => far.receive(new Uint8Array(4), WAIT_MS)).toThrow(SocketFault);
    });
  });

  it("the twin: descriptors that nobody closes are seen by both counts", () => {
    const [near, far] = UnixSocket.pair();
    const sent = files(1);
    near.send(Buffer.from("x"), sent);
    let received: readonly OwnedFd[] = [];
    const leak = () => {
      received = far.receive(new Uint8Array(4), WAIT_MS).fds;
    };
    expect(() => leavesNoDescriptor(leak)).toThrow();
    closeAll([...sent, ...received]);
    near.close();
    far.close();
  });

  it("names the fault of too many descriptors", () => {
    withPair((near, far) => {
      const sent = files(33);
      sendRaw(
        near.fd,
        Buffer.from("x"),
        sent.map(({ fd }) => fd),
      );
      closeAll(sent);
      expect(() => far.receive(new Uint8Array(4))).toThrow(expect.objectContaining({ reason: "fds-truncated" }));
    });
  });

  it("does not send more than 32 itself", () => {
    withPair((near) => {
      const sent = files(33);
      expect(() => near.send(Buffer.from("x"), sent)).toThrow(/at most 32/);
      closeAll(sent);
    });
  });

  it("marks what it receives to be closed by exec", () => {
    withPair((near, far) => {
      const sent = files(1);
      near.send(Buffer.from("x"), sent);
      const { fds } = far.receive(new Uint8Array(4));
      // O_CLOEXEC in octal, as fdinfo prints flags.
      expect(flagsOf(fds[0]!) & 0o2000000).toBe(0o2000000);
      closeAll([...sent, ...fds]);
    });
  });

  it("tells the end from nothing yet", () => {
    withPair((near, far) => {
      const target = new Uint8Array(4);
      expect(far.receive(target).kind).toBe("nothing");
      expect(far.receive(target, 20).kind).toBe("nothing");
      near.close();
      expect(far.receive(target, WAIT_MS).kind).toBe("end");
      expect(far.receive(target, WAIT_MS).kind).toBe("end");
    });
  });

  it("delivers what was sent before the end", () => {
    withPair((near, far) => {
      near.send(Buffer.from("last"));
      near.close();
      const target = new Uint8Array(8);
      expect(far.receive(target, WAIT_MS)).toMatchObject({ kind: "bytes", bytes: 4 });
      expect(far.receive(target, WAIT_MS).kind).toBe("end");
    });
  });

  it("takes a peer that closed with bytes unread for the end", () => {
    withPair((near, far) => {
      far.send(Buffer.from("unread"));
      near.close();
      expect(far.receive(new Uint8Array(4), WAIT_MS).kind).toBe("end");
    });
  });

  it("says that the peer is gone when it sends", () => {
    withPair((near, far) => {
      far.close();
      expect(() => near.send(Buffer.from("x"))).toThrow(expect.objectContaining({ reason: "peer-gone" }));
    });
  });

  it("sends what fits, returns how much that was, and waits for room no longer than it may", () => {
    withPair((near, far) => {
      const much = Buffer.alloc(4 * 2 ** 20, 7);
      const atOnce = near.send(much);
      expect(atOnce).toBeGreaterThan(0);
      expect(atOnce).toBeLessThan(much.length);
      expect(near.send(much, [], 20)).toBe(0);
      const target = Buffer.alloc(2 ** 20);
      let drained = 0;
      for (let got = far.receive(target); got.kind === "bytes"; got = far.receive(target)) drained += got.bytes;
      expect(drained).toBe(atOnce);
      expect(near.send(Buffer.from("again"))).toBe(5);
    });
  });

  it("ends for both sides with shutdown()", () => {
    withPair((near, far) => {
      near.shutdown();
      expect(near.receive(new Uint8Array(4), WAIT_MS).kind).toBe("end");
      expect(far.receive(new Uint8Array(4), WAIT_MS).kind).toBe("end");
    });
  });

  it("goes on under a new owner", () => {
    withPair((near, far) => {
      const moved = new UnixSocket(near.take());
      expect(near.isOpen).toBe(false);
      moved.send(Buffer.from("x"));
      expect(far.receive(new Uint8Array(4), WAIT_MS).bytes).toBe(1);
      moved.close();
    });
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])("refuses to wait %s ms", (timeoutMs) => {
    withPair((near) => {
      expect(() => near.receive(new Uint8Array(4), timeoutMs)).toThrow(/a wait has an end/);
    });
  });
});

function flagsOf(fd: OwnedFd): number {
  return Number.parseInt(/^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd.fd}`, "latin1"))![1]!, 8);
}
