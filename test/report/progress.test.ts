import { Writable } from "node:stream";
import { SingleBar } from "cli-progress";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Progress } from "../../src/report/progress.js";

const HIDE = "\u001b[?25l";
const SHOW = "\u001b[?25h";
const NO_WRAP = "\u001b[?7l";
const WRAP = "\u001b[?7h";

/** A terminal that keeps what it was told. */
class FakeTerminal extends Writable {
  readonly isTTY: boolean;
  readonly columns = 200;
  text = "";
  failures = 0;

  constructor(isTTY = true) {
    super();
    this.isTTY = isTTY;
  }

  override write(chunk: unknown): boolean {
    if (this.failures > 0) {
      this.failures--;
      throw new Error("the terminal is gone");
    }
    this.text += String(chunk);
    return true;
  }

  /** The cursor is shown and lines wrap. */
  get restored(): boolean {
    const last = (on: string, off: string) => this.text.lastIndexOf(on) >= this.text.lastIndexOf(off);
    return last(SHOW, HIDE) && last(WRAP, NO_WRAP);
  }
}

const exitListeners = process.listenerCount("exit");

afterEach(() => {
  expect(process.listenerCount("exit")).toBe(exitListeners);
  vi.restoreAllMocks();
});

describe("Progress", () => {
  it("draws on a terminal and restores it", () => {
    const stream = new FakeTerminal();
    const progress = new Progress({ label: "bench", total: 10, stream });
    progress.update(7, "svq");
    progress.stop();
    expect(stream.text).toContain("7/10 svq");
    expect(stream.text).toContain("bench [");
    expect(stream.restored).toBe(true);
  });

  it("would leave it hidden without stop(): the check can fail", () => {
    const stream = new FakeTerminal();
    const bar = new SingleBar({ stream, hideCursor: true, format: "{bar}" });
    bar.start(10, 0);
    expect(stream.restored).toBe(false);
    bar.stop();
    expect(stream.restored).toBe(true);
  });

  it("restores the terminal also when the last drawing fails, where the library alone does not", () => {
    const stream = new FakeTerminal();
    const progress = new Progress({ label: "bench", total: 10, stream });
    progress.update(5);
    stream.failures = 1;
    expect(() => progress.stop()).toThrow("the terminal is gone");
    expect(stream.restored).toBe(true);

    const alone = new FakeTerminal();
    const bar = new SingleBar({ stream: alone, hideCursor: true, format: "{value}" });
    bar.start(10, 0);
    bar.update(5);
    alone.failures = 1;
    expect(() => bar.stop()).toThrow("the terminal is gone");
    expect(alone.restored).toBe(false);
  });

  it("restores the terminal at the end of the process, and stops only once", () => {
    const stream = new FakeTerminal();
    const progress = new Progress({ label: "bench", total: 10, stream });
    const atExit = process.listeners("exit").at(-1) as () => void;
    atExit();
    expect(stream.restored).toBe(true);
    const { text } = stream;
    progress.stop();
    progress.update(9);
    expect(stream.text).toBe(text);
  });

  it("takes no signals: they are the command's", () => {
    const before = process.listenerCount("SIGINT") + process.listenerCount("SIGTERM");
    const progress = new Progress({ label: "bench", total: 10, stream: new FakeTerminal() });
    const during = process.listenerCount("SIGINT") + process.listenerCount("SIGTERM");
    progress.stop();
    expect(during).toBe(before);
  });

  it("is silent where there is no terminal", () => {
    const stream = new FakeTerminal(false);
    const progress = new Progress({ label: "bench", total: 10, stream });
    progress.update(5);
    progress.stop();
    expect(stream.text).toBe("");
  });
});
