#!/usr/bin/env node
import { Command, CommanderError, type OutputConfiguration } from "commander";
import { EXIT, exitCodeOf } from "../report/exit-codes.js";
import { arenaCommand } from "./arena.js";
import { benchCommand } from "./bench.js";
import { consoleCommand } from "./console.js";
import { doctorCommand } from "./doctor.js";
import { migrateCommand } from "./migrate.js";
import { relayCommand } from "./relay.js";
import { runCommand } from "./run.js";
import { validateCommand } from "./validate.js";
import { VERSION } from "./version.js";

const EXAMPLES = `
Examples:
  svq bench --quick                     the main job: what each data path costs, in under a minute
  svq bench --quick --fault drop-mark   the same with a fault, to see that the gates are alive
  svq run --path svq/fused              one machine until Ctrl-C, with live counters
  svq validate                          the relay against bad inputs, fuzzing and faults, under oracles
  svq relay --listen /run/guest.sock --connect /run/disk.sock --control /run/svq.sock
                                        a shadow virtqueue between a virtual machine and its vhost-user device
  svq console /run/svq.sock             a prompt on such a relay
  svq migrate --compare --quick         every way to track dirty pages on one workload
  svq arena --ram 4G                    which bytes are shared, and who may touch them
  svq doctor                            what this machine can do, and how to get what is missing
`;

/** Errors of the command line are one line, also where commander adds a hint below. */
const OUTPUT: OutputConfiguration = {
  outputError: (text, write) =>
    write(
      `${text
        .replace(/^error: /, "svq: ")
        .trim()
        .replaceAll("\n", " ")}\n`,
    ),
};

const program = new Command("svq")
  .description("A userspace vhost relay: shadow virtqueues, measured, validated and live-migratable.")
  .version(VERSION)
  .exitOverride()
  .configureOutput(OUTPUT)
  .addHelpText("after", EXAMPLES)
  .addCommand(benchCommand())
  .addCommand(runCommand())
  .addCommand(validateCommand())
  .addCommand(migrateCommand())
  .addCommand(relayCommand())
  .addCommand(consoleCommand())
  .addCommand(arenaCommand())
  .addCommand(doctorCommand());
for (const command of program.commands) command.exitOverride().configureOutput(OUTPUT);

process.stdout.on("error", endWithoutOutput);
process.stderr.on("error", endWithoutOutput);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = codeOf(error);
  if (!(error instanceof CommanderError)) process.stderr.write(`svq: ${(error as Error).message}\n`);
}

function codeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  return exitCodeOf(error);
}

/** A reader that leaves early (| head) is no failure of ours; anything else breaks the run. */
function endWithoutOutput(this: NodeJS.WriteStream, error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(process.exitCode ?? EXIT.done);
  if (this !== process.stderr) process.stderr.write(`svq: cannot write to stdout: ${error.message}\n`);
  process.exit(EXIT.broken);
}
