import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { EPOLLHUP, EPOLLIN, EPOLLOUT } from "../../src/layout/linux.js";
import { EventFdNotifier } from "../../src/sys/event-fd.js";
import { OwnedFd } from "../../src/sys/fd.js";
import { Poller } from "../../src/sys/poller.js";
import { UnixSocket } from "../../src/sys/unix-socket.js";
import { leavesNoDescriptor } from "../helpers/descriptors.js";

const WAIT_MS = 5000;

function withPoller(use: (poller: Poller) => void): void {
  leavesNoDescriptor(() => {
    const poller = new Poller();
    try {
      use(poller);
    } finally {
      poller.close();
    }
  });
}

const reported = (poller: Poller, timeoutMs: number) =>
  [...poller.tokens.subarray(0, poller.wait(timeoutMs))].sort((a, b) => a - b);

describe("Poller", () => {
  it("reports an eventfd and a socket by their tokens, each for as long as it is not taken", () => {
    withPoller((poller) => {
      const event = EventFdNotifier.create();
      const [near, far] = UnixSocket.pair();
      poller.add(event.fd, 7);
      poller.add(far.fd, 0xffff_ffff);
      expect(reported(poller, 0)).toEqual([]);
      event.signal();
      expect(reported(poller, WAIT_MS)).toEqual([7]);
      near.send(Buffer.from("x"));
      expect(reported(poller, WAIT_MS)).toEqual([7, 0xffff_ffff]);
      expect(reported(poller, WAIT_MS)).toEqual([7, 0xffff_ffff]);
      event.take();
      far.receive(new Uint8Array(4));
      expect(reported(poller, 0)).toEqual([]);
      for (const each of [event, near, far]) each.close();
    });
  });

  it("says what is there: bytes, room, the end", () => {
    withPoller((poller) => {
      const [near, far] = UnixSocket.pair();
      poller.add(far.fd, 1, EPOLLIN | EPOLLOUT);
      expect(poller.wait(WAIT_MS)).toBe(1);
      expect(poller.events[0]).toBe(EPOLLOUT);
      poller.modify(far.fd, 2, EPOLLIN);
      expect(poller.wait(0)).toBe(0);
      near.close();
      expect(poller.wait(WAIT_MS)).toBe(1);
      expect(poller.tokens[0]).toBe(2);
      expect(poller.events[0]! & (EPOLLIN | EPOLLHUP)).toBe(EPOLLIN | EPOLLHUP);
      far.close();
    });
  });

  it("reports nothing of what was removed", () => {
    withPoller((poller) => {
      const event = EventFdNotifier.create();
      poller.add(event.fd, 1);
      event.signal();
      poller.remove(event.fd);
      expect(poller.wait(0)).toBe(0);
      expect(() => poller.remove(event.fd)).toThrow(expect.objectContaining({ code: "ENOENT" }));
      event.close();
    });
  });

  it("reports each of 150 in turn, 64 at a time", () => {
    withPoller((poller) => {
      const events = Array.from({ length: 150 }, () => EventFdNotifier.create());
      events.forEach((event, token) => {
        poller.add(event.fd, token);
        event.signal();
      });
      const seen = new Set<number>();
      // What was reported goes to the end of the kernel's list: three waits see all, though none is taken.
      for (let i = 0; i < 3; i++) for (const token of reported(poller, WAIT_MS)) seen.add(token);
      expect(seen.size).toBe(150);
      for (const event of events) event.close();
    });
  });

  it("names what cannot be watched", () => {
    withPoller((poller) => {
      const event = EventFdNotifier.create();
      poller.add(event.fd, 1);
      expect(() => poller.add(event.fd, 2)).toThrow(expect.objectContaining({ code: "EEXIST" }));
      const file = new OwnedFd(openSync("/proc/self/exe", "r"));
      expect(() => poller.add(file.fd, 3)).toThrow(expect.objectContaining({ code: "EPERM" }));
      expect(() => poller.add(event.fd, -1)).toThrow(/u32/);
      for (const each of [event, file]) each.close();
    });
  });

  it("waits its time though a signal interrupts it", () => {
    const ignore = () => {};
    process.on("SIGUSR2", ignore);
    const child = spawn("sh", ["-c", `for i in 1 2 3; do sleep 0.05; kill -USR2 ${process.pid}; done`]);
    const poller = new Poller();
    const start = performance.now();
    expect(poller.wait(400)).toBe(0);
    expect(performance.now() - start).toBeGreaterThanOrEqual(399);
    poller.close();
    return new Promise<void>((resolve) => {
      child.on("exit", () => {
        process.off("SIGUSR2", ignore);
        resolve();
      });
    });
  });

  it.each([-1, Number.NaN, 2 ** 31])("refuses to wait %s ms", (timeoutMs) => {
    withPoller((poller) => {
      expect(() => poller.wait(timeoutMs)).toThrow(/a wait has an end/);
    });
  });
});
