import { closeAll, OwnedFd } from "../../sys/fd.js";
import { UnixSocket } from "../../sys/unix-socket.js";

/** The longest line that is taken: more than any command has. */
const LINE_BYTES_MAX = 1 << 16;
/** Bytes that the main process may leave unread, beside what its socket holds; lines beyond are dropped. */
const UNSENT_BYTES_MAX = 1 << 20;
/** How long the main process may take to read the last lines, in milliseconds. */
const LAST_MS = 2_000;
const NOTHING = new Uint8Array(0);

/** What a line from the main process asks. */
export interface Command {
  readonly execute: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly id: unknown;
}

/**
 * The line to the main process: commands in, answers, events and log records out, one JSON document a line.
 * Nobody waits for the main process to read: what it does not take at once is kept, up to a bound.
 */
export class ControlLine {
  readonly #socket: UnixSocket;
  readonly #piece = new Uint8Array(16_384);
  #kept = "";
  #unsent: Uint8Array = NOTHING;
  readonly #decoder = new TextDecoder();
  /** Commands that came while somebody waited for something else. */
  #commands: Command[] = [];
  #gone = false;
  #stopAsked = false;

  /** Speaks on a connected Unix socket that this process has inherited. */
  constructor(fd: number) {
    this.#socket = new UnixSocket(new OwnedFd(fd));
  }

  /** For a poller. */
  get fd(): number {
    return this.#socket.fd;
  }

  /** Whether commands are there that read() has not handed out; no poller tells of them. */
  get hasCommands(): boolean {
    return this.#commands.length > 0;
  }

  /** Takes the commands that are there; undefined once the main process is gone. */
  read(): Command[] | undefined {
    this.#receive();
    const commands = this.#commands;
    this.#commands = [];
    return this.#gone ? undefined : commands;
  }

  /** Whether the main process has ever asked to stop, or is gone; read() hands the command out all the same. */
  stopAsked(): boolean {
    this.#receive();
    return this.#gone || this.#stopAsked;
  }

  #receive(): void {
    while (!this.#gone) {
      const received = this.#socket.receive(this.#piece);
      closeAll(received.fds);
      if (received.kind === "nothing") return;
      this.#gone = received.kind === "end";
      this.#kept += this.#decoder.decode(this.#piece.subarray(0, received.bytes), { stream: true });
      this.#gone ||= this.#kept.length > LINE_BYTES_MAX;
      const lines = this.#kept.split("\n");
      this.#kept = lines.pop()!;
      const commands = lines.flatMap(commandOf);
      this.#stopAsked ||= commands.some(({ execute }) => execute === "stop");
      this.#commands.push(...commands);
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

  /** Sends what is there, as far as it is taken within `timeoutMs`; true when nothing is left. */
  flush(timeoutMs = 0): boolean {
    if (this.#unsent.length === 0) return true;
    try {
      this.#unsent = this.#unsent.subarray(this.#socket.send(this.#unsent, [], timeoutMs));
    } catch {
      // The main process is gone: its end of the line says so when it is read.
      this.#unsent = NOTHING;
    }
    return this.#unsent.length === 0;
  }

  /** Sends what is left and closes. */
  close(): void {
    this.flush(LAST_MS);
    this.#socket.close();
  }

  #send(document: object): void {
    const bytes = new TextEncoder().encode(`${JSON.stringify(document)}\n`);
    // The main process has time limits of its own for what it asked, and counts on no event.
    if (this.#unsent.length + bytes.length > UNSENT_BYTES_MAX) return;
    this.#unsent = this.#unsent.length === 0 ? bytes : Buffer.concat([this.#unsent, bytes]);
    this.flush();
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
