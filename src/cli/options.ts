import { accessSync, closeSync, constants, existsSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { type Command, Option } from "commander";
import { readConfigFile } from "../lab/config-file.js";
import type { PathChoice } from "../lab/paths.js";
import { parsePaths, SETTINGS } from "../lab/settings.js";
import type { MachineConfig } from "../machine/config.js";
import { UsageError } from "../report/exit-codes.js";

/** What the options and the config file of a command come to. */
export interface Asked {
  readonly asked: Partial<MachineConfig>;
  readonly paths: PathChoice[] | undefined;
  readonly input: string | undefined;
  readonly rounds: number | undefined;
}

/** Adds an option for every setting of a machine, and --config. */
export function addSettings(command: Command): Command {
  for (const { key, argument = "", help, parse } of SETTINGS) {
    command.addOption(
      new Option(`--${key.replaceAll("_", "-")} ${argument}`, help).argParser(parse).helpGroup("Machine:"),
    );
  }
  return command.addOption(
    new Option("--config <file>", "settings from a YAML file; options win").helpGroup("Machine:"),
  );
}

/** Joins defaults, config file and options; options win. Throws UsageError. */
export function askedBy(command: Command): Asked {
  const options = command.opts<Record<string, unknown>>();
  const file = options["config"] === undefined ? undefined : readConfigFile(String(options["config"]));
  const asked: Record<string, unknown> = { ...file?.asked };
  for (const { key, field } of SETTINGS) {
    const value = options[camelCase(key)];
    if (value !== undefined) asked[field] = value;
  }
  return {
    asked: asked as Partial<MachineConfig>,
    paths: options["paths"] === undefined ? file?.paths : parsePaths(String(options["paths"])),
    input: (options["input"] as string | undefined) ?? file?.input,
    rounds: (options["rounds"] as number | undefined) ?? file?.rounds,
  };
}

/** Turns what --json took (nothing, or a file) into a file name; undefined when it was not given. */
export function jsonFile(option: unknown): string | undefined {
  if (option === undefined || option === false) return undefined;
  return option === true ? "-" : String(option);
}

/** Refuses a file that cannot be written, before time is spent on what goes into it; throws UsageError. */
export function checkWritable(file: string | undefined): void {
  if (file === undefined || file === "-") return;
  try {
    if (existsSync(file)) closeSync(openSync(file, "r+"));
    else accessSync(dirname(file), constants.W_OK);
  } catch (error) {
    throw new UsageError(`cannot write ${file}: ${(error as NodeJS.ErrnoException).code}`);
  }
}

/** Refuses what remains of a command line. */
export function noOperands(command: Command): void {
  if (command.args.length > 0) throw new UsageError(`unexpected argument "${command.args[0]}"`);
}

function camelCase(key: string): string {
  return key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
