/** svq bench --real: the document of a short run, what is refused, and that nothing outlives it. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, type TestContext, test } from "vitest";
import { findProgram } from "../../src/lab/peer-programs.js";
import { REAL_MODES, type RealBenchResult } from "../../src/lab/real-result.js";
import { documentOf, expectNothingLeft, expectOneLine, refused, svq, until } from "../helpers/svq.js";

const SHORT = ["bench", "--real", "--quick", "--rounds", "5"];
const LIMIT = { timeoutMs: 300_000 };

function needStorageDaemon({ skip }: TestContext): void {
  if (findProgram("qemu-storage-daemon") === undefined) {
    skip("not here: qemu-storage-daemon (npm run peers:install gets it)");
  }
}

/** The image goes where what is left is looked for. */
function imagesIn(): string {
  const folder = mkdtempSync(join(tmpdir(), "test-real-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Ctrl-C as a terminal sends it: to the whole group. */
function interruptGroup(pid: number): void {
  process.kill(-pid, "SIGINT");
}

/** The pid of the storage daemon, once it exports; it is in a group of its own. */
async function storagePid(folder: string): Promise<number> {
  const files = () => readdirSync(folder).map((name) => join(folder, name, "storage.pid"));
  const pids = () => files().flatMap((file) => Number(textOf(file)) || []);
  await until(() => pids().length > 0);
  return pids()[0]!;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function expectSound(document: RealBenchResult): void {
  const { modes, ratios, peers, seed, config, node, verdict, aims } = document;
  expect(document.schema).toBe("shadowvq.bench-real/1");
  expect({ node, seed }).toEqual({ node: process.versions.node, seed: 7 });
  expect(peers).toEqual([{ name: "qemu-storage-daemon", version: expect.stringMatching(/^\d/) }]);
  expect(config).toMatchObject({ request_bytes: 4096, rounds: 5, event_idx: true });
  expect(["ok", "inconclusive"]).toContain(verdict);
  expect(modes.map(({ name, depth }) => `${name} ${depth}`)).toEqual(
    [1, 32].flatMap((depth) => REAL_MODES.map((name) => `${name} ${depth}`)),
  );
  for (const mode of modes) {
    const { samples, median, min, max } = mode.ns_per_request;
    expect(samples).toHaveLength(5);
    expect([min, median, max]).toEqual([0, 2, 4].map((i) => samples.toSorted((x, y) => x - y)[i]));
    expect(mode.wrong).toBe(0);
    expect(mode.relay === null, mode.name).toBe(mode.name === "direct");
    // Warm-up included, so that more went through than was timed.
    if (mode.name === "shadow") expect(mode.relay!.requests).toBeGreaterThan(mode.requests);
    else expect(mode.relay?.requests ?? 0).toBe(0);
    if (mode.name === "shadow") expect(mode.relay_syscalls_per_request).toBeGreaterThan(0);
  }
  expect(ratios.map(({ a, b, depth, pairs }) => [a, b, depth, pairs])).toEqual(
    [1, 32].flatMap((depth) => [
      ["passthrough-2", "passthrough", depth, 5],
      ["passthrough", "direct", depth, 5],
      ["shadow", "passthrough", depth, 5],
    ]),
  );
  expect(aims).toHaveLength(4);
}

test("svq bench --real measures all modes at both depths, in one document", async (context) => {
  needStorageDaemon(context);
  const images = imagesIn();
  const run = await svq([...SHORT, "--seed", "7", "--image-folder", images, "--json"], LIMIT);
  expect({ code: run.code, stderr: run.stderr }).toEqual({ code: 0, stderr: "" });
  expectNothingLeft(run);
  expect(readdirSync(images)).toEqual([]);
  expectSound(documentOf<RealBenchResult>(run));
}, 320_000);

test("Ctrl-C prints what there is and leaves no process, no socket, no image", async (context) => {
  needStorageDaemon(context);
  const images = imagesIn();
  let pid = 0;
  const run = await svq([...SHORT, "--rounds", "1000", "--image-folder", images, "--json"], {
    ...LIMIT,
    meanwhile: async (child, folder) => {
      pid = await storagePid(folder);
      // Once the relays listen, windows are under way.
      await until(() => readdirSync(folder, { recursive: true }).some((name) => String(name).endsWith("shadow.sock")));
      expect(lives(pid)).toBe(true);
      interruptGroup(child.pid!);
    },
  });
  expect({ code: run.code, stderr: run.stderr }).toEqual({ code: 130, stderr: "" });
  expectNothingLeft(run);
  expect({ images: readdirSync(images), storage: lives(pid) }).toEqual({ images: [], storage: false });
  expect(documentOf<RealBenchResult>(run)).toMatchObject({ verdict: "aborted", why: "interrupted" });
}, 320_000);

test("a storage daemon that cannot export is one line and exit code 4", async () => {
  const folder = imagesIn();
  const bin = join(folder, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "qemu-storage-daemon"), "#!/bin/sh\necho 'made up: no permission' >&2\nexit 1\n");
  chmodSync(join(bin, "qemu-storage-daemon"), 0o755);
  const env = { PATH: `${bin}:${process.env["PATH"]}` };
  const run = await svq([...SHORT, "--image-folder", folder, "--json"], { ...LIMIT, env });
  expect(run).toMatchObject({ code: 4, stderr: "svq: qemu-storage-daemon: made up: no permission\n" });
  expectOneLine(run);
  expectNothingLeft(run);
  expect(documentOf<RealBenchResult>(run)).toMatchObject({ verdict: "aborted", modes: [] });
  expect(readdirSync(folder)).toEqual(["bin"]);
});

test("without qemu-storage-daemon one line says how to get it", async () => {
  await refused(["bench", "--real"], 2, /npm run peers:install .* svq doctor/, { env: { PATH: "" } });
});

test.each<[string[], RegExp]>([
  [["--paths", "svq"], /--real: --paths is for the emulated machine/],
  [["--queue-size", "64"], /--real: --queue-size is for the emulated machine/],
  [["--fault", "drop-mark"], /--real: --fault is for the emulated machine/],
  [["--device", "net"], /--real: --device is blk or null, not net/],
  [["--rounds", "4"], /rounds "4" is not a whole number from 5/],
])("svq bench --real %s is refused", async (words, line) => {
  await refused(["bench", "--real", ...words], 2, line);
});
