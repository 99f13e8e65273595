import { createServer, type Server, type Socket } from "node:net";
import type { Logger } from "pino";
import type { ControlEvent } from "./control-messages.js";
import { type Greeting, QmpSession } from "./qmp-session.js";
import type { Router } from "./router.js";
import { listenAt, type SocketFile } from "./socket-file.js";

/** Clients at one time; a further one is closed at once. */
const SESSIONS_MAX = 64;

/** The Unix socket on which the daemon is asked and told: QMP's framing, one JSON object a line, mode 0600. */
export class ControlSocket {
  readonly #server: Server;
  readonly #sessions = new Set<QmpSession>();
  readonly #router: Router;
  readonly #greeting: Greeting;
  readonly #log: Logger;
  #file: SocketFile | undefined;

  private constructor(router: Router, version: string, log: Logger) {
    this.#router = router;
    this.#log = log;
    this.#greeting = { QMP: { version: versionOf(version), capabilities: [] } };
    // A client that has sent its last command still gets its replies.
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  /** Listens at a path; throws UsageError when it cannot. */
  static async listen(path: string, router: Router, version: string, log: Logger): Promise<ControlSocket> {
    const control = new ControlSocket(router, version, log);
    control.#file = await listenAt(control.#server, path);
    control.#server.on("error", (error) => log.error({ control: path }, `control socket: ${error.message}`));
    return control;
  }

  /** Tells every session that has negotiated. */
  tell(event: ControlEvent): void {
    for (const session of this.#sessions) session.tell(event);
  }

  /** Takes no more clients, removes the socket file if it is still ours, and ends the sessions. */
  async close(): Promise<void> {
    this.removeFile();
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    for (const session of this.#sessions) session.close();
    await closed;
  }

  /** Removes the socket file if it is still ours: all that is left to do when the process ends at once. */
  removeFile(): void {
    this.#file?.remove();
  }

  #accept(socket: Socket): void {
    if (this.#sessions.size >= SESSIONS_MAX) {
      this.#log.warn(`control socket: more than ${SESSIONS_MAX} clients, one closed`);
      socket.on("error", () => {}).destroy();
      return;
    }
    const ended = (session: QmpSession, why?: string) => {
      this.#sessions.delete(session);
      if (why !== undefined) this.#log.warn(`control socket: client dropped: ${why}`);
    };
    this.#sessions.add(new QmpSession(socket, { router: this.#router, greeting: this.#greeting, ended }));
  }
}

function versionOf(version: string): object {
  const [major = 0, minor = 0, micro = 0] = version.split(".").map(Number);
  return { svq: { major, minor, micro }, package: `svq ${version}` };
}
