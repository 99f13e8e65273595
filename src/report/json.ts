import { writeFileSync } from "node:fs";
import { RunBroken, UsageError } from "./exit-codes.js";

/** What is wrong with the name the user gave, rather than with the machine. */
const BAD_NAME = new Set(["ENOENT", "ENOTDIR", "EISDIR", "EACCES", "EPERM", "EROFS", "ENAMETOOLONG", "ELOOP"]);
/** The reader has left, as `head` does. */
const READER_LEFT = new Set(["EPIPE", "ERR_STREAM_DESTROYED"]);

/**
 * Writes one document and a newline to a file, or to stdout when there is no name or it is "-".
 *
 * Ends quietly when the reader of stdout has left. Throws UsageError for a name that cannot be written, RunBroken when
 * the machine fails (disk full).
 */
export async function writeJson(
  document: object,
  file = "-",
  stdout: NodeJS.WritableStream = process.stdout,
): Promise<void> {
  const text = `${JSON.stringify(document)}\n`;
  if (file === "-") await writeText(text, stdout);
  else writeFile(text, file);
}

/** Writes text to stdout and waits until it is out; false when the reader has left, RunBroken for other failures. */
export function writeText(text: string, stdout: NodeJS.WritableStream = process.stdout): Promise<boolean> {
  return new Promise((resolve, reject) => {
    // A failing stream also emits the error that the callback gets; without a listener that ends the process.
    const heardByCallback = () => {};
    stdout.once("error", heardByCallback);
    stdout.write(text, (error) => {
      if (!error) stdout.removeListener("error", heardByCallback);
      if (!error) resolve(true);
      else if (READER_LEFT.has(codeOf(error))) resolve(false);
      else reject(new RunBroken(`cannot write to stdout: ${error.message}`, { cause: error }));
    });
  });
}

function writeFile(text: string, file: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    const code = codeOf(error);
    const message = `cannot write ${file}: ${code}`;
    throw BAD_NAME.has(code) ? new UsageError(message, { cause: error }) : new RunBroken(message, { cause: error });
  }
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException).code);
}
