import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { pinThread } from "../../src/lab/threads.js";
import { RunBroken } from "../../src/report/exit-codes.js";

/** Time for a process to load its input, to show its outputs, or for a window beyond its length. */
const PATIENCE_MS = 60_000;

/** A process that lives through several windows and waits on its pipe between them. */
export class TimedProcess {
  readonly name: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;
  #complaint = "";

  constructor(name: string, command: string, args: readonly string[]) {
    this.name = name;
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#complaint = (this.#complaint + text).slice(-2000);
    });
    this.#child.on("error", (error) => {
      this.#complaint += error.message;
    });
    this.#child.stdin.on("error", () => {});
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  /** Waits until its outputs are written, and keeps its main thread on a CPU where it can. */
  async ready(cpu: number | undefined): Promise<void> {
    await this.#answer();
    if (cpu !== undefined && this.#child.pid !== undefined) pinThread(this.#child.pid, cpu);
  }

  /** Takes a window of about `ns` nanoseconds; gives nanoseconds per operation. */
  async window(ns: number): Promise<number> {
    this.#child.stdin.write(`window ${Math.round(ns)}\n`);
    const value = Number(await this.#answer());
    if (!(value > 0)) throw new RunBroken(`${this.name}: a window of ${value} ns per operation`);
    return value;
  }

  /** Ends it; never throws. */
  async stop(): Promise<void> {
    this.#child.stdin.end();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) return;
    const late = setTimeout(() => this.#child.kill("SIGKILL"), 2000);
    await new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
    clearTimeout(late);
  }

  async #answer(): Promise<string> {
    const late = setTimeout(() => {
      this.#complaint += ` no answer for ${PATIENCE_MS / 1000} s`;
      this.#child.kill("SIGKILL");
    }, PATIENCE_MS);
    try {
      const { done, value } = await this.#answers.next();
      if (done === true) throw new RunBroken(`${this.name} ended: ${this.#complaint || "without a word"}`);
      return value;
    } finally {
      clearTimeout(late);
    }
  }
}
