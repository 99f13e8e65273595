import { closeSync, constants, fstatSync, openSync, readSync, writeFileSync } from "node:fs";
import { RunBroken, UsageError } from "../../report/exit-codes.js";
import type { Trace } from "./trace.js";
import { readTrace, TRACE_BYTES_MAX, TraceError, writeTrace } from "./trace-format.js";

/** Writes a trace to a file; throws UsageError for a name that cannot be written, RunBroken when the disk is full. */
export function writeTraceFile(path: string, trace: Trace): void {
  const bytes = writeTrace(trace);
  try {
    writeFileSync(path, bytes);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new (code === "ENOSPC" ? RunBroken : UsageError)(`cannot write trace ${path}: ${code}`, { cause: error });
  }
}

/** Reads a trace from a file; throws UsageError for one that cannot be read or is no sound trace. */
export function readTraceFile(path: string): Trace {
  try {
    return readTrace(fileBytes(path));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (!(error instanceof TraceError) && code === undefined) throw error;
    throw new UsageError(`cannot read trace ${path}: ${code ?? message}`, { cause: error });
  }
}

/** At most as many bytes as a trace may have, of a regular file: neither a pipe nor a disk keeps anybody waiting. */
function fileBytes(path: string): Uint8Array {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new TraceError("not a regular file");
    if (stat.size > TRACE_BYTES_MAX) {
      throw new TraceError(`${stat.size} bytes are too many for a trace (${TRACE_BYTES_MAX})`);
    }
    const bytes = new Uint8Array(stat.size);
    let done = 0;
    while (done < bytes.length) {
      const got = readSync(fd, bytes, done, bytes.length - done, done);
      if (got === 0) break;
      done += got;
    }
    return bytes.subarray(0, done);
  } finally {
    closeSync(fd);
  }
}
