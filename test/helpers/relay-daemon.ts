import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { packageRoot } from "../../src/workers/worker-url.js";
import { expectNothingLeft, type SvqRun, svq } from "./svq.js";

/** Sockets in the folder of its own in which a relay runs. */
const CONTROL = "c.sock";

/** A relay that listens, for the duration of a test. */
export interface RunningRelay {
  readonly child: ChildProcess;
  readonly folder: string;
  /** What it printed when it was ready. */
  readonly line: string;
  /** Runs the console on it. */
  console(input: string): Promise<ConsoleRun>;
}

/** How a console ended. */
export interface ConsoleRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The words that run a relay with a fake data process for each behaviour. */
export function relayArgs(behaviours: readonly string[], more: readonly string[] = []): string[] {
  const fake = join(packageRoot(), "dist/test/helpers/fake-data-process.js");
  const devices = behaviours.flatMap((name, i) => ["--listen", `g${i}.sock`, "--connect", `${name}.${i}.sock`]);
  return ["relay", ...devices, "--control", CONTROL, "--data-process", fake, ...more];
}

/** Runs a relay, lets `use` have it once it listens, ends it by SIGTERM if it still runs; nothing may be left. */
export async function withRelay(
  behaviours: readonly string[],
  use: (relay: RunningRelay) => Promise<void>,
  more: readonly string[] = [],
): Promise<SvqRun> {
  const run = await svq(relayArgs(behaviours, more), {
    meanwhile: async (child, folder) => {
      try {
        const line = await firstLine(child);
        await use({ child, folder, line, console: (input) => consoleOn(join(folder, CONTROL), input) });
      } finally {
        child.kill("SIGTERM");
      }
    },
  });
  expectNothingLeft(run);
  return run;
}

/** Runs the built console on a socket with an input; with `meanwhile`, the input stays open. */
export function consoleOn(
  path: string,
  input: string,
  meanwhile?: (child: ChildProcess) => Promise<void>,
): Promise<ConsoleRun> {
  const child = spawn(process.execPath, [join(packageRoot(), "dist/src/cli/svq.js"), "console", path], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  return new Promise((resolve, reject) => {
    const heard = { stdout: "", stderr: "" };
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`the console did not end: ${JSON.stringify(heard)}`));
    }, 30_000);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      heard.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      heard.stderr += text;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, ...heard });
    });
    child.stdin.on("error", () => {});
    if (meanwhile === undefined) child.stdin.end(input);
    else child.stdin.write(input, () => void meanwhile(child).catch(reject));
  });
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout!.on("data", (piece: string) => {
      text += piece;
      if (text.includes("\n")) resolve(text.split("\n")[0]!);
    });
    child.on("close", (code) => reject(new Error(`the relay ended with ${code} before it listened`)));
  });
}
