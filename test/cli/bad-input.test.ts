/** What cannot be done is refused in one line with its own exit code, and leaves nothing behind. */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VERSION } from "../../src/cli/version.js";
import { packageRoot } from "../../src/workers/worker-url.js";
import { checkedBench } from "../helpers/bench-document.js";
import { documentOf, expectNothingLeft, expectOneLine, refused, svq, svqJson, until } from "../helpers/svq.js";

const SHORT = ["--input-bytes", "64k", "--window", "10ms", "--rounds", "5", "--paths", "svq"];
/** Tools of the system that may be missing: the test that needs them says so. */
const [MOUNT, UNMOUNT] = ["mount", "umount"];
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "test-bad-"));
});

afterAll(() => rmSync(folder, { recursive: true }));

/** A file in a folder of the tests' own. */
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("bin/svq.js, to which npx links", () => {
  const bin = join(packageRoot(), "bin", "svq.js");

  test("is what package.json names, and runs the build", () => {
    const { bin: names } = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8"));
    expect(names).toEqual({ svq: "bin/svq.js" });
    const { stdout, status } = spawnSync(bin, ["--version"], { encoding: "utf8" });
    expect({ stdout, status }).toEqual({ stdout: `${VERSION}\n`, status: 0 });
  });

  test("says in one line that nothing is built: exit 2", () => {
    mkdirSync(join(folder, "bin"));
    copyFileSync(bin, join(folder, "bin", "svq.mjs"));
    const { stdout, stderr, status } = spawnSync(join(folder, "bin", "svq.mjs"), ["validate"], { encoding: "utf8" });
    expect({ stdout, stderr, status }).toEqual({
      stdout: "",
      stderr: 'svq: it is not built; run "npm run build"\n',
      status: 2,
    });
  });
});

describe.concurrent("a wrong word is refused by name", () => {
  test.each<[string[], RegExp]>([
    [["--queue-size", "0"], /queue_size 0 is not a power of two/],
    [["--queue-size", "3"], /queue_size 3 is not a power of two/],
    [["--queue-size", "65536"], /queue_size 65536 is not a power of two/],
    [["--queue-size", "many"], /queue_size "many" is not a whole number/],
    [["--paths", "svq,passtrough"], /unknown path "passtrough"/],
    [["--paths", "svq/thread"], /unknown placement "thread" of path svq/],
    [["--paths", "passthrough/fused"], /path passthrough does not go with placement fused/],
    [["--paths", "notify/fused"], /path notify does not go with placement fused/],
    [["--paths", "notify", "--waiting", "polled"], /path notify does not go with waiting polled/],
    [["--paths", "passthrough", "--iova-policy", "tree"], /path passthrough does not go with iova_policy tree/],
    [["--paths", "used-only", "--iova-policy", "gpa"], /path used-only does not go with iova_policy gpa/],
    [["--waiting", "sleepy"], /waiting "sleepy" is not one of auto, polled, notified, adaptive/],
    [["--queue-size", "2"], /blk request has 3 descriptors: queue_size 2 cannot hold one/],
    [["--ram", "16M", "--queues", "64", "--queue-size", "32768"], /guest RAM of 16777216 bytes is too small/],
    [["--paths", "svq", "--aperture-last", "1M"], /aperture 0x0\.\.0x100000 has no room for guest memory/],
    [["--batch", "65"], /batch 65 is not an integer from 1 to 64/],
    [["--rounds", "4"], /rounds "4" is not a whole number from 5/],
    [["--window", "9ms"], /--window: at least 10ms/],
    [["--window", "10"], /"10" is not a duration/],
    [["--input-bytes", "0"], /0 bytes/],
    [["--log-level", "loud"], /loud/],
    [["--sweep", "colour=red"], /sweep "colour=red": unknown setting "colour"/],
    [["--sweep", "queue_size=16,17"], /queue_size 17 is not a power of two/],
    [["--sweep", "seed=1", "--sweep", "seed=2"], /seed is given twice/],
    [["--queue-siz", "16"], /unknown option '--queue-siz'.*--queue-size/],
    [["input.bin"], /too many arguments/],
  ])("svq bench %j", async (args, line) => {
    await refused(["bench", ...args], 2, line);
  });

  test.each<[string[], RegExp]>([
    [["bnech"], /unknown command 'bnech'.*bench/],
    [["run", "--path", "svq,notify"], /--path: one row/],
    [["run", "--path", "notify", "--waiting", "polled"], /path notify does not go with waiting polled/],
    [["arena", "--ram", "17M"], /ram 17825792 is not a multiple of 4 MiB/],
  ])("svq %j", async (args, line) => {
    await refused(args, 2, line);
  });
});

describe.concurrent("an input that cannot be used is refused with its name", () => {
  test("missing, a folder, empty, no regular file", async () => {
    const empty = file("empty", "");
    await refused(["bench", "--input", join(folder, "gone")], 2, /input .*gone: ENOENT/);
    await refused(["bench", "--input", folder], 2, /input .*: not a regular file/);
    await refused(["bench", "--input", "/dev/zero"], 2, /input \/dev\/zero: not a regular file/);
    await refused(["run", "--input", empty], 2, /input .*empty: the file is empty/);
  });

  test("gone when the second point of a sweep needs it: the first is not lost", async () => {
    const input = file("vanishing", "bytes ".repeat(1000));
    const csv = join(folder, "vanishing.csv");
    const rows = ["--paths", "svq", "--window", "10ms", "--rounds", "5", "--sweep", "seed=1,2"];
    await refused(["bench", "--input", input, ...rows, "--csv", csv], 2, /vanishing: ENOENT/, {
      meanwhile: async (_child, tmp) => {
        await until(() => readdirSync(tmp).length > 0);
        rmSync(input);
      },
    });
    expect(readFileSync(csv, "utf8")).toMatch(/^seed,path,.*\r\n1,svq,threads,.*,ok\r\n$/);
  });

  test("shorter than it says", async (ctx) => {
    // The kernel gives these files a page and fills a few bytes of it.
    const short = "/sys/devices/system/cpu/online";
    if (!existsSync(short)) return ctx.skip(`there is no ${short}`);
    await refused(["bench", "--input", short], 2, /online: it ended after \d+ of 4096 bytes/);
  });

  test("unreadable", async (ctx) => {
    const secret = "/proc/self/mem";
    if (!existsSync(secret)) return ctx.skip(`there is no ${secret}`);
    await refused(["bench", "--input", secret], 2, /input \/proc\/self\/mem: /);
  });
});

describe.concurrent("a config file is refused with line and column", () => {
  test.each<[string, string, RegExp]>([
    ["an unknown key", "paths: svq\n\n  # two words\nqueue_sze: 16\n", /:4:1: unknown key "queue_sze"/],
    ["a wrong value", "paths: svq\nqueue_size: big\n", /:2:1: queue_size "big" is not a whole number/],
    ["an unknown path", "paths: [svq, vsq]\n", /:1:1: unknown path "vsq"/],
    ["too few rounds", "rounds: 2\n", /:1:1: rounds "2" is not a whole number from 5/],
    ["a value that is a map", "depth: 4\nqueue_size: { a: 1 }\n", /:2:13: queue_size is neither a value/],
    ["no map at all", "- svq\n", /:1:1: a config is a map of settings/],
    ["bad YAML", "paths: [svq\nqueue_size: 16\n", /:2:1: /],
    ["a key twice", "depth: 4\ndepth: 8\n", /:2:1: Map keys must be unique/],
  ])("%s", async (name, text, line) => {
    const path = file(`${name.replaceAll(" ", "-")}.yaml`, text);
    await refused(["bench", "--config", path], 2, line);
  });

  test("one that is missing", () => refused(["bench", "--config", join(folder, "no.yaml")], 2, /no\.yaml: ENOENT/));

  test("a value that is wrong for the whole is refused as an option is", async () => {
    await refused(
      ["bench", "--config", file("three.yaml", "queue_size: 3\n")],
      2,
      /queue_size 3 is not a power of two/,
    );
  });
});

describe("a good config file", () => {
  test("sets what options do not", async () => {
    const text = "paths: [svq/fused]\nqueue_size: 16\ndepth: 8\nbatch: 8\nevent_idx: off\nram: 16M\nrounds: 5\n";
    const args = ["bench", "--config", file("good.yaml", text), "--depth", "12"];
    const document = checkedBench(await svqJson([...args, "--input-bytes", "64k", "--window", "10ms"], 0));
    const config = { queue_size: 16, depth: 12, batch: 8, event_idx: false, ram: 2 ** 24, rounds: 5 };
    expect(document.config).toMatchObject({ ...config, paths: ["svq/fused"] });
  });
});

describe("a file that cannot be written is refused before the run", () => {
  test.concurrent.each(["--json", "--csv", "--image"])("%s", async (option) => {
    await refused(["bench", ...SHORT, option, join(folder, "no", "file")], 2, /no\/file: /);
    await refused(["bench", ...SHORT, option, folder], 2, /EISDIR/);
    expect(readdirSync(folder)).not.toContain("no");
  });

  test("--image-folder", () => refused(["bench", ...SHORT, "--image-folder", join(folder, "no")], 2, /ENOENT/));

  test("--image names a disk that has to exist", async () => {
    await refused(["bench", ...SHORT, "--image", join(folder, "new.img")], 2, /new\.img: there is no such file/);
  });
});

const hasFull = existsSync("/dev/full");

describe.runIf(hasFull)("a full disk breaks the run: exit 4, one line, what was reached", () => {
  test("under the image", async () => {
    const run = await refused(["bench", ...SHORT, "--image", "/dev/full", "--json"], 4, /device: \/dev\/full: ENOSPC/);
    const document = checkedBench(documentOf(run));
    expect(document).toMatchObject({ verdict: "aborted", why: expect.stringContaining("ENOSPC"), overhead: [] });
  });

  test("under results", async () => {
    await refused(["bench", ...SHORT, "--json", "/dev/full"], 4, /cannot write \/dev\/full: ENOSPC/);
    await refused(["bench", ...SHORT, "--csv", "/dev/full"], 4, /csv \/dev\/full: ENOSPC/);
  });

  test("under stdout", async () => {
    const stdout = openSync("/dev/full", "w");
    await refused(["bench", ...SHORT], 4, /cannot write to stdout: ENOSPC/, { stdout });
    await refused(["--help"], 4, /cannot write to stdout: ENOSPC/, { stdout });
  });
});

describe("a small file system", () => {
  test("that fills up under the image folder", async (ctx) => {
    const small = join(folder, "small");
    mkdirSync(small);
    const mount = spawnSync(MOUNT, ["-t", "tmpfs", "-o", "size=1m", "tmpfs", small], { encoding: "utf8" });
    if (mount.status !== 0) return ctx.skip(`cannot mount: ${mount.stderr?.trim() ?? mount.error?.message}`);
    try {
      const input = join(folder, "large");
      writeFileSync(input, Buffer.alloc(4 * 2 ** 20, "shadow"));
      const args = ["--image-folder", small, "--input", input, "--paths", "svq/fused", "--json"];
      const run = await refused(["bench", ...args], 4, /device: .*\/svq-.*disk-1\.img: ENOSPC/);
      const document = checkedBench(documentOf(run));
      expect(document).toMatchObject({ verdict: "aborted", input: { bytes: 4 * 2 ** 20 } });
      // The gates need a quarter of the disk: they were passed.
      expect(document.paths).toMatchObject([{ name: "svq", gates: { payload: true }, ns_per_request: null }]);
      expect(readdirSync(small)).toEqual([]);
    } finally {
      spawnSync(UNMOUNT, [small]);
    }
  });
});

describe("a run that is told to end", () => {
  const endless = ["bench", "--input-bytes", "64k", "--window", "100ms", "--rounds", "1000"];
  const images = (tmp: string) => readdirSync(tmp).flatMap((name) => readdirSync(join(tmp, name)));

  test.each([
    ["SIGINT", 130, "in the probe", 0],
    ["SIGTERM", 143, "in the gates", 1],
    ["SIGINT", 130, "while machines start", 3],
    ["SIGTERM", 143, "in timed windows", 4],
  ] as const)("%s: exit %i, what was reached, nothing left: %s", async (signal, code, _where, imagesThere) => {
    const run = await svq([...endless, "--paths", "passthrough,svq", "--json"], {
      meanwhile: async (child, tmp) => {
        await until(() => readdirSync(tmp).length > 0 && images(tmp).length >= imagesThere);
        child.kill(signal);
      },
    });
    expect(run).toMatchObject({ code, signal: null, stderr: "" });
    expectNothingLeft(run);
    const document = checkedBench(documentOf(run));
    expect(document).toMatchObject({ verdict: "aborted", why: "interrupted", failures: [], overhead: [] });
    // Rows whose gates were through.
    expect(document.paths.length).toBeGreaterThanOrEqual(imagesThere > 2 ? 2 : 0);
  });

  test("a sweep ends with the points it has", async () => {
    const csv = join(folder, "part.csv");
    const run = await svq([...endless, "--paths", "svq", "--sweep", "seed=1,2", "--csv", csv, "--json"], {
      meanwhile: async (child, tmp) => {
        await until(() => readdirSync(tmp).length > 0 && images(tmp).length >= 1);
        child.kill("SIGINT");
      },
    });
    expect(run).toMatchObject({ code: 130, stderr: "" });
    expectNothingLeft(run);
    expect(documentOf(run)).toMatchObject({ points: [{ point: { seed: 1 }, result: { verdict: "aborted" } }] });
    expect(readFileSync(csv, "utf8")).toMatch(/^seed,path,/);
  });

  test("svq run: SIGINT is how it ends, with its counters", async () => {
    const run = await svq(["run", "--input-bytes", "64k", "--json"], {
      meanwhile: async (child, tmp) => {
        await until(() => readdirSync(tmp).length > 0);
        child.kill("SIGINT");
      },
    });
    expect(run).toMatchObject({ code: 130, signal: null, stderr: "" });
    expectNothingLeft(run);
    expect(documentOf(run)).toMatchObject({ schema: "shadowvq.run/1", verdict: "aborted", failures: [] });
  });
});

describe("svq run", () => {
  test("runs for as long as it is told, verifies, and counts", async () => {
    const document = await svqJson<Record<string, unknown>>(
      ["run", "--path", "svq/fused", "--duration", "10ms", "--input-bytes", "64k"],
      0,
    );
    expect(document).toMatchObject({ schema: "shadowvq.run/1", verdict: "ok", failures: [] });
    expect(document).toMatchObject({
      config: { path: "svq", placement: "fused", queue_size: 256 },
      input: { bytes: 65536 },
    });
    expect(document["requests"]).toBeGreaterThanOrEqual(34);
  });
});

describe.concurrent("a reader that leaves", () => {
  test.each([{ args: ["bench", ...SHORT, "--json"] }, { args: ["arena"] }, { args: ["--help"] }])(
    "ends $args quietly",
    async ({ args }) => {
      const run = await svq(args, { meanwhile: (child) => void child.stdout!.destroy() });
      expect(run).toMatchObject({ code: 0, signal: null, stderr: "" });
      expectNothingLeft(run);
    },
  );

  test("keeps the exit code of a failed gate", async () => {
    const run = await svq(["bench", ...SHORT, "--fault", "flip-byte", "--log-level", "silent"], {
      meanwhile: (child) => void child.stdout!.destroy(),
    });
    expect(run).toMatchObject({ code: 1, stderr: "" });
  });
});

describe.concurrent("help", () => {
  test.each([{ words: [] }, { words: ["bench"] }, { words: ["run"] }, { words: ["arena"] }])(
    "svq $words --help has examples",
    async ({ words }) => {
      const run = await svq([...words, "--help"]);
      expect(run).toMatchObject({ code: 0, stderr: "" });
      expect(run.stdout).toMatch(/^Examples:\n {2}svq /m);
    },
  );

  test("svq alone says how it is used, and that this was no use", async () => {
    const run = await svq([]);
    expect(run).toMatchObject({ code: 2, stdout: "", stderr: expect.stringMatching(/^Usage: svq/) });
  });
});

test("one line is one line: what the helper calls so is what it says", () => {
  const run = { args: [], code: 2, signal: null, stdout: "", left: [], orphans: false };
  expect(() => expectOneLine({ ...run, stderr: "svq: a\n" })).not.toThrow();
  for (const stderr of ["", "svq: a\nb\n", "a\n", "svq: a"]) expect(() => expectOneLine({ ...run, stderr })).toThrow();
  expect(() => expectNothingLeft({ ...run, stderr: "", left: ["svq-x"] })).toThrow();
  expect(() => expectNothingLeft({ ...run, stderr: "", orphans: true })).toThrow();
});
