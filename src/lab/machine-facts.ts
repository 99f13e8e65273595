import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../workers/worker-url.js";

/** The commit that was measured. */
export interface GitState {
  /** Short hash. */
  readonly commit: string;
  /** Whether the work tree differed from it. */
  readonly dirty: boolean;
}

/** What every result says about where it was taken. */
export interface MachineFacts {
  readonly node: string;
  readonly v8: string;
  /** Model name of the first CPU, or "unknown". */
  readonly cpu: string;
  /** Threads that can run at once here, as the operating system sees it. */
  readonly cores: number;
  /** null outside a repository of our own. */
  readonly git: GitState | null;
  /** Resolution of the kernel's CPU accounting; null where getconf does not know. */
  readonly cpu_tick_ns: number | null;
}

/** Gathers the facts; starts three short processes, so once per run. */
export function machineFacts(): MachineFacts {
  return {
    node: process.versions.node,
    v8: process.versions.v8,
    cpu: cpus()[0]?.model.trim() || "unknown",
    cores: availableParallelism(),
    git: gitState(packageRoot()),
    cpu_tick_ns: cpuTickNs(),
  };
}

/** The commit of the repository at `root`; null when there is none, also when one further up happens to hold it. */
export function gitState(root: string): GitState | null {
  const directory = join(root, ".git");
  if (!existsSync(directory)) return null;
  // Named outright: inside a commit hook the environment names another one.
  const git = ["--no-optional-locks", `--git-dir=${directory}`, `--work-tree=${root}`];
  const commit = outputOf("git", [...git, "rev-parse", "--short", "HEAD"]);
  const changes = outputOf("git", [...git, "status", "--porcelain"]);
  return commit === null || changes === null ? null : { commit, dirty: changes !== "" };
}

function cpuTickNs(): number | null {
  const ticksPerSecond = Number(outputOf("getconf", ["CLK_TCK"]));
  return ticksPerSecond > 0 ? 1e9 / ticksPerSecond : null;
}

/** What a command prints, trimmed; null when it is missing or fails. */
function outputOf(command: string, args: readonly string[]): string | null {
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8", timeout: 5_000 });
  return status === 0 ? stdout.trim() : null;
}
