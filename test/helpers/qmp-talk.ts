import { connect, type Socket } from "node:net";

/** A reply, an event or the greeting. */
export type QmpMessage = Readonly<Record<string, unknown>>;

/** A client of a control socket that sends what it likes and keeps what comes. */
export class QmpTalk {
  readonly socket: Socket;
  readonly messages: QmpMessage[] = [];
  ended = false;
  #held = "";
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding("utf8").on("data", (text) => this.#take(String(text)));
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      this.ended = true;
      this.#wake?.();
    });
  }

  /** Connects; the greeting is the first message. */
  static async connect(path: string): Promise<QmpTalk> {
    const socket = connect({ path, allowHalfOpen: true });
    const talk = new QmpTalk(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return talk;
  }

  /** Connects and negotiates. */
  static async negotiated(path: string): Promise<QmpTalk> {
    const talk = await QmpTalk.connect(path);
    await talk.next();
    await talk.ask({ execute: "qmp_capabilities" });
    return talk;
  }

  /** Sends a line and returns the next message. */
  async ask(message: object | string): Promise<QmpMessage> {
    this.socket.write(`${typeof message === "string" ? message : JSON.stringify(message)}\n`);
    return this.next();
  }

  /** Takes the oldest message that was not taken; throws when the session ends or none comes within 20 s. */
  async next(): Promise<QmpMessage> {
    await this.#until(() => this.messages.length > 0 || this.ended);
    const message = this.messages.shift();
    if (message === undefined) throw new Error("the session is over");
    return message;
  }

  /** Waits until the daemon has ended the session. */
  over(): Promise<void> {
    return this.#until(() => this.ended);
  }

  async #until(there: () => boolean): Promise<void> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake?.();
    }, 20_000);
    try {
      while (!there()) {
        if (late) throw new Error("no message came");
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #take(text: string): void {
    this.#held += text;
    const lines = this.#held.split("\n");
    this.#held = lines.pop()!;
    for (const line of lines) this.messages.push(JSON.parse(line) as QmpMessage);
    this.#wake?.();
  }
}
