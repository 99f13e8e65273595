import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/memory/config-error.js";
import { check, libc, loadKoffi, NativeError, viewAt } from "../../src/sys/native.js";

const HERE = { platform: "linux", arch: "x64" };

describe("loadKoffi()", () => {
  it("says in one line that koffi cannot be loaded, and why", () => {
    const load = () => {
      throw new Error("Cannot find module 'koffi'\nRequire stack:\n- somewhere");
    };
    expect(() => loadKoffi(load, HERE)).toThrow(ConfigError);
    expect(() => loadKoffi(load, HERE)).toThrow(/^vhost-user needs .* koffi, .*: Cannot find module 'koffi'$/);
  });

  it.each([
    { platform: "darwin", arch: "arm64" },
    { platform: "linux", arch: "arm64" },
  ])("refuses $platform $arch by name: structs are laid out for another", (machine) => {
    const said = `this is ${machine.platform} ${machine.arch}`;
    expect(() => loadKoffi(() => ({}), machine)).toThrow(said);
    expect(() => loadKoffi(() => ({}), machine)).toThrow(ConfigError);
  });
});

describe("a failed call", () => {
  it("throws a NativeError with the call and its errno by name", () => {
    const close = () => check("close", libc.close(-1), "nothing");
    expect(close).toThrow(NativeError);
    expect(close).toThrow("close: EBADF (nothing)");
  });

  it.each([
    [11, "EAGAIN"],
    [24, "EMFILE"],
    [95, "ENOTSUP"],
    [9999, "errno 9999"],
  ])("errno %s is %s", (errno, code) => {
    expect(new NativeError("read", errno)).toMatchObject({ errno, code, syscall: "read" });
  });
});

it.each([0, -1, 2 ** 31 + 1, 5 * 2 ** 30, Number.NaN])(
  "viewAt() refuses %s bytes, which would end the process",
  (n) => {
    expect(() => viewAt(4096n, n)).toThrow(RangeError);
  },
);
