import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";

/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const OUTPUT_KEPT = 256 * 1024;
/** Ends a process with the one that started it, also where that is killed. */
const SETPRIV = "/usr/bin/setpriv";

/** Processes and files of one test. */
export class PeerScope {
  /** A temporary folder; short, since the path of a Unix socket has at most 107 bytes. */
  readonly folder = mkdtempSync(join(tmpdir(), "svq-peer-"));
  readonly #processes: PeerProcess[] = [];
  readonly #closers: (() => void)[] = [];

  /** A path in the folder. */
  path(name: string): string {
    return join(this.folder, name);
  }

  /** Starts a program; it is killed after `deadlineMs`, and in any case with the test. */
  start(name: string, program: string, args: readonly string[], deadlineMs: number): PeerProcess {
    const started = new PeerProcess(name, program, args, deadlineMs);
    this.#processes.push(started);
    return started;
  }

  /** Has something closed with the test. */
  onClose(close: () => void): void {
    this.#closers.push(close);
  }

  /** Ends all that was started, the last first, and removes the folder. */
  async close(): Promise<void> {
    for (const close of this.#closers.reverse()) close();
    for (const process of this.#processes.reverse()) await process.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** What every process said, for a failed test. */
  outputs(): string {
    return this.#processes.map((process) => process.story()).join("\n");
  }
}

/** A scope for the running test; closed when it has finished, and what the peers said is printed when it failed. */
export function peerScope(): PeerScope {
  const scope = new PeerScope();
  onTestFinished(async ({ task }) => {
    if (task.result?.state === "fail") process.stderr.write(`${scope.outputs()}\n`);
    await scope.close();
  });
  return scope;
}

/** A process with its output, and a time by which it is over. */
export class PeerProcess {
  readonly name: string;
  readonly pid: number;
  /** Resolves when it has ended and its output is complete. */
  readonly ended: Promise<Ending>;
  #stdout = "";
  #stderr = "";
  #ending: Ending | undefined;
  #late = false;
  readonly #child: ChildProcess;

  constructor(name: string, program: string, args: readonly string[], deadlineMs: number) {
    this.name = name;
    const [file, all] = existsSync(SETPRIV)
      ? [SETPRIV, ["--pdeathsig", "KILL", "--", program, ...args]]
      : [program, [...args]];
    this.#child = spawn(file, all, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout = (this.#stdout + text).slice(-OUTPUT_KEPT);
    });
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-OUTPUT_KEPT);
    });
    const deadline = setTimeout(() => {
      this.#late = true;
      this.#child.kill("SIGKILL");
    }, deadlineMs);
    this.ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (code, signal) => {
        clearTimeout(deadline);
        this.#ending = { code, signal };
        resolve(this.#ending);
      });
    });
    // Who waits gets the error; where nobody does, it is no crash of the test run.
    this.ended.catch(() => {});
    if (this.#child.pid === undefined) throw new Error(`${name} cannot be started: ${program}`);
    this.pid = this.#child.pid;
  }

  /** What it wrote to stdout, at most the last 256 KiB. */
  get stdout(): string {
    return this.#stdout;
  }

  /** What it wrote to stderr, at most the last 256 KiB. */
  get stderr(): string {
    return this.#stderr;
  }

  /** How it ended; undefined while it runs. */
  get ending(): Ending | undefined {
    return this.#ending;
  }

  /** Waits until stdout matches; throws when it ends before or `timeoutMs` pass. */
  async says(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    return this.until(() => pattern.exec(this.#stdout) ?? undefined, timeoutMs, `saying ${pattern}`);
  }

  /** Waits until `look` finds something; throws when it ends before or `timeoutMs` pass. */
  async until<T>(look: () => T | undefined, timeoutMs: number, what: string): Promise<T> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const over = this.#ending !== undefined;
      const found = look();
      if (found !== undefined) return found;
      if (over) throw new Error(`${this.name} ended before ${what}: ${this.#lastWords()}`);
      if (Date.now() > end) throw new Error(`${this.name}: ${timeoutMs} ms without ${what}`);
      await sleep(20);
    }
  }

  /** Asks it to end; kills it when it has not within `graceMs`. */
  async stop(graceMs = 5_000): Promise<Ending> {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), graceMs);
    try {
      return await this.ended;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Kills it and waits until it is gone. */
  async kill(): Promise<void> {
    if (this.#ending === undefined) this.#child.kill("SIGKILL");
    await this.ended.catch(() => {});
  }

  #lastWords(): string {
    return this.#stderr.trim().split("\n").at(-1) || JSON.stringify(this.#ending);
  }

  /** Everything known of it, for people. */
  story(): string {
    const end = this.#ending === undefined ? "runs" : `ended with ${JSON.stringify(this.#ending)}`;
    const late = this.#late ? ", killed at its deadline" : "";
    const [said, complained] = [this.#stdout, this.#stderr].map((text) =>
      text.trimEnd().split("\n").slice(-60).join("\n"),
    );
    const command = this.#child.spawnargs.join(" ");
    return [`--- ${this.name} (${this.pid}) ${end}${late}`, command, said, "--- stderr", complained].join("\n");
  }
}
