import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SVQ = fileURLToPath(new URL("../../dist/src/cli/svq.js", import.meta.url));

/** How a run of the built command ended. */
export interface SvqRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What it left in its temporary folder. */
  readonly left: readonly string[];
}

/** Runs the built svq in a temporary folder of its own; `signal` is sent once stderr or stdout names `when`. */
export async function runSvq(
  args: readonly string[],
  options: { timeoutMs?: number; kill?: { signal: NodeJS.Signals; afterMs: number } } = {},
): Promise<SvqRun> {
  const folder = mkdtempSync(join(tmpdir(), "svq-test-"));
  const child = spawn(process.execPath, [SVQ, ...args], { env: { ...process.env, TMPDIR: folder, NO_COLOR: "1" } });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk));
  const late = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? 60_000);
  const { kill } = options;
  const killer = kill && setTimeout(() => child.kill(kill.signal), kill.afterMs);
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  clearTimeout(late);
  clearTimeout(killer);
  const left = readdirSync(folder);
  rmSync(folder, { recursive: true, force: true });
  return { code, stdout, stderr, left };
}
