import { isMainThread } from "node:worker_threads";
import { type Logger, pino } from "pino";
import { UsageError } from "./exit-codes.js";

/** The levels of the log, from everything to nothing. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** What the log of a process is made with. */
export interface LogOptions {
  /** One of LOG_LEVELS, as the user wrote it. */
  readonly level: string;
  /** Where the lines go; stderr unless told, since stdout belongs to the results. */
  readonly fd?: number;
}

/**
 * Opens the log of the process: JSON lines on stderr, each written before the call returns.
 *
 * Synchronous, because an asynchronous log loses its last lines when the process ends, which are the ones wanted.
 * Throws UsageError for an unknown level, and Error in a worker: workers report through their control port.
 */
export function openLog(options: LogOptions): Logger {
  if (!isMainThread) throw new Error("the log belongs to the main thread");
  if (!LOG_LEVELS.some((level) => level === options.level)) {
    throw new UsageError(`unknown log level "${options.level}": one of ${LOG_LEVELS.join(", ")}`);
  }
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ dest: options.fd ?? 2, sync: true }),
  );
}
