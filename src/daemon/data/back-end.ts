import * as vu from "../../layout/vhost-user.js";
import { featureBit } from "../../layout/virtio-config.js";
import { closeAll, type OwnedFd } from "../../sys/fd.js";
import { SocketPathError } from "../../sys/socket-address.js";
import { type Received, SocketFault, UnixSocket } from "../../sys/unix-socket.js";
import { checkReply } from "../../vhost-user/check-message.js";
import { encodeMessage, type Message, MessageReader } from "../../vhost-user/codec.js";
import { decodeBits, decodeU64, encodeBits } from "../../vhost-user/payloads.js";
import { messageRule, requestName } from "../../vhost-user/requests.js";
import { type Patience, patienceOf, type Wait } from "./patience.js";

const NOTHING = new Uint8Array(0);
const ACK_BYTES = 8;

/** The back end is gone, is silent, or answers what makes no sense: the device is of no more use. */
export class BackEndLost extends Error {
  override readonly name = "BackEndLost";
}

/** The back end said no to a request. */
export class BackEndRefused extends Error {
  override readonly name = "BackEndRefused";
}

/** What is done with a back end: asked, told, and counted. */
export interface BackEndOptions {
  readonly path: string;
  /** Longest wait for anything, in milliseconds. */
  readonly timeoutMs: number;
  /** How long is waited instead. */
  readonly patience?: Patience;
  /** Called with the name of each message that is sent. */
  readonly onSent: (name: string) => void;
}

/**
 * The connection to the device, of which the relay is the front end: one request at a time, each with a time limit.
 *
 * It blocks: nothing goes on beside a change of rings or of memory. Kicks and calls do not pass here.
 */
export class BackEnd {
  readonly #socket: UnixSocket;
  readonly #options: BackEndOptions;
  readonly #patience: Patience;
  readonly #reader = new MessageReader<OwnedFd>();
  readonly #piece = new Uint8Array(4096);
  #replyAck = false;

  private constructor(socket: UnixSocket, options: BackEndOptions, patience: Patience) {
    this.#socket = socket;
    this.#options = options;
    this.#patience = patience;
  }

  /** Connects; throws SocketPathError. */
  static connect(options: BackEndOptions): BackEnd {
    const { path, timeoutMs, patience = patienceOf(timeoutMs) } = options;
    return new BackEnd(connected(path, patience.begin()), options, patience);
  }

  /** For a poller: it becomes readable when the back end closes. */
  get fd(): number {
    return this.#socket.fd;
  }

  /**
   * Sends a request that has a reply; returns its payload, with no descriptors.
   *
   * `behind` may post() what the back end is to find right behind the request, before it does anything else.
   */
  ask(request: number, payload: Uint8Array = NOTHING, fds: readonly OwnedFd[] = [], behind = () => {}): Uint8Array {
    this.#send(request, 0, payload, fds);
    behind();
    return this.#reply(request, payload).payload;
  }

  /** Sends a request that has no reply, without asking for an acknowledgement; the descriptors stay the caller's. */
  post(request: number, payload: Uint8Array, fds: readonly OwnedFd[]): void {
    this.#send(request, 0, payload, fds);
  }

  /** Asks for a set of feature bits. */
  askBits(request: number): bigint {
    return decodeBits(this.ask(request));
  }

  /** Asks for a number below 2^53. */
  askNumber(request: number): number {
    const answer = this.ask(request);
    try {
      return decodeU64(answer);
    } catch (error) {
      throw new BackEndLost(`the back end's answer to ${requestName(request)}: ${(error as Error).message}`);
    }
  }

  /**
   * Tells the back end something; waits until it has done it, if it can say so.
   *
   * The descriptors stay the caller's. Throws BackEndRefused when it says that it could not, BackEndLost.
   */
  tell(request: number, payload: Uint8Array = NOTHING, fds: readonly OwnedFd[] = []): void {
    this.#send(request, this.#replyAck ? vu.VHOST_USER_NEED_REPLY_MASK : 0, payload, fds);
    if (!this.#replyAck) return;
    // The size of every acknowledgement is checked. An error may be any number, -1 among them: it is not read as one.
    const answer = this.#reply(request, payload).payload.subarray(0, ACK_BYTES);
    if (answer.some((byte) => byte !== 0)) throw new BackEndRefused(`the back end refused ${requestName(request)}`);
  }

  /** Passes a request of the front end's on; returns the payload of the reply, where there is one with a body. */
  pass(request: number, payload: Uint8Array): Uint8Array | undefined {
    if (messageRule(request)?.reply === "always") return this.ask(request, payload);
    this.tell(request, payload);
    return undefined;
  }

  /** Agrees on protocol features; from then on the back end acknowledges, if that is among them. */
  agree(protocolFeatures: bigint): void {
    this.#send(vu.VHOST_USER_SET_PROTOCOL_FEATURES, 0, encodeBits(protocolFeatures), []);
    this.#replyAck = (protocolFeatures & featureBit(vu.VHOST_USER_PROTOCOL_F_REPLY_ACK)) !== 0n;
  }

  /** Whether the back end is still there; call it when the socket is readable. Throws BackEndLost when it is not. */
  check(): void {
    const received = this.#receive(this.#piece, 0);
    closeAll(received.fds);
    if (received.kind === "end") throw new BackEndLost("the back end closed the connection");
    if (received.kind === "bytes") throw new BackEndLost("the back end speaks unasked");
  }

  close(): void {
    closeAll(this.#reader.takeFds());
    this.#socket.close();
  }

  #send(request: number, flags: number, payload: Uint8Array, fds: readonly OwnedFd[]): void {
    const bytes = encodeMessage(request, flags, payload);
    const wait = this.#patience.begin();
    this.#options.onSent(requestName(request));
    try {
      let sent = 0;
      do {
        sent += this.#socket.send(bytes.subarray(sent), sent === 0 ? fds : [], wait.sliceMs);
        if (sent === bytes.length) return;
      } while (wait.leftMs > 0);
    } catch (error) {
      if (error instanceof SocketFault) throw new BackEndLost(`the back end closed the connection`);
      throw error;
    }
    throw new BackEndLost(`the back end does not take ${requestName(request)}`);
  }

  #receive(target: Uint8Array, timeoutMs: number): Received {
    try {
      return this.#socket.receive(target, timeoutMs);
    } catch (error) {
      // Whatever was lost of an answer: from here on nobody knows which answer belongs to what.
      throw new BackEndLost(`the back end's answer: ${(error as Error).message}`);
    }
  }

  #reply(request: number, payload: Uint8Array): Message<OwnedFd> {
    const name = requestName(request);
    const wait = this.#patience.begin();
    for (;;) {
      const target = this.#piece.subarray(0, this.#reader.wantBytes);
      const received = this.#receive(target, wait.sliceMs);
      if (received.kind === "nothing") {
        if (wait.leftMs > 0) continue;
        throw new BackEndLost(`the back end has not answered ${name} within ${wait.limit}`);
      }
      if (received.kind === "end") throw new BackEndLost(`the back end closed the connection at ${name}`);
      const { messages, fault } = this.#reader.read(target.subarray(0, received.bytes), received.fds);
      if (fault !== undefined) throw new BackEndLost(`the back end's answer to ${name}: ${fault.message}`);
      const reply = messages[0];
      if (reply === undefined) continue;
      closeAll(reply.fds);
      const wrong = checkReply(reply, { request, payload });
      if (wrong !== undefined) throw new BackEndLost(`the back end's answer to ${name}: ${wrong.message}`);
      return reply;
    }
  }
}

/** Connects in pieces of the wait, of which a stop may shorten the rest. */
function connected(path: string, wait: Wait): UnixSocket {
  for (;;) {
    try {
      return UnixSocket.connect(path, wait.sliceMs);
    } catch (error) {
      const full = error instanceof SocketPathError && error.reason === "busy";
      if (!full || wait.leftMs === 0) throw error;
    }
  }
}
