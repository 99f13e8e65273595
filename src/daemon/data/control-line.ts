import { closeAll, OwnedFd } from "../../sys/fd.js";
import { UnixSocket } from "../../sys/unix-socket.js";

/** The longest line that is taken: more than any command has. */
const LINE_BYTES_MAX = 1 << 16;
/** How long the main process may take to read an answer, in milliseconds. */
const SEND_MS = 2_000;

/** What a line from the main process asks. */
export interface Command {
  readonly execute: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly id: unknown;
}

/** The line to the main process: commands in, answers, events and log records out, one JSON document a line. */
export class ControlLine {
  readonly #socket: UnixSocket;
  readonly #piece = new Uint8Array(16_384);
  #kept = "";
  #broken = false;
  readonly #decoder = new TextDecoder();

  /** Speaks on a connected Unix socket that this process has inherited. */
  constructor(fd: number) {
    this.#socket = new UnixSocket(new OwnedFd(fd));
  }

  /** For a poller. */
  get fd(): number {
    return this.#socket.fd;
  }

  /** Takes the commands that are there; undefined once the main process is gone. */
  read(): Command[] | undefined {
    const commands: Command[] = [];
    for (;;) {
      if (this.#broken) return undefined;
      const received = this.#socket.receive(this.#piece);
      closeAll(received.fds);
      if (received.kind === "end") return undefined;
      if (received.kind === "nothing") return commands;
      this.#kept += this.#decoder.decode(this.#piece.subarray(0, received.bytes), { stream: true });
      if (this.#kept.length > LINE_BYTES_MAX) return undefined;
      const lines = this.#kept.split("\n");
      this.#kept = lines.pop()!;
      commands.push(...lines.flatMap(commandOf));
    }
  }

  /** Answers a command. */
  answer(id: unknown, value: object): void {
    this.#send({ return: value, id });
  }

  /** Says why a command is not carried out. */
  refuse(
    id: unknown,
    desc: string,
    kind: "GenericError" | "CommandNotFound" | "DeviceNotActive" = "GenericError",
  ): void {
    this.#send({ error: { class: kind, desc }, id });
  }

  /** Tells what happened. */
  event(event: string, data: object = {}): void {
    const now = Date.now();
    const timestamp = { seconds: Math.floor(now / 1000), microseconds: (now % 1000) * 1000 };
    this.#send({ event, data, timestamp });
  }

  /** Leaves a record for the log, which the main process writes. */
  log(level: "debug" | "info" | "warn" | "error", msg: string, fields: object = {}): void {
    this.#send({ log: { level, msg, ...fields } });
  }

  close(): void {
    this.#socket.close();
  }

  #send(document: object): void {
    if (this.#broken) return;
    const bytes = new TextEncoder().encode(`${JSON.stringify(document)}\n`);
    try {
      // Half a line makes nonsense of all that follow.
      this.#broken = this.#socket.send(bytes, [], SEND_MS) !== bytes.length;
    } catch {
      // The main process is gone: its end of the line says so when it is read.
    }
  }
}

/** A line that is no command comes from no main process of ours, and is passed over. */
function commandOf(line: string): Command[] {
  try {
    const { execute, arguments: given, id } = JSON.parse(line) as Partial<Command>;
    if (typeof execute === "string") return [{ execute, arguments: given ?? {}, id }];
  } catch {
    // As below.
  }
  return [];
}
