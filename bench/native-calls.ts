/** What calls into the kernel cost through sys/: prints the best and the median of rounds, in ns a call. */
import { POLLIN } from "../src/layout/linux.js";
import { Deadline, waitFor } from "../src/sys/deadline.js";
import { EventFdNotifier } from "../src/sys/event-fd.js";
import { errno, libc } from "../src/sys/native.js";
import { Poller } from "../src/sys/poller.js";
import { UnixSocket } from "../src/sys/unix-socket.js";

const ROUNDS = 101;
const CALLS = 2000;

const event = EventFdNotifier.create();
const quiet = EventFdNotifier.create();
const [near, far] = UnixSocket.pair();
const poller = new Poller();
poller.add(quiet.fd, 1);
const now = new Deadline(0);
const header = Buffer.alloc(12, 1);
const target = Buffer.alloc(64);

const KERNELS: Readonly<Record<string, () => unknown>> = {
  "a call that fails at once (close of -1), with errno": () => libc.close(-1) + errno(),
  "eventfd signal": () => event.signal(),
  "eventfd signal + take": () => {
    event.signal();
    return event.take();
  },
  "eventfd take of nothing": () => quiet.take(),
  "poll of 1, timeout 0": () => waitFor(quiet.fd, POLLIN, now),
  "epoll wait of 1, timeout 0": () => poller.wait(0),
  "receive of nothing": () => far.receive(target).kind,
  "send 12 bytes + receive": () => {
    near.send(header);
    return far.receive(target).kind;
  },
  "send 12 bytes and 1 descriptor + receive + close": () => {
    near.send(header, [quiet.owned]);
    for (const fd of far.receive(target).fds) fd.close();
  },
};

console.log("| call | best ns | median ns |\n|---|---|---|");
for (const [name, kernel] of Object.entries(KERNELS)) {
  const nanoseconds = Array.from({ length: ROUNDS }, () => nsPerCall(kernel)).sort((a, b) => a - b);
  console.log(`| ${name} | ${nanoseconds[0]!.toFixed(0)} | ${nanoseconds[ROUNDS >> 1]!.toFixed(0)} |`);
}

function nsPerCall(kernel: () => unknown): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < CALLS; i++) kernel();
  return Number(process.hrtime.bigint() - start) / CALLS;
}
