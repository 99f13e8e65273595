/** What a command tells its caller by ending. */
export const EXIT = {
  /** Everything done, every gate passed. */
  done: 0,
  /** A gate or check failed. */
  gateFailed: 1,
  /** Wrong usage or unusable input. */
  usage: 2,
  /** Worse than the baseline. */
  regression: 3,
  /** The run itself broke: a worker or peer died, the disk is full. */
  broken: 4,
  /** Ended by SIGINT. */
  interrupted: 130,
  /** Ended by SIGTERM. */
  terminated: 143,
} as const;

/** An exit code of ours. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Wrong usage or unusable input; the message is one line saying what and where. */
export class UsageError extends Error {
  override readonly name = "UsageError";

  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
}

/** The run could not go on, through no fault of the user; the message is one line. */
export class RunBroken extends Error {
  override readonly name = "RunBroken";

  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
}

/** The exit code for an error that ended a command (ConfigError is the layers' UsageError); all else broke the run. */
export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof UsageError || (error as Error | undefined)?.name === "ConfigError" ? EXIT.usage : EXIT.broken;
}

function oneLine(message: string): string {
  return message.replaceAll(/\s*[\r\n]+\s*/g, " ").trim();
}
