import { closeAll, type OwnedFd } from "../../sys/fd.js";
import { SocketFault, type UnixSocket } from "../../sys/unix-socket.js";
import { awaitsReply, checkMessage, faultAction } from "../../vhost-user/check-message.js";
import { encodeAck, encodeReply, type Message, MessageReader } from "../../vhost-user/codec.js";
import { MessageFault } from "../../vhost-user/message-fault.js";
import { messageRule, requestName } from "../../vhost-user/requests.js";
import { BackEndRefused } from "./back-end.js";
import { answerTo } from "./front-messages.js";
import { isPeerTrouble } from "./trouble.js";
import type { VhostDevice } from "./vhost-device.js";

/** Messages that one turn takes, so that a flood of them cannot stop the queues. */
const MESSAGES_A_TURN = 32;

/** Why a connection of the front end ended, in words; nothing of it is used any more. */
export class FrontEndGone extends Error {
  override readonly name = "FrontEndGone";
}

/** The connection from the front end, of which the relay is the back end: reads, judges, answers. */
export class FrontEnd {
  readonly #socket: UnixSocket;
  readonly #device: VhostDevice;
  readonly #onReceived: (name: string) => void;
  readonly #reader = new MessageReader<OwnedFd>();
  readonly #piece = new Uint8Array(4096);

  constructor(socket: UnixSocket, device: VhostDevice, onReceived: (name: string) => void) {
    this.#socket = socket;
    this.#device = device;
    this.#onReceived = onReceived;
  }

  /** For a poller. */
  get fd(): number {
    return this.#socket.fd;
  }

  /** Takes what is there, up to a number of messages; throws FrontEndGone when the connection has ended, or has to. */
  read(): void {
    try {
      for (let taken = 0; taken < MESSAGES_A_TURN; ) {
        const target = this.#piece.subarray(0, this.#reader.wantBytes);
        const received = this.#socket.receive(target);
        if (received.kind === "nothing") return;
        if (received.kind === "end") throw new FrontEndGone(this.#reader.end()?.message ?? "closed");
        const { messages, fault } = this.#reader.read(target.subarray(0, received.bytes), received.fds);
        for (const message of messages) this.#take(message);
        if (fault !== undefined) throw new FrontEndGone(fault.message);
        taken += messages.length;
      }
    } catch (error) {
      if (error instanceof SocketFault) throw new FrontEndGone(error.message);
      throw error;
    }
  }

  close(): void {
    closeAll(this.#reader.takeFds());
    this.#socket.close();
  }

  #take(message: Message<OwnedFd>): void {
    // Numbers without a name are counted together: there are 2^32 of them.
    this.#onReceived(messageRule(message.request)?.name ?? "unknown");
    const { session } = this.#device;
    try {
      const fault = checkMessage(message, session);
      if (fault !== undefined) throw fault;
      const body = answerTo(message, this.#device);
      if (body !== undefined) this.#send(encodeReply(message.request, body));
      else if (awaitsReply(message, session)) this.#send(encodeAck(message.request, true));
    } catch (error) {
      this.#refuse(message, error);
    } finally {
      // Whoever keeps a descriptor has made it its own: closing an empty owner does nothing.
      closeAll(message.fds);
    }
  }

  /** Answers what cannot be done with an error, where the sender waits for an answer; ends the connection otherwise. */
  #refuse(message: Message<OwnedFd>, error: unknown): void {
    const name = messageRule(message.request)?.name ?? requestName(message.request);
    if (!isPeerTrouble(error)) throw error;
    const fault = error instanceof MessageFault ? error : new MessageFault("wrong-state", error.message);
    const soft = error instanceof BackEndRefused || faultAction(fault, message, this.#device.session) === "error-reply";
    if (!soft || !awaitsReply(message, this.#device.session)) throw new FrontEndGone(`${name}: ${error.message}`);
    this.#send(encodeAck(message.request, false));
  }

  #send(bytes: Uint8Array): void {
    // Nobody waits for a front end to read: a socket holds hundreds of answers, and it asks one question at a time.
    if (this.#socket.send(bytes) !== bytes.length) throw new FrontEndGone("takes no answers");
  }
}
