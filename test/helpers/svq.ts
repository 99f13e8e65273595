import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { packageRoot, workerUrl } from "../../src/workers/worker-url.js";

/** How a command ended and what it left. */
export interface SvqRun {
  readonly args: readonly string[];
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Files in the temporary folder that was the command's own. */
  readonly left: readonly string[];
  /** Whether a process that the command started outlived it. */
  readonly orphans: boolean;
}

/** How a command is run. */
export interface SvqOptions {
  /** Longest time it may take before it is killed and the test fails. */
  readonly timeoutMs?: number;
  readonly cwd?: string;
  /** Where stdout goes instead: a file descriptor. */
  readonly stdout?: number;
  /** Variables of its environment that are not as usual. */
  readonly env?: NodeJS.ProcessEnv;
  /** Called when it has started; `folder` is its temporary folder. */
  readonly meanwhile?: (child: ChildProcess, folder: string) => Promise<void> | void;
}

/** Runs the built command line; kills it and throws when it takes longer than it may. */
export async function svq(args: readonly string[], options: SvqOptions = {}): Promise<SvqRun> {
  // Refuses a build older than its sources.
  workerUrl("driver");
  const home = mkdtempSync(join(tmpdir(), "test-cli-"));
  const folder = join(home, "tmp");
  mkdirSync(folder);
  const { child, ended } = start(args, folder, options);
  try {
    const [outcome] = await Promise.all([ended, options.meanwhile?.(child, folder)]);
    return { args, ...outcome, left: readdirSync(folder), orphans: groupLives(child.pid!) };
  } finally {
    endGroup(child.pid!);
    rmSync(home, { recursive: true, force: true });
  }
}

/** Runs a command that is refused or breaks: the code, one line on stderr that matches, nothing left behind. */
export async function refused(
  args: readonly string[],
  code: number,
  line: RegExp,
  options: SvqOptions = {},
): Promise<SvqRun> {
  const run = await svq(args, options);
  expect(run, args.join(" ")).toMatchObject({ code, signal: null, stderr: expect.stringMatching(line) });
  expectOneLine(run);
  expectNothingLeft(run);
  return run;
}

/** Runs a command and reads the document it prints; the code, a silent stderr, nothing left behind. */
export async function svqJson<T>(args: readonly string[], code: number, options: SvqOptions = {}): Promise<T> {
  const run = await svq([...args, "--json"], options);
  expect({ code: run.code, stderr: run.stderr }, args.join(" ")).toEqual({ code, stderr: "" });
  expectNothingLeft(run);
  return documentOf<T>(run);
}

/** The one JSON document on stdout, never mixed with text. */
export function documentOf<T>({ stdout, args }: SvqRun): T {
  expect(stdout.trimEnd().split("\n"), args.join(" ")).toHaveLength(1);
  return JSON.parse(stdout) as T;
}

/** Nothing outlives a command: no file of its own, no process. */
export function expectNothingLeft({ left, orphans, args }: SvqRun): void {
  expect({ left, orphans }, args.join(" ")).toEqual({ left: [], orphans: false });
}

/** What went wrong is said in one line, without a stack. */
export function expectOneLine({ stderr, args }: SvqRun): void {
  expect(stderr, args.join(" ")).toMatch(/^svq: [^\n]+\n$/);
}

/** Waits until `there()` holds; throws when it does not within half a minute. */
export async function until(there: () => boolean): Promise<void> {
  for (let waited = 0; !there(); waited += 10) {
    if (waited > 30_000) throw new Error("it never came");
    await sleep(10);
  }
}

function start(args: readonly string[], folder: string, options: SvqOptions) {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(process.execPath, [join(packageRoot(), "dist/src/cli/svq.js"), ...args], {
    cwd: options.cwd ?? folder,
    env: { ...env, TMPDIR: folder, NO_COLOR: "1", ...options.env },
    stdio: ["ignore", options.stdout ?? "pipe", "pipe"],
    // A group of its own, so that what it starts can be found and ended.
    detached: true,
  });
  const ended = new Promise<Pick<SvqRun, "code" | "signal" | "stdout" | "stderr">>((resolve, reject) => {
    const heard = { stdout: "", stderr: "" };
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      heard.stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      heard.stderr += text;
    });
    const timeoutMs = options.timeoutMs ?? 60_000;
    const late = () => new Error(`svq ${args.join(" ")} ran longer than ${timeoutMs} ms: ${JSON.stringify(heard)}`);
    const timer = setTimeout(() => reject(late()), timeoutMs);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, ...heard });
    });
  });
  return { child, ended };
}

function groupLives(pid: number): boolean {
  try {
    return process.kill(-pid, 0);
  } catch {
    return false;
  }
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It ended meanwhile.
  }
}
