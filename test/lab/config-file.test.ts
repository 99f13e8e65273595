import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readConfigFile } from "../../src/lab/config-file.js";
import { UsageError } from "../../src/report/exit-codes.js";

let path = "";

beforeAll(() => {
  path = join(mkdtempSync(join(tmpdir(), "test-config-")), "bench.yaml");
});

afterAll(() => rmSync(join(path, ".."), { recursive: true }));

function read(text: string) {
  writeFileSync(path, text);
  return readConfigFile(path);
}

/** What is wrong with a text: where, and the words. */
function wrong(text: string): string {
  try {
    read(text);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).not.toContain("\n");
    return (error as Error).message.replace(`${path}:`, "");
  }
  return "nothing";
}

describe("readConfigFile()", () => {
  test("reads settings by name, and rows, input, rounds", () => {
    const text = [
      "# a comment",
      "paths: [passthrough, svq/fused]",
      "input: data.bin",
      "rounds: 9",
      "queue_size: 0x10",
      "queue-size: 32",
      "event_idx: off",
      "indirect: true",
      "ram: 256M",
      "aperture_first: 35184372088832",
      "order: 'out-of-order'",
    ];
    expect(read(text.join("\n"))).toEqual({
      paths: [
        { path: "passthrough", placement: "threads" },
        { path: "svq", placement: "fused" },
      ],
      input: "data.bin",
      rounds: 9,
      asked: {
        queueSize: 32,
        eventIdx: false,
        indirect: true,
        ramBytes: 2 ** 28,
        apertureFirst: 2 ** 45,
        order: "out-of-order",
      },
    });
  });

  test("rows may be a list or a text", () => {
    expect(read("paths: svq,notify\n").paths).toEqual(read("paths:\n  - svq\n  - notify\n").paths);
  });

  test("of an empty file, or one of comments, comes nothing", () => {
    const nothing = { asked: {}, paths: undefined, input: undefined, rounds: undefined };
    expect(read("")).toEqual(nothing);
    expect(read("# later\n")).toEqual(nothing);
  });

  test.each([
    ["queue_sze: 16\n", /^1:1: unknown key "queue_sze"$/],
    ["depth: 4\n\n  \nnosuch: 16\n", /^4:1: unknown key "nosuch"$/],
    ["{ depth: 4, nosuch: 1 }\n", /^1:13: unknown key "nosuch"$/],
    ["placement: fused\n", /^1:1: unknown key "placement"$/],
    ["? [a, b]\n: 1\n", /^1:3: unknown key/],
    ["depth: four\n", /^1:1: depth "four" is not a whole number$/],
    ["depth:\n", /^1:1: depth "null" is not a whole number$/],
    ["depth: 1.5\n", /^1:1: depth "1\.5"/],
    ["device: [blk, net]\n", /^1:1: device "blk,net" is not one of/],
    ["depth: 4\nrounds: 2\n", /^2:1: rounds "2" is not a whole number from 5/],
    ["paths:\n  - svq\n  - vsq\n", /^1:1: unknown path "vsq"/],
    ["depth: { of: 4 }\n", /^1:8: depth is neither a value nor a list of values$/],
    ["paths: [svq, [notify]]\n", /^1:8: paths is neither/],
    ["- depth\n", /^1:1: a config is a map of settings$/],
    ["depth\n", /^1:1: a config is a map of settings$/],
    ["depth: 4\ndepth: 4\n", /^2:1: Map keys must be unique/],
    ["depth: [4\nbatch: 2\n", /^2:1: /],
    ["depth: 'four\n", /^\d+:\d+: Missing closing 'quote/],
    ["depth: &a 4\nbatch: *b\n", /^2:8: /],
    ["depth: 4\n---\ndepth: 8\n", /^2:1: /],
    ["\tdepth: 4\n", /^1:\d+: /],
  ])("%j is refused where it is wrong", (text, message) => {
    expect(wrong(text)).toMatch(message);
  });

  test("of a file that is not there, or a folder, says which", () => {
    expect(() => readConfigFile(`${path}.no`)).toThrow(`config ${path}.no: ENOENT`);
    expect(() => readConfigFile(join(path, ".."))).toThrow(/EISDIR/);
  });
});
