import { type Command, CommanderError } from "commander";
import { EXIT, exitCodeOf } from "../../src/report/exit-codes.js";

/** Runs a command of this repository; an error is one line on stderr, and an exit code as of svq itself. */
export async function runProgram(program: Command): Promise<void> {
  try {
    await program.exitOverride().parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
      return;
    }
    process.exitCode = exitCodeOf(error);
    process.stderr.write(`${program.name()}: ${(error as Error).message}\n`);
  }
}
