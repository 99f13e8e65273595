import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** An event of QEMU. */
export interface QmpEvent {
  readonly event: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

interface Reply extends Partial<QmpEvent> {
  readonly QMP?: object;
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly class: string; readonly desc: string };
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

const COMMAND_TIMEOUT_MS = 60_000;

/** A connection to QEMU's monitor (QMP): commands one by one, and the events so far. */
export class QmpClient {
  readonly events: QmpEvent[] = [];
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #text = "";

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8").on("data", (text: string) => this.#receive(text));
    socket.on("error", () => {});
    socket.on("close", () => this.#abandon("the monitor hung up"));
  }

  /** Connects, as soon as the socket is there, and negotiates; throws when that takes longer than `timeoutMs`. */
  static async connect(path: string, timeoutMs = 30_000): Promise<QmpClient> {
    const client = new QmpClient(await connected(path, timeoutMs));
    await client.execute("qmp_capabilities");
    return client;
  }

  /** Runs a command and returns what it returns; throws with QEMU's own words when it is refused. */
  execute<T = unknown>(command: string, args: object = {}): Promise<T> {
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`${command}: ${COMMAND_TIMEOUT_MS} ms without an answer`));
      }, COMMAND_TIMEOUT_MS);
      const settle = <V>(then: (value: V) => void) => {
        return (value: V) => {
          clearTimeout(timer);
          then(value);
        };
      };
      this.#waiting.set(id, {
        resolve: settle((value: unknown) => resolve(value as T)),
        reject: settle((error: Error) => reject(new Error(`${command}: ${error.message}`))),
      });
      if (this.#socket.destroyed) this.#abandon("the monitor is gone");
      else this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  /** Waits for an event, also one that came before; throws after `timeoutMs`. */
  async event(name: string, timeoutMs: number): Promise<QmpEvent> {
    for (let waited = 0; waited <= timeoutMs; waited += 20) {
      const found = this.events.find(({ event }) => event === name);
      if (found !== undefined) return found;
      await sleep(20);
    }
    throw new Error(`${timeoutMs} ms without the event ${name}`);
  }

  /** Hangs up; commands that wait are refused. */
  close(): void {
    this.#socket.destroy();
  }

  #receive(text: string): void {
    const lines = (this.#text + text).split("\n");
    this.#text = lines.pop()!;
    for (const line of lines) if (line.trim() !== "") this.#take(JSON.parse(line) as Reply);
  }

  #take(reply: Reply): void {
    if (reply.event !== undefined) this.events.push(reply as QmpEvent);
    const waiting = reply.id === undefined ? undefined : this.#waiting.get(reply.id);
    if (waiting === undefined) return;
    this.#waiting.delete(reply.id!);
    if (reply.error === undefined) waiting.resolve(reply.return);
    else waiting.reject(new Error(reply.error.desc));
  }

  #abandon(why: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(why));
    this.#waiting.clear();
  }
}

async function connected(path: string, timeoutMs: number): Promise<Socket> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const socket = connect(path);
    const error = await new Promise<Error | undefined>((resolve) => {
      socket.once("connect", () => resolve(undefined));
      socket.once("error", resolve);
    });
    if (error === undefined) return socket;
    if (Date.now() > end) throw new Error(`no monitor at ${path}: ${error.message}`);
    await sleep(20);
  }
}
