/** Runs out of descriptors on purpose; prints what each call then says, and what is left open afterwards. */
import { OwnedFd } from "../../src/sys/fd.js";
import { createMemfd } from "../../src/sys/memfd.js";
import { NativeError } from "../../src/sys/native.js";
import { Poller } from "../../src/sys/poller.js";
import { openFdCount } from "../../src/sys/process.js";
import { UnixListener } from "../../src/sys/unix-listener.js";
import { UnixSocket } from "../../src/sys/unix-socket.js";

const ATTEMPTS_MAX = 10_000;

const path = process.argv[2]!;
openFdCount();
const before = openFdCount();

const listener = UnixListener.listen(path);
const client = UnixSocket.connect(path, 1000);
const [near, far] = UnixSocket.pair();
const sent = Array.from({ length: 4 }, (_, i) => createMemfd(`sent ${i}`, 1));
near.send(Buffer.from("x"), sent);

const filler: OwnedFd[] = [];
const said: Record<string, string> = { memfd: failure(() => filler.push(createMemfd("filler", 1))) };
said["accept"] = failure(() => listener.accept(0));
said["connect"] = failure(() => UnixSocket.connect(path, 0));
said["pair"] = failure(() => UnixSocket.pair());
said["poller"] = failure(() => new Poller());
// Room for two of the four: those that arrive are closed again.
for (const fd of filler.splice(0, 2)) fd.close();
const room = OwnedFd.openCount;
said["receive"] = failure(() => far.receive(new Uint8Array(4), 1000));
const kept = OwnedFd.openCount - room;

for (const each of [...filler, ...sent, near, far, client, listener]) each.close();
console.log(JSON.stringify({ said, kept, left: openFdCount() - before, owned: OwnedFd.openCount }));

/** Calls until it fails. */
function failure(call: () => unknown): string {
  for (let i = 0; i < ATTEMPTS_MAX; i++) {
    try {
      call();
    } catch (error) {
      if (error instanceof NativeError) return error.message;
      throw error;
    }
  }
  return "never";
}
