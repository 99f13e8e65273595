import { execFile, spawnSync } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { RunBroken } from "../../src/report/exit-codes.js";
import { packageRoot } from "../../src/workers/worker-url.js";

/** The C programs, each with the flags that suit its work. */
const TWINS = {
  relay: ["-O2"],
  iova: ["-O2"],
  walk: ["-O2"],
  ring: ["-O2", "-pthread"],
  bitmap: ["-O3", "-march=native"],
} as const;

/** The name of a C program. */
export type TwinName = keyof typeof TWINS;

/** What compiles the twins on this machine. */
export interface Compiler {
  /** First line of what it says of itself. */
  readonly version: string;
  readonly flags: Readonly<Record<TwinName, string>>;
}

/** Looks for a C compiler; the reason when there is none that works. */
export function findCompiler(command = "cc"): Compiler | string {
  const { error, status, stdout } = spawnSync(command, ["--version"], { encoding: "utf8", timeout: 10_000 });
  if (error !== undefined) return `no C compiler: ${command} did not run (${(error as NodeJS.ErrnoException).code})`;
  if (status !== 0) return `no C compiler: ${command} --version ended with ${status}`;
  const flags = Object.fromEntries(Object.entries(TWINS).map(([name, words]) => [name, words.join(" ")]));
  return { version: stdout.split("\n")[0]!.trim(), flags: flags as Record<TwinName, string> };
}

/** Compiles one twin into a folder; gives the program's path. Throws RunBroken with what the compiler said. */
export async function compileTwin(name: TwinName, folder: string): Promise<string> {
  const program = join(folder, `twin-${name}`);
  const source = join(packageRoot(), "bench", "twin", `${name}.c`);
  try {
    await promisify(execFile)("cc", [...TWINS[name], "-Wall", "-o", program, source]);
    return program;
  } catch (error) {
    const { stderr, message } = error as Error & { readonly stderr?: string };
    throw new RunBroken(`${source} does not compile: ${stderr || message}`);
  }
}
