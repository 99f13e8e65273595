#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { EXIT, exitCodeOf } from "../report/exit-codes.js";
import { arenaCommand } from "./arena.js";
import { benchCommand } from "./bench.js";
import { runCommand } from "./run.js";

const VERSION = "0.1.0";

const program = new Command("svq")
  .description("A userspace vhost relay: shadow virtqueues, measured, validated and live-migratable.")
  .version(VERSION)
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "svq: ")) })
  .addCommand(benchCommand())
  .addCommand(runCommand())
  .addCommand(arenaCommand());
program.showHelpAfterError("(svq --help, or svq <command> --help, says more)");
for (const command of program.commands)
  command.exitOverride().configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "svq: ")) });

// A reader that leaves early (| head) is no failure of ours.
process.stdout.on("error", quietEpipe);
process.stderr.on("error", quietEpipe);

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

function quietEpipe(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(process.exitCode ?? EXIT.done);
  throw error;
}
