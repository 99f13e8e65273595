import { createInterface, type Interface } from "node:readline";
import { Command } from "commander";
import type { ControlEvent } from "../daemon/control-messages.js";
import type { QmpClient } from "../daemon/qmp-client.js";
import { EXIT, RunBroken } from "../report/exit-codes.js";
import { ConsoleSession, completed } from "./console-commands.js";

const PROMPT = "svq> ";

const EXAMPLES = `
Examples:
  svq console /run/svq.sock                                    a prompt; help lists the commands
  echo "show queue stats all" | svq console /run/svq.sock      the same from a script
`;

/** svq console: a prompt on the control socket of a relay. */
export function consoleCommand(): Command {
  return new Command("console")
    .description("A prompt on the control socket of a relay; commands also come from a pipe.")
    .argument("<path>", "control socket of svq relay")
    .addHelpText("after", EXAMPLES)
    .action(async (path: string) => {
      process.exitCode = await runConsole(path);
    });
}

async function runConsole(path: string): Promise<number> {
  const { QmpClient } = await import("../daemon/qmp-client.js");
  const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  let lines: Interface | undefined;
  let gone = false;
  const client = await QmpClient.connect(path, {
    event: (event) => printEvent(event, terminal ? lines : undefined),
    gone: () => {
      gone = true;
      lines?.close();
    },
  });
  lines = createInterface({ input: process.stdin, output: terminal ? process.stdout : undefined, terminal, completer });
  lines.setPrompt(PROMPT);
  try {
    const failed = await converse(client, lines, terminal, () => gone);
    if (gone) throw new RunBroken(`${path}: the daemon is gone`);
    return failed && !terminal ? EXIT.gateFailed : EXIT.done;
  } finally {
    client.close();
    lines.close();
    process.stdin.destroy();
  }
}

/** Takes commands until the end of the input or of the session; whether one of them failed. */
async function converse(client: QmpClient, lines: Interface, terminal: boolean, gone: () => boolean): Promise<boolean> {
  const ask = terminal ? (question: string) => answer(lines, question) : undefined;
  const session = new ConsoleSession(client, print, () => performance.now(), ask);
  let failed = false;
  if (terminal) lines.prompt();
  for await (const line of lines) {
    const outcome = await session.run(line);
    if (outcome.leave || gone()) break;
    if (outcome.error !== undefined) {
      failed = true;
      process.stderr.write(`svq: ${outcome.error}\n`);
    }
    if (terminal) lines.prompt();
  }
  return failed;
}

function completer(line: string): [string[], string] {
  return completed(line);
}

function answer(lines: Interface, question: string): Promise<string> {
  return new Promise((resolve) => {
    lines.once("close", () => resolve("no"));
    lines.question(question, resolve);
  });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** An event comes whenever it likes: on a terminal it goes above the line that is being typed. */
function printEvent({ event, data, timestamp }: ControlEvent, lines: Interface | undefined): void {
  const at = new Date(timestamp.seconds * 1000 + timestamp.microseconds / 1000);
  const clock = Number.isNaN(at.getTime()) ? "" : `${at.toISOString().slice(11, 23)} `;
  const text = `* ${clock}${event} ${JSON.stringify(data)}`.replaceAll(/\p{Cc}+/gu, " ");
  if (lines === undefined) {
    print(text);
  } else {
    process.stdout.write(`\r\u001b[K${text}\n`);
    lines.prompt(true);
  }
}
