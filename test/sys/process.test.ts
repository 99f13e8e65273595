import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM } from "../../src/layout/linux.js";
import { OwnedFd } from "../../src/sys/fd.js";
import { check, libc } from "../../src/sys/native.js";
import { notifyServiceManager, openFdCount } from "../../src/sys/process.js";
import { abstractAddress, pathAddress } from "../../src/sys/socket-address.js";
import { UnixSocket } from "../../src/sys/unix-socket.js";
import { leavesNoDescriptor, withFolder } from "../helpers/descriptors.js";

/** Notifies whoever is bound to an address; returns what came. */
function heard(address: Buffer, name: string): string {
  let said = "";
  leavesNoDescriptor(() => {
    const fd = new OwnedFd(check("socket", libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
    check("bind", libc.bind(fd.fd, address, address.length));
    const manager = new UnixSocket(fd);
    expect(notifyServiceManager("READY=1", name)).toBe(true);
    const target = Buffer.alloc(64);
    const { bytes } = manager.receive(target, 1000);
    said = target.toString("utf8", 0, bytes);
    manager.close();
  });
  return said;
}

describe("notifyServiceManager()", () => {
  it("reaches a manager at a path", () => {
    withFolder((folder) => {
      const path = join(folder, "notify");
      expect(heard(pathAddress(path), path)).toBe("READY=1");
    });
  });

  it("reaches a manager with an abstract name", () => {
    const name = `shadowvq-test-${process.pid}`;
    expect(heard(abstractAddress(name), `@${name}`)).toBe("READY=1");
  });

  it("does nothing without a manager", () => {
    expect(notifyServiceManager("READY=1", "")).toBe(false);
  });

  it("names what is wrong with the address", () => {
    const say = (name: string) => () => notifyServiceManager("READY=1", name);
    expect(say("/no/such/socket")).toThrow(expect.objectContaining({ syscall: "sendto", code: "ENOENT" }));
    expect(say("@")).toThrow(expect.objectContaining({ reason: "path-too-long" }));
  });
});

it("openFdCount() counts what anybody opened", () => {
  const before = openFdCount();
  const fd = openSync("/dev/null", "r");
  expect(openFdCount()).toBe(before + 1);
  closeSync(fd);
  expect(openFdCount()).toBe(before);
});
