import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { EventFdNotifier } from "../../src/sys/event-fd.js";
import { closeAll } from "../../src/sys/fd.js";
import { type Mapping, map } from "../../src/sys/mapping.js";
import { createMemfd } from "../../src/sys/memfd.js";
import { Poller } from "../../src/sys/poller.js";
import { UnixListener } from "../../src/sys/unix-listener.js";
import { UnixSocket } from "../../src/sys/unix-socket.js";
import { packageRoot, workerUrl } from "../../src/workers/worker-url.js";
import { leavesNoDescriptor, withFolder } from "../helpers/descriptors.js";

it("a process without room for one more descriptor says EMFILE, in every call that needs one, and keeps none", () => {
  // Refuses a build older than its sources.
  workerUrl("driver");
  withFolder((folder) => {
    const script = join(packageRoot(), "dist", "test", "sys", "few-descriptors.js");
    const command = 'ulimit -n 100 && exec "$0" "$@"';
    const args = ["-c", command, process.execPath, script, join(folder, "socket")];
    const { stdout, stderr } = spawnSync("sh", args, { encoding: "utf8", timeout: 60_000 });
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual({
      said: {
        memfd: "memfd_create: EMFILE (filler)",
        accept: "accept4: EMFILE (".concat(join(folder, "socket"), ")"),
        connect: "socket: EMFILE",
        pair: "socketpair: EMFILE",
        poller: "epoll_create1: EMFILE",
        receive: "recvmsg: EMFILE (2 descriptors fitted in)",
      },
      kept: 0,
      left: 0,
      owned: 0,
    });
  });
});

/** Bytes of the memory in each round, all of them touched. */
const BYTES = 8192;
/** What 8000 rounds may add to the resident memory; a round that left its mapping would add 64 MB. */
const GROWTH_BYTES_MAX = 40 * 2 ** 20;

/** Makes one of each, uses it, gives it back. */
function useAll(listener: UnixListener): void {
  const near = UnixSocket.connect(listener.path, 1000);
  const far = listener.accept(1000)!;
  const memory = createMemfd("round", BYTES);
  const kick = EventFdNotifier.create();
  near.send(Buffer.from("x"), [memory, kick.owned]);
  const { fds } = far.receive(new Uint8Array(4), 1000);
  const mapping = map(fds[0]!, BYTES, 0, { prot: "read-write" });
  new Uint8Array(mapping.windows[0]!.buffer).fill(1);
  const received = EventFdNotifier.received(fds[1]!.move());
  const poller = new Poller();
  poller.add(received.fd, 1);
  kick.signal();
  expect(poller.wait(1000)).toBe(1);
  mapping.unmap();
  closeAll(fds);
  for (const each of [poller, received, kick, memory, far, near]) each.close();
}

/** By how many bytes the resident memory grows in 8000 rounds, after 2000 that warm up. */
function growthBytes(round: () => void): number {
  for (let i = 0; i < 2000; i++) round();
  const before = process.memoryUsage.rss();
  for (let i = 0; i < 8000; i++) round();
  return process.memoryUsage.rss() - before;
}

it("ten thousand rounds of everything leave no descriptor, and no memory to speak of", () => {
  withFolder((folder) => {
    leavesNoDescriptor(() => {
      const listener = UnixListener.listen(join(folder, "socket"));
      expect(growthBytes(() => useAll(listener))).toBeLessThan(GROWTH_BYTES_MAX);
      listener.close();
    });
  });
}, 120_000);

it("the twin: rounds that leave their mapping are seen by the growth", () => {
  const left: Mapping[] = [];
  const leave = () => {
    const fd = createMemfd("left", BYTES);
    const mapping = map(fd, BYTES, 0, { prot: "read-write" });
    new Uint8Array(mapping.windows[0]!.buffer).fill(1);
    left.push(mapping);
    fd.close();
  };
  expect(growthBytes(leave)).toBeGreaterThan(GROWTH_BYTES_MAX);
  for (const mapping of left) mapping.unmap();
}, 120_000);
