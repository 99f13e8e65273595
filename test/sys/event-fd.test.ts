import { openSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { EFD_CLOEXEC, F_SETFL } from "../../src/layout/linux.js";
import { EventFdFault, EventFdNotifier } from "../../src/sys/event-fd.js";
import { OwnedFd } from "../../src/sys/fd.js";
import { check, libc } from "../../src/sys/native.js";
import { UnixSocket } from "../../src/sys/unix-socket.js";
import { leavesNoDescriptor } from "../helpers/descriptors.js";

// As in sys/eventfd.h; nothing of ours makes one of these.
const EFD_SEMAPHORE = 1;

const eventfd = (flags: number) => new OwnedFd(check("eventfd", libc.eventfd(0, flags | EFD_CLOEXEC)));

describe("EventFdNotifier", () => {
  it("keeps what is signalled until it is taken, however often it was", () => {
    const event = EventFdNotifier.create();
    expect(event.take()).toBe(false);
    event.signal();
    event.signal();
    expect(event.take()).toBe(true);
    expect(event.take()).toBe(false);
    event.close();
  });

  it("is the same for whoever got its descriptor", () => {
    leavesNoDescriptor(() => {
      const near = EventFdNotifier.create();
      const far = EventFdNotifier.received(near.owned.dup());
      near.signal();
      expect(far.take()).toBe(true);
      expect(near.take()).toBe(false);
      near.close();
      far.close();
    });
  });

  it("loses nothing when its waiter changes: attach() signals", () => {
    const event = EventFdNotifier.create();
    event.detach();
    event.attach(3);
    expect(event.take()).toBe(true);
    event.close();
  });

  it("makes what it receives non-blocking", () => {
    const event = EventFdNotifier.received(eventfd(0));
    const full = Buffer.alloc(8);
    full.writeBigUInt64LE(2n ** 64n - 2n);
    expect(libc.write(event.fd, full, 8)).toBe(8);
    // The counter is full: a write that blocks would hang here.
    event.signal();
    expect(event.take()).toBe(true);
    event.close();
  });

  it("does not block in take() even when the peer makes it blocking again", () => {
    const event = EventFdNotifier.create();
    check("fcntl", libc.fcntl(event.fd, F_SETFL, 0));
    expect(event.take()).toBe(false);
    event.close();
  });

  it.each([
    ["a socket", () => UnixSocket.pair().map((end) => end.take())],
    ["a device", () => [new OwnedFd(openSync("/dev/null", "r+"))]],
    ["a file", () => [new OwnedFd(openSync("/proc/self/status", "r"))]],
    ["one that counts down by 1", () => [eventfd(EFD_SEMAPHORE)]],
  ])("refuses, and closes, %s", (_, make) => {
    leavesNoDescriptor(() => {
      for (const fd of make()) {
        expect(() => EventFdNotifier.received(fd)).toThrow(EventFdFault);
        expect(fd.isOpen).toBe(false);
      }
    });
  });

  it("fails by name once it is closed, and hits no other descriptor", () => {
    const event = EventFdNotifier.create();
    event.close();
    event[Symbol.dispose]();
    expect(() => event.signal()).toThrow(expect.objectContaining({ code: "EBADF" }));
    expect(() => event.take()).toThrow(expect.objectContaining({ code: "EBADF" }));
  });
});
