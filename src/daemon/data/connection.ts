import type { UnixSocket } from "../../sys/unix-socket.js";
import { BackEnd, BackEndLost } from "./back-end.js";
import type { DeviceGround } from "./device-events.js";
import type { Watch } from "./fd-loop.js";
import { FrontEnd } from "./front-end.js";
import { isPeerTrouble } from "./trouble.js";
import { VhostDevice } from "./vhost-device.js";

/** What a connection is made with. */
export interface ConnectionParts extends DeviceGround {
  readonly number: number;
  /** Called with the name of each message of vhost-user, on both sides. */
  readonly onMessage: (name: string, way: "received" | "sent") => void;
}

/** A front end that is connected, with the device behind it. */
export class Connection {
  readonly number: number;
  readonly front: FrontEnd;
  readonly device: VhostDevice;
  readonly #watches: Watch[] = [];

  private constructor(number: number, front: FrontEnd, device: VhostDevice) {
    this.number = number;
    this.front = front;
    this.device = device;
  }

  /**
   * Connects a front end that has come to the back end; the socket is the connection's from then on.
   *
   * Throws SocketPathError, BackEndLost and what isPeerTrouble() knows, with everything closed.
   */
  static open(socket: UnixSocket, parts: ConnectionParts): Connection {
    const opened: { close(): void }[] = [socket];
    try {
      const { number, loop, options, patience, onMessage } = parts;
      const { connect: path, backendTimeoutMs: timeoutMs } = options;
      const back = BackEnd.connect({ path, timeoutMs, patience, onSent: (name) => onMessage(name, "sent") });
      opened.push(back);
      const device = new VhostDevice(back, parts);
      opened.push(device);
      const front = new FrontEnd(socket, device, (name) => onMessage(name, "received"));
      const connection = new Connection(number, front, device);
      opened.push({ close: () => connection.#unwatch() });
      connection.#watches.push(loop.watch(front.fd, () => front.read()));
      connection.#watches.push(loop.watch(back.fd, () => back.check()));
      return connection;
    } catch (error) {
      for (const part of opened.reverse()) part.close();
      throw error;
    }
  }

  /**
   * Stops the device, where there still is a back end: what the guest waits for is returned as far as it is done.
   *
   * Returns why the back end was lost on the way, if it was.
   */
  stop(hasBackEnd: boolean): BackEndLost | undefined {
    this.#unwatch();
    try {
      if (hasBackEnd) this.device.stopAll();
    } catch (error) {
      if (error instanceof BackEndLost) return error;
      if (!isPeerTrouble(error)) throw error;
    }
    return undefined;
  }

  /** Closes both sides; it is stopped before. */
  close(): void {
    this.front.close();
    this.device.close();
  }

  #unwatch(): void {
    for (const watch of this.#watches) watch.stop();
  }
}
