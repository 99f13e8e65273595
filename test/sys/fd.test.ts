import { closeSync, fstatSync, openSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { closeAll, OwnedFd } from "../../src/sys/fd.js";
import { leavesNoDescriptor } from "../helpers/descriptors.js";

const open = () => new OwnedFd(openSync("/dev/null", "r"));

describe("OwnedFd", () => {
  it("closes its descriptor once: the second close() does not hit whoever got the number since", () => {
    const first = open();
    const number = first.fd;
    first.close();
    const second = open();
    expect(second.fd).toBe(number);
    first.close();
    expect(fstatSync(number).isCharacterDevice()).toBe(true);
    second.close();
  });

  it("is not closed by whoever gave it away", () => {
    const owner = open();
    const number = owner.take();
    owner.close();
    expect(fstatSync(number).isCharacterDevice()).toBe(true);
    closeSync(number);
  });

  it("moves to a new owner, and cannot be used by the old one", () => {
    const old = open();
    const owner = old.move();
    expect(old.isOpen).toBe(false);
    expect(() => old.fd).toThrow(/closed or taken/);
    expect(owner.isOpen).toBe(true);
    owner.close();
    expect(() => owner.take()).toThrow(/closed or taken/);
  });

  it("counts those that are open", () => {
    const before = OwnedFd.openCount;
    const fds = [open(), open(), open()];
    expect(OwnedFd.openCount).toBe(before + 3);
    const taken = fds[0]!.take();
    expect(OwnedFd.openCount).toBe(before + 2);
    closeAll(fds);
    expect(OwnedFd.openCount).toBe(before);
    closeSync(taken);
  });

  it("dup() makes one that outlives it", () => {
    leavesNoDescriptor(() => {
      const first = open();
      const second = first.dup();
      first.close();
      expect(fstatSync(second.fd).isCharacterDevice()).toBe(true);
      second[Symbol.dispose]();
    });
  });

  it.each([-1, 1.5, Number.NaN])("is never %s", (fd) => {
    expect(() => new OwnedFd(fd)).toThrow(/not negative/);
  });
});
