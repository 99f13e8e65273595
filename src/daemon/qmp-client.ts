import { connect, type Socket } from "node:net";
import { UsageError } from "../report/exit-codes.js";
import { ControlError, type ControlEvent, DEVICE_LINE_BYTES_MAX, parseDeviceLine } from "./control-messages.js";
import { LineSplitter } from "./line-splitter.js";

/** Milliseconds that the daemon has to greet. */
const GREETING_MS = 5000;

/** What a client hears besides its answers. */
export interface ClientHeard {
  event(event: ControlEvent): void;
  /** The daemon is gone, or says what makes no sense; called once, not after close(). */
  gone(): void;
}

/** A client of the control socket: commands one after the other or at once, events in between. */
export class QmpClient {
  readonly #socket: Socket;
  readonly #heard: ClientHeard;
  readonly #pending = new Map<number, { resolve: (value: object) => void; reject: (error: Error) => void }>();
  #greeted: (() => void) | undefined;
  #nextId = 1;
  #closed = false;

  private constructor(socket: Socket, heard: ClientHeard) {
    this.#socket = socket;
    this.#heard = heard;
    const lines = new LineSplitter(2 * DEVICE_LINE_BYTES_MAX);
    socket.on("data", (piece) => {
      for (const line of lines.push(piece as Buffer)) this.#take(line);
    });
    socket.on("error", () => {});
    socket.on("close", () => this.#over());
  }

  /** Connects and negotiates; throws UsageError when no daemon answers at the path. */
  static async connect(path: string, heard: ClientHeard): Promise<QmpClient> {
    const socket = await connected(path);
    const client = new QmpClient(socket, heard);
    try {
      await client.#greeting();
      await client.execute("qmp_capabilities");
      return client;
    } catch (error) {
      client.close();
      throw new UsageError(`${path}: no daemon of svq answers there`, { cause: error });
    }
  }

  /** Executes a command; rejects with ControlError, also when the daemon goes away before it answers. */
  execute(execute: string, args: Readonly<Record<string, unknown>> = {}): Promise<object> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(lost());
      const id = this.#nextId++;
      this.#pending.set(id, { resolve, reject });
      this.#socket.write(`${JSON.stringify({ execute, arguments: args, id })}\n`);
    });
  }

  /** Leaves. */
  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }

  #greeting(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(lost()), GREETING_MS);
      this.#socket.once("close", () => {
        clearTimeout(timer);
        reject(lost());
      });
      this.#greeted = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #take(text: string | undefined): void {
    if (this.#greeted !== undefined) {
      if (text?.startsWith('{"QMP":') !== true) return void this.#socket.destroy();
      this.#greeted();
      this.#greeted = undefined;
      return;
    }
    const line = parseDeviceLine(text ?? "");
    if (line.kind === "event") this.#heard.event(line.event);
    else if (line.kind === "bad" || line.kind === "log") this.#socket.destroy();
    else {
      const pending = this.#pending.get(line.id);
      this.#pending.delete(line.id);
      if (line.kind === "return") pending?.resolve(line.value);
      else pending?.reject(line.error);
    }
  }

  #over(): void {
    const wasClosed = this.#closed;
    this.#closed = true;
    for (const { reject } of this.#pending.values()) reject(lost());
    this.#pending.clear();
    if (!wasClosed) this.#heard.gone();
  }
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(socket));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      reject(new UsageError(`cannot connect to ${path}: ${error.code ?? error.message}`, { cause: error }));
    });
  });
}

function lost(): ControlError {
  return new ControlError("DeviceNotActive", "the daemon is gone");
}
