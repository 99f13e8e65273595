/**
 * A process between a relay and its back end that passes everything on and prints what the back end is sent.
 *
 *   back-end-tap.js LISTEN CONNECT
 *
 * One line a message, with the first eight bytes of its payload as a number: what a back end received, seen by somebody
 * who is not the relay. It serves one connection and ends with it.
 */
import { FdLoop } from "../../../src/daemon/data/fd-loop.js";
import { closeAll } from "../../../src/sys/fd.js";
import { UnixListener } from "../../../src/sys/unix-listener.js";
import { UnixSocket } from "../../../src/sys/unix-socket.js";
import { MessageReader } from "../../../src/vhost-user/codec.js";
import { requestName } from "../../../src/vhost-user/requests.js";

const WAIT_MS = 300_000;
const PATIENCE_MS = 60_000;

const [listen, connect] = process.argv.slice(2) as [string, string];
const front = accepted(listen);
const back = UnixSocket.connect(connect, PATIENCE_MS);
const reader = new MessageReader<never>();
const piece = new Uint8Array(8192);
const loop = new FdLoop();
let ended = false;
loop.watch(front.fd, () => pass(front, back, reader.wantBytes, tell));
loop.watch(back.fd, () => pass(back, front, piece.length));
while (!ended) loop.turn(WAIT_MS);

/** Descriptors come with the first byte of a message, and leave with it. */
function pass(from: UnixSocket, to: UnixSocket, most: number, see: (bytes: Uint8Array) => void = () => {}): void {
  const received = from.receive(piece.subarray(0, most));
  if (received.kind === "bytes") {
    const bytes = piece.subarray(0, received.bytes);
    see(bytes);
    to.send(bytes, received.fds, PATIENCE_MS);
    closeAll(received.fds);
  } else if (received.kind === "end") {
    ended = true;
  }
}

function tell(bytes: Uint8Array): void {
  for (const { request, payload } of reader.read(bytes, []).messages) {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const value = payload.byteLength < 8 ? "" : ` 0x${view.getBigUint64(0, true).toString(16)}`;
    process.stdout.write(`${requestName(request)}${value}\n`);
  }
}

function accepted(path: string): UnixSocket {
  const listener = UnixListener.listen(path);
  process.stdout.write("listening\n");
  const socket = listener.accept(WAIT_MS);
  listener.close();
  if (socket === undefined) throw new Error(`nobody connects to ${path}`);
  return socket;
}
