import { expect, test } from "vitest";
import { newcArchive } from "../../src/lab/newc-archive.js";

const HEADER_BYTES = 110;

/** Reads an archive as the kernel does: header, name, content, each up to the next multiple of four. */
function unpacked(archive: Buffer): { path: string; mode: number; content: string }[] {
  const found = [];
  const up = (offset: number) => (offset + 3) & ~3;
  for (let at = 0; at < archive.length; ) {
    expect(archive.toString("latin1", at, at + 6)).toBe("070701");
    const field = (index: number) =>
      Number.parseInt(archive.toString("latin1", at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const name = at + HEADER_BYTES;
    const content = up(name + field(11));
    found.push({
      path: archive.toString("utf8", name, name + field(11) - 1),
      mode: field(1),
      content: archive.toString("utf8", content, content + field(6)),
    });
    at = up(content + field(6));
  }
  return found;
}

test("newcArchive() packs names and contents of every length modulo four", () => {
  const files = ["a", "ab", "abc", "abcd", "é"].map((path, index) => ({
    path,
    mode: 0o100644 + index,
    content: "x".repeat(index),
  }));
  const archive = newcArchive(files.map(({ content, ...rest }) => ({ ...rest, content: Buffer.from(content) })));
  expect(unpacked(archive)).toEqual([...files, { path: "TRAILER!!!", mode: 0, content: "" }]);
});

test("newcArchive() gives a folder no content", () => {
  expect(unpacked(newcArchive([{ path: "d", mode: 0o040755 }]))[0]).toEqual({ path: "d", mode: 0o040755, content: "" });
});
