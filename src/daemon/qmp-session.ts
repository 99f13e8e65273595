import type { Socket } from "node:net";
import { CLIENT_LINE_BYTES_MAX, ControlError, type ControlEvent, isRecord } from "./control-messages.js";
import { LineSplitter } from "./line-splitter.js";
import type { Router } from "./router.js";

/** Bytes that may wait for a client that does not read; with more it is dropped. */
const UNREAD_BYTES_MAX = 8 * 2 ** 20;
/** Milliseconds that the last bytes get to leave when the daemon closes a session. */
const FAREWELL_MS = 200;

/** What is said to a client when it connects; `package` is the relay's version. */
export interface Greeting {
  readonly QMP: { readonly version: object; readonly capabilities: readonly string[] };
}

/** What a session needs around it. */
export interface SessionHost {
  readonly router: Router;
  readonly greeting: Greeting;
  /** Called once when the session is over; `why` when the daemon dropped it. */
  ended(session: QmpSession, why?: string): void;
}

/**
 * One client of the control socket: commands in, replies in their order and events out.
 *
 * A command starts when the one before it is answered, and nothing is read meanwhile: a client cannot pile up work.
 */
export class QmpSession {
  readonly #socket: Socket;
  readonly #host: SessionHost;
  readonly #lines = new LineSplitter(CLIENT_LINE_BYTES_MAX);
  #negotiated = false;
  #busy = false;
  #dropped: string | undefined;
  #half = false;

  constructor(socket: Socket, host: SessionHost) {
    this.#socket = socket;
    this.#host = host;
    socket.on("data", (piece) => void this.#take(piece as Buffer));
    socket.on("end", () => this.#atEnd());
    // A reset is the client's way to leave; "close" follows.
    socket.on("error", () => {});
    socket.on("close", () => host.ended(this, this.#dropped));
    this.#write(host.greeting);
  }

  /** Tells the client what happened, once it has negotiated. */
  tell(event: ControlEvent): void {
    if (this.#negotiated) this.#write(event);
  }

  /** Ends the session; what is written leaves first if it leaves soon. */
  close(): void {
    this.#socket.end();
    const timer = setTimeout(() => this.#socket.destroy(), FAREWELL_MS);
    this.#socket.once("close", () => clearTimeout(timer));
  }

  async #take(piece: Buffer): Promise<void> {
    this.#busy = true;
    this.#socket.pause();
    for (const line of this.#lines.push(piece)) {
      if (this.#socket.destroyed) return;
      this.#write(await this.#answered(line));
    }
    this.#busy = false;
    if (this.#half) this.#socket.end();
    else this.#socket.resume();
  }

  #atEnd(): void {
    this.#half = true;
    if (!this.#busy) this.#socket.end();
  }

  /** The reply to a line; undefined to an empty one. */
  async #answered(line: string | undefined): Promise<object | undefined> {
    if (line?.trim() === "") return undefined;
    const id: { id?: unknown } = {};
    try {
      if (line === undefined) throw new ControlError("GenericError", `a line has over ${CLIENT_LINE_BYTES_MAX} bytes`);
      const message = parsed(line);
      if (Object.hasOwn(message, "id")) id.id = repeatable(message["id"]);
      const { execute, args } = checked(message);
      return { return: await this.#execute(execute, args), ...id };
    } catch (error) {
      const errorClass = error instanceof ControlError ? error.errorClass : "GenericError";
      return { error: { class: errorClass, desc: (error as Error).message }, ...id };
    }
  }

  async #execute(execute: string, args: Record<string, unknown>): Promise<object> {
    if (this.#negotiated) return this.#host.router.execute(execute, args);
    if (execute !== "qmp_capabilities") {
      throw new ControlError("CommandNotFound", "the first command of a session is qmp_capabilities");
    }
    const { enable = [], ...others } = args;
    const other = Object.keys(others)[0];
    if (other !== undefined) {
      throw new ControlError("GenericError", `qmp_capabilities has no argument ${JSON.stringify(other.slice(0, 64))}`);
    }
    if (!Array.isArray(enable) || enable.length > 0) {
      throw new ControlError("GenericError", 'argument "enable" of qmp_capabilities: there are no capabilities');
    }
    this.#negotiated = true;
    return {};
  }

  #write(message: object | undefined): void {
    if (message === undefined || this.#socket.destroyed || this.#socket.writableEnded) return;
    this.#socket.write(`${JSON.stringify(message)}\n`);
    if (this.#socket.writableLength <= UNREAD_BYTES_MAX) return;
    this.#dropped = `it left ${this.#socket.writableLength} bytes unread`;
    this.#socket.destroy();
  }
}

function parsed(line: string): Record<string, unknown> {
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch {
    throw new ControlError("GenericError", "a line that is no JSON");
  }
  if (!isRecord(message)) throw new ControlError("GenericError", "a line that is no JSON object");
  return message;
}

function checked(message: Record<string, unknown>): { execute: string; args: Record<string, unknown> } {
  const { execute, arguments: args = {}, id: _, ...others } = message;
  const other = Object.keys(others)[0];
  if (other !== undefined) {
    throw new ControlError("GenericError", `a command has no member ${JSON.stringify(other.slice(0, 64))}`);
  }
  if (typeof execute !== "string") throw new ControlError("GenericError", 'a command has "execute" with its name');
  if (!isRecord(args)) throw new ControlError("GenericError", 'member "arguments" is no object');
  return { execute, args };
}

/** An id goes back as it came; one that nests so deeply that it cannot be written is refused. */
function repeatable(id: unknown): unknown {
  try {
    JSON.stringify(id);
    return id;
  } catch {
    throw new ControlError("GenericError", 'member "id" nests too deeply');
  }
}
