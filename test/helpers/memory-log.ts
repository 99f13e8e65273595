import { type Logger, pino } from "pino";

/** A log that a test can read, line by line. */
export function memoryLog(): { readonly log: Logger; readonly lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const write = (text: string) => lines.push(JSON.parse(text) as Record<string, unknown>);
  return { log: pino({ level: "trace" }, { write }), lines };
}
