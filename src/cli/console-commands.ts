import type { QmpClient } from "../daemon/qmp-client.js";
import { type Counted, featuresText, iovaText, queuesText, statsText, statusText } from "./console-tables.js";

/** How a line of the console ended. */
export interface LineOutcome {
  /** What went wrong, in one line. */
  readonly error?: string;
  /** The session is over. */
  readonly leave?: true;
}

interface ConsoleWord {
  /** The words, and placeholders in angle brackets: `[…]` may be left out. */
  readonly syntax: string;
  readonly help: string;
  readonly run: (session: ConsoleSession, rest: readonly string[]) => Promise<LineOutcome | undefined>;
}

type Values = Readonly<Record<string, unknown>>;

/** What can be typed. */
const COMMANDS: readonly ConsoleWord[] = [
  {
    syntax: "show queue stats <all|N> [device]",
    help: "requests and bytes of the queues, with rates since the last show",
    run: (session, rest) => session.showStats(rest),
  },
  { syntax: "show status [device]", help: "what each device does", run: show("query-status", statusText) },
  { syntax: "show features [device]", help: "offered, accepted, masked", run: show("query-features", featuresText) },
  {
    syntax: "show iova [device]",
    help: "what the back end reaches, and where",
    run: show("query-iova-tree", iovaText),
  },
  { syntax: "show queues [device]", help: "indices and states", run: show("query-vq-status", queuesText) },
  {
    syntax: "set datapath <svq|passthrough|auto> [device]",
    help: "switch while the queues run",
    run: (session, rest) => session.setDatapath(rest),
  },
  { syntax: "help", help: "this list", run: async (session) => session.help() },
  { syntax: "quit", help: "leave the console; the relay goes on", run: async () => ({ leave: true }) },
  { syntax: "stop daemon", help: "stop every device and end the relay", run: (session) => session.stopDaemon() },
  { syntax: "shutdown", help: "the same", run: (session) => session.stopDaemon() },
];

/** A session at the console: its commands, and what it remembers between them. */
export class ConsoleSession {
  readonly #client: QmpClient;
  readonly #print: (text: string) => void;
  readonly #now: () => number;
  readonly #ask: ((question: string) => Promise<string>) | undefined;
  /** What was counted at the last show, by device. */
  readonly #shown = new Map<string, Counted>();

  /** `now` is in milliseconds; `ask` is undefined when nobody is there to confirm. */
  constructor(
    client: QmpClient,
    print: (text: string) => void,
    now: () => number,
    ask?: (question: string) => Promise<string>,
  ) {
    this.#client = client;
    this.#print = print;
    this.#now = now;
    this.#ask = ask;
  }

  /** Runs a line; never rejects. */
  async run(line: string): Promise<LineOutcome> {
    const words = line.trim().split(/\s+/);
    if (words[0] === "" || words[0]!.startsWith("#")) return {};
    const command = COMMANDS.find(({ syntax }) => fixedWords(syntax).every((word, i) => words[i] === word));
    if (command === undefined) return { error: `unknown command "${shortened(words.join(" "))}"; help lists all` };
    const fixed = fixedWords(command.syntax).length;
    const room = command.syntax.split(" ").length;
    if (words.length > room) return { error: `unexpected "${shortened(words[room]!)}": ${command.syntax}` };
    try {
      return (await command.run(this, words.slice(fixed))) ?? {};
    } catch (error) {
      return { error: (error as Error).message.replaceAll(/\p{Cc}+/gu, " ") };
    }
  }

  /** Prints the list of commands. */
  help(): undefined {
    const width = Math.max(...COMMANDS.map(({ syntax }) => syntax.length));
    this.#print(COMMANDS.map(({ syntax, help }) => `${syntax.padEnd(width)}  ${help}`).join("\n"));
  }

  /** Asks each device, or the one named, and prints what it says under its name. */
  async show(execute: string, device: string | undefined, text: (values: Values) => string): Promise<undefined> {
    const devices = await this.#devices(device);
    for (const name of devices) {
      const answer = await this.#client.execute(execute, { device: name });
      this.#print(devices.length > 1 ? `${name}:\n${text(answer as Values)}` : text(answer as Values));
    }
  }

  async showStats([which = "", device]: readonly string[]): Promise<LineOutcome | undefined> {
    if (which !== "all" && !/^\d{1,5}$/.test(which))
      return { error: `"${shortened(which)}": all, or a queue's number` };
    const queue = which === "all" ? undefined : Number(which);
    const devices = await this.#devices(device);
    for (const name of devices) {
      const stats = (await this.#client.execute("query-stats", { device: name })) as Values;
      const counted = { stats, atMs: this.#now() };
      const text = statsText(counted, this.#shown.get(name), queue);
      if (text === undefined) return { error: `${name} has no queue ${queue}` };
      this.#print(devices.length > 1 ? `${name}:\n${text}` : text);
      this.#shown.set(name, counted);
    }
    return undefined;
  }

  async setDatapath([datapath, device]: readonly string[]): Promise<LineOutcome | undefined> {
    if (datapath === undefined) return { error: "set datapath needs one of svq, passthrough, auto" };
    const named = device === undefined ? {} : { device };
    this.#print(statusText((await this.#client.execute("set-datapath", { datapath, ...named })) as Values));
    return undefined;
  }

  async stopDaemon(): Promise<LineOutcome> {
    const sure = this.#ask === undefined ? "yes" : await this.#ask("stop every device and end the relay? (yes/no) ");
    if (sure.trim() !== "yes") return {};
    await this.#client.execute("quit");
    return { leave: true };
  }

  async #devices(device: string | undefined): Promise<string[]> {
    if (device !== undefined) return [device];
    const { devices } = (await this.#client.execute("query-devices")) as { devices: { listen: string }[] };
    return devices.map(({ listen }) => listen);
  }
}

/** What a line may go on with: candidates for its last word, and that word. */
export function completed(line: string): [string[], string] {
  const words = line.trimStart().split(/\s+/);
  const typed = words.at(-1)!;
  const before = words.slice(0, -1);
  const candidates = COMMANDS.flatMap(({ syntax }) => {
    const parts = syntax.split(" ");
    if (!before.every((word, i) => wordsAt(parts[i]).includes(word))) return [];
    return wordsAt(parts[before.length]);
  });
  return [[...new Set(candidates)].filter((word) => word.startsWith(typed)).map((word) => `${word} `), typed];
}

function show(execute: string, text: (values: Values) => string): ConsoleWord["run"] {
  return (session, [device]) => session.show(execute, device, text);
}

function fixedWords(syntax: string): string[] {
  return syntax.split(" ").filter((word) => !/^[<[]/.test(word));
}

/** The words that fit a part of a syntax; none for what only the user knows. */
function wordsAt(part = ""): string[] {
  if (part.startsWith("[")) return [];
  return part
    .replaceAll(/[<>]/g, "")
    .split("|")
    .filter((word) => word !== "" && word !== "N");
}

function shortened(text: string): string {
  return text.slice(0, 64).replaceAll(/\p{Cc}+/gu, " ");
}
