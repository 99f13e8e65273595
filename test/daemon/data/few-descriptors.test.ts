/** A guest that takes all descriptors of its data process: others are turned away by name, and nothing dies. */
import { expect, test } from "vitest";
import { gpa } from "../../../src/memory/address.js";
import { createMemfd } from "../../../src/sys/memfd.js";
import { UnixSocket } from "../../../src/sys/unix-socket.js";
import { type DataProcess, withRelayed } from "../../helpers/data-process.js";
import { TestFront } from "../../helpers/vhost-front.js";

const FD_LIMIT = 48;
const REGION_BYTES = 1 << 16;

function serve(path: string): void {
  const guest = new TestFront({ path, slots: true });
  guest.startAll().load(20);
  guest.stopAll();
  guest.close();
}

/** Adds regions of memory, each with a descriptor, until there is no other left. */
function fill(guest: TestFront, relay: DataProcess): void {
  for (let i = 0; relay.ask("query-stats")["fds"] !== null; i++) {
    expect(i).toBeLessThan(FD_LIMIT);
    const at = 2 ** 36 + i * REGION_BYTES;
    const region = { guestPhysAddr: gpa(at), memorySize: REGION_BYTES, userspaceAddr: at, mmapOffset: 0 };
    const fd = createMemfd("filler", REGION_BYTES);
    guest.tellRegion(region, fd);
    fd.close();
  }
}

/** Whether the relay closes a connection that comes now. */
function isClosed(path: string): boolean {
  const socket = UnixSocket.connect(path, 1000);
  const { kind } = socket.receive(new Uint8Array(1), 10_000);
  socket.close();
  return kind === "end";
}

test("without a descriptor for a front end it is closed and named, and the guest that has them goes on", async () => {
  await withRelayed({ fdLimit: FD_LIMIT }, ({ relay, path }) => {
    serve(path);
    const guest = new TestFront({ path, slots: true });
    guest.startAll().load(20);
    expect(isClosed(path)).toBe(true);
    expect(relay.heard("PEER_REFUSED").at(-1)).toEqual({ why: "another front end is connected" });
    fill(guest, relay);
    for (let i = 1; i <= 20; i++) {
      expect(isClosed(path)).toBe(true);
      expect(relay.heard("PEER_REFUSED").at(-1)?.["why"]).toMatch(/^accept4: EMFILE/);
      expect(relay.heard("PEER_REFUSED")).toHaveLength(1 + i);
    }
    // It sleeps: a connection that waits would be reported for ever.
    const { syscalls } = relay.ask("query-stats") as { syscalls: number };
    expect((relay.ask("query-stats")["syscalls"] as number) - syscalls).toBeLessThan(10);
    guest.load(20);
    guest.stopAll();
    guest.close();
    serve(path);
  });
});

test("a message whose descriptor finds no room costs its connection, and all of it is given back", async () => {
  await withRelayed({ fdLimit: FD_LIMIT }, ({ relay, path }) => {
    serve(path);
    const idle = () => relay.waitFor("DISCONNECTED", relay.events.length - 1) && relay.ask("query-stats")["fds"];
    const before = idle();
    for (let round = 0; round < 5; round++) {
      const guest = new TestFront({ path, slots: true });
      guest.startAll().load(20);
      fill(guest, relay);
      expect(() => guest.replaceCall(0)).toThrow(/closed the connection/);
      guest.close();
      expect(idle()).toBe(before);
      serve(path);
      idle();
    }
  });
});

test("a guest that needs more descriptors than there are costs its connection, wherever they run out", async () => {
  const served: boolean[] = [];
  for (const fdLimit of [46, 47, 48, 49, 50, 51, 52, 53, 96]) {
    await withRelayed({ fdLimit, queues: 8 }, ({ relay, path }) => {
      served.push(isServed(path));
      expect(relay.ask("query-status")["listen"]).toBe(path);
    });
  }
  expect({ first: served[0], last: served.at(-1) }).toEqual({ first: false, last: true });
});

function isServed(path: string): boolean {
  let guest: TestFront | undefined;
  try {
    guest = new TestFront({ path, queues: 8, timeoutMs: 1000 });
    guest.startAll().load(40);
    return true;
  } catch {
    return false;
  } finally {
    guest?.close();
  }
}
