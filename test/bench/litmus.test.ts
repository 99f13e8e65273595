import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FORMS } from "../../bench/litmus/forms.js";
import { playMatch } from "../../bench/litmus/match.js";
import { type VerdictWord, verdictOf } from "../../bench/litmus/verdict.js";
import { allowedCpus } from "../../src/lab/threads.js";
import { packageRoot } from "../../src/workers/worker-url.js";

const MAIN = join(packageRoot(), "dist", "bench", "main.js");
/** Two threads that spin: without two CPUs there is no race to look at. */
const enoughCpus = allowedCpus().length >= 2;

function bench(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8", timeout: 50_000, killSignal: "SIGKILL" });
}

function verdict(...lost: number[]): ReturnType<typeof verdictOf> {
  return verdictOf(FORMS.map(({ name }, i) => ({ name, rounds: 1000, lost: lost[i]!, seconds: 1 })));
}

describe("the verdict", () => {
  test.each<[string, number[], VerdictWord]>([
    ["nothing lost while both controls lost", [0, 5, 5, 0], "sound here"],
    ["the form in question lost", [0, 5, 5, 1], "unsound"],
    ["it lost, though the controls did not", [0, 0, 0, 1], "unsound"],
    ["the control with its own write lost nothing", [0, 0, 5, 0], "inconclusive"],
    ["the control that marks first lost nothing", [0, 5, 0, 0], "inconclusive"],
    ["nobody lost anything", [0, 0, 0, 0], "inconclusive"],
    ["what must not lose lost", [1, 5, 5, 0], "bench broken"],
    ["everybody lost", [1, 5, 5, 5], "bench broken"],
  ])("%s", (_, lost, word) => {
    expect(verdict(...lost).word).toBe(word);
  });

  test("has no word for a form that was not played, nor without its controls", () => {
    const played = FORMS.map(({ name }) => ({ name, rounds: 1000, lost: 0, seconds: 1 }));
    expect(verdictOf([]).word).toBe("inconclusive");
    expect(verdictOf(played.slice(0, 3)).word).toBe("inconclusive");
    expect(verdictOf([played[0]!, played[3]!]).word).toBe("inconclusive");
  });

  test("says of which machine it speaks, and what lost", () => {
    expect(verdict(0, 12, 34, 0).text).toMatch(/lost 12, .* lost 34\): sound on this machine by this run$/);
    expect(verdict(0, 0, 34, 0).text).toContain('the control "test first, own write" lost nothing');
  });
});

describe.skipIf(!enoughCpus)(`a run${enoughCpus ? "" : " (skipped: needs two CPUs)"}`, () => {
  test("--json writes one document, and the mark that ships loses nothing", () => {
    const { status, stdout, stderr } = bench("--litmus", "--rounds", "2000", "--json");
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    expect(Object.keys(report)).toEqual(["schema", "rounds", "forms", "verdict", "machine"]);
    expect(report).toMatchObject({ schema: "shadowvq.litmus/1", rounds: 2000, machine: { cores: expect.any(Number) } });
    expect(report.forms.map(({ name }: { name: string }) => name)).toEqual(FORMS.map(({ name }) => name));
    for (const form of report.forms) {
      expect(form).toEqual({ name: form.name, rounds: 2000, lost: expect.any(Number), seconds: expect.any(Number) });
      expect(form.lost >= 0 && form.lost <= 2000).toBe(true);
    }
    expect(report.forms[0].lost).toBe(0);
    expect(report.verdict).toBe(verdictOf(report.forms).word);
  });

  test("the table says what it is worth", () => {
    const { status, stdout } = bench("--litmus", "--rounds", "100");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^always +must not lose +lost 0 of 100 rounds/m);
    expect(stdout).toContain("evidence for this machine only");
    expect(stdout).toContain("marks unconditionally until an exhaustive exploration agrees");
  });

  test("threads that say nothing for too long are ended", async () => {
    const options = { rounds: 1e9, signal: new AbortController().signal, onRounds: () => {}, patienceMs: 1 };
    await expect(playMatch(FORMS[0]!, options)).rejects.toThrow("said nothing for 0.001 s");
  });

  test("a run that is called off while its threads spin ends", async () => {
    const controller = new AbortController();
    const options = { rounds: 1e9, signal: controller.signal, onRounds: () => controller.abort() };
    await expect(playMatch(FORMS[0]!, options)).rejects.toThrow("interrupted");
  });

  test("Ctrl-C ends it although its threads spin", async () => {
    const run = spawn(process.execPath, [MAIN, "--litmus", "--rounds", "1e9"], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 50_000,
      killSignal: "SIGKILL",
    });
    let said = "";
    for (const stream of [run.stdout, run.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
    const ended = once(run, "exit");
    // No output says that it has begun; before it listens, the signal ends it as well.
    setTimeout(() => run.kill("SIGINT"), 1500);
    const [code, signal] = await ended;
    expect(signal === "SIGINT" || code === 130).toBe(true);
    expect(["", "bench: interrupted, no verdict\n"]).toContain(said);
  });
});

test.each([
  ["--rounds", "0"],
  ["--rounds", "-5"],
  ["--rounds", "1.5"],
  ["--rounds", "1e10"],
  ["--rounds", "many"],
  ["--rounds", ""],
])("a number of rounds that is none ends with 2 and one line: %s %s", (...args) => {
  const { status, stderr, stdout } = bench("--litmus", ...args);
  expect(status).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^bench: --rounds .*: not a whole number from 1 to 1000000000\n$/);
});

test("--rounds without --litmus is refused", () => {
  const { status, stderr } = bench("--rounds", "5");
  expect(status).toBe(2);
  expect(stderr).toBe("bench: --rounds belongs to --litmus\n");
});
