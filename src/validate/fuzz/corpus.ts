import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Program } from "../rig/program.js";
import { ProgramError, programFromJson, programToJson } from "../rig/program-json.js";

/** A corpus folder that cannot be read or written, or a file in it that holds no program; the message names it. */
export class CorpusError extends Error {
  override readonly name = "CorpusError";
}

/** A program of a corpus, and the name of its file. */
export interface CorpusEntry {
  readonly name: string;
  readonly program: Program;
}

const SUFFIX = ".json";
const HASH_DIGITS = 16;

/** The programs of a folder by name; makes the folder when there is none. Throws CorpusError. */
export function readCorpus(folder: string): CorpusEntry[] {
  const names = attempt(`${folder} is no folder for a corpus`, () => {
    mkdirSync(folder, { recursive: true });
    return readdirSync(folder);
  });
  return names
    .filter((name) => name.endsWith(SUFFIX))
    .sort()
    .map((name) => ({ name, program: readProgram(join(folder, name)) }));
}

/** The program in a file, as writeProgram() wrote it or somebody by hand. Throws CorpusError. */
export function readProgram(path: string): Program {
  const text = attempt(`${path} cannot be read`, () => readFileSync(path, "utf8"));
  return attempt(`${path} holds no program`, () => programFromJson(JSON.parse(text)));
}

/** Writes a program to a file named by a hash of it, and returns that name. Throws CorpusError. */
export function writeProgram(folder: string, program: Program): string {
  const text = `${JSON.stringify(programToJson(program), undefined, 2)}\n`;
  const name = createHash("sha256").update(text).digest("hex").slice(0, HASH_DIGITS) + SUFFIX;
  attempt(`${folder} takes no more programs`, () => writeFileSync(join(folder, name), text));
  return name;
}

function attempt<T>(complaint: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const known = error instanceof ProgramError || error instanceof SyntaxError || isSystemError(error);
    if (!known) throw error;
    throw new CorpusError(`${complaint}: ${error.message}`);
  }
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && "syscall" in error;
}
