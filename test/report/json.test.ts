import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RunBroken, UsageError } from "../../src/report/exit-codes.js";
import { writeJson, writeText } from "../../src/report/json.js";

let directory = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "svq-json-"));
});

afterEach(() => rmSync(directory, { recursive: true }));

/** A process that has closed its standard input, as `head` does when it has seen enough. */
async function readerThatLeft(): Promise<ChildProcessWithoutNullStreams> {
  const child = spawn("sh", ["-c", "exec 0<&-; echo closed; exec sleep 60"]);
  await once(child.stdout, "data");
  return child;
}

function failing(code: string): Writable {
  return new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error(`${code}: no space`), { code })),
  });
}

describe("writeJson()", () => {
  it("writes one document and a newline", async () => {
    const file = join(directory, "result.json");
    await writeJson({ schema: "shadowvq.bench/1", samples_ns: [1, 2] }, file);
    expect(readFileSync(file, "utf8")).toBe('{"schema":"shadowvq.bench/1","samples_ns":[1,2]}\n');
  });

  it("writes to stdout for - and for no name", async () => {
    const chunks: string[] = [];
    const stdout = new Writable({
      write: (chunk, _encoding, done) => {
        chunks.push(String(chunk));
        done();
      },
    });
    await writeJson({ a: 1 }, "-", stdout);
    await writeJson({ b: 2 }, undefined, stdout);
    expect(chunks).toEqual(['{"a":1}\n', '{"b":2}\n']);
    expect(stdout.listenerCount("error")).toBe(0);
  });

  it("blames the user for a name that cannot be, saying which", async () => {
    const file = join(directory, "missing", "result.json");
    await expect(writeJson({}, file)).rejects.toThrow(UsageError);
    await expect(writeJson({}, file)).rejects.toThrow(`cannot write ${file}: ENOENT`);
    await expect(writeJson({}, directory)).rejects.toThrow(UsageError);
  });

  it.runIf(existsSync("/dev/full"))("blames the machine for a full disk", async () => {
    await expect(writeJson({}, "/dev/full")).rejects.toThrow(RunBroken);
  });
});

describe("writeText()", () => {
  it("is quiet when the reader has left", async () => {
    const reader = await readerThatLeft();
    await expect(writeText("x".repeat(1 << 20), reader.stdin)).resolves.toBe(false);
    await expect(writeText("more", reader.stdin)).resolves.toBe(false);
    reader.kill();
  });

  it("would not be, written plainly: the reader has really left", async () => {
    const reader = await readerThatLeft();
    const failed = once(reader.stdin, "error");
    reader.stdin.write("x".repeat(1 << 20));
    expect(await failed).toMatchObject([{ code: "EPIPE" }]);
    reader.kill();
  });

  it("breaks the run when stdout fails for another reason", async () => {
    await expect(writeText("x", failing("ENOSPC"))).rejects.toThrow(RunBroken);
  });

  it("says true when the text is out", async () => {
    await expect(writeText("x", new Writable({ write: (_c, _e, done) => done() }))).resolves.toBe(true);
  });
});
