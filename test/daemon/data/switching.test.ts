/** What changes under a running queue: path, memory, log, calls, features; nothing is lost, nothing done twice. */
import { expect, test } from "vitest";
import { VHOST_F_LOG_ALL } from "../../../src/layout/vhost.js";
import { featureBit } from "../../../src/layout/virtio-config.js";
import { Deadline, nap } from "../../../src/sys/deadline.js";
import { type DataProcess, type RelayedOptions, type Told, withRelayed } from "../../helpers/data-process.js";
import { type FrontOptions, ramOf, TestFront } from "../../helpers/vhost-front.js";

const LOG_ALL = featureBit(VHOST_F_LOG_ALL);
const GIB = 2 ** 30;

/** Runs `use` with a started front end, and expects that each request was carried out once. */
async function running(
  relay: RelayedOptions,
  front: Omit<FrontOptions, "path">,
  use: (guest: TestFront, process: DataProcess) => void,
): Promise<void> {
  await withRelayed(relay, ({ relay: process, path }) => {
    const guest = new TestFront({ path, ...front });
    guest.startAll();
    use(guest, process);
    expect(guest.executed()).toBe(guest.submitted);
    guest.close();
    expect(process.heard("QUEUE_BROKEN")).toEqual([]);
  });
}

test("switching 200 times by command, under load on four queues, loses nothing and reports each pause", async () => {
  await running({ queues: 4 }, { queues: 4, eventIdx: true }, (guest, process) => {
    let switches = 0;
    for (let round = 0; round < 200; round++) {
      for (const queue of guest.queues.keys()) guest.submit(queue);
      const datapath = round % 2 === 0 ? "passthrough" : "svq";
      const answer = process.ask("set-datapath", { datapath });
      expect(answer).toEqual({ datapath, pause_ns: expect.any(Number) });
      expect(answer["pause_ns"]).toBeGreaterThan(0);
      switches += 1;
      guest.load(64);
    }
    const stats = process.ask("query-stats");
    expect(stats["switches"]).toBe(switches);
    expect(stats["pauses"]).toHaveLength(64);
    const changes = process.heard("DATAPATH_CHANGED");
    expect(changes).toHaveLength(200);
    expect(changes[0]).toEqual({
      connection: 1,
      from: "svq",
      to: "passthrough",
      why: "by command",
      pause_ns: expect.any(Number),
    });
  });
});

test("on auto, the shadow queue comes when the front end logs and goes when it does not", async () => {
  await running({ queues: 2, datapath: "auto" }, { queues: 2 }, (guest, process) => {
    const path = () => process.ask("query-status")["datapath"];
    for (let round = 0; round < 20; round++) {
      expect(path()).toBe("passthrough");
      guest.load(50);
      for (const queue of guest.queues.keys()) guest.submit(queue);
      guest.startLogging();
      expect(path()).toBe("svq");
      guest.load(50);
      guest.stopLogging();
    }
    expect(process.heard("LOGGING_STARTED")).toHaveLength(20);
    expect(process.heard("LOGGING_STOPPED")).toHaveLength(20);
    expect(
      process
        .heard("DATAPATH_CHANGED")
        .map(({ why }) => why)
        .slice(0, 2),
    ).toEqual(["logging started", "logging stopped"]);
  });
});

test("whoever asked for passthrough is put on a shadow queue while it logs", async () => {
  await running({}, {}, (guest, process) => {
    process.ask("set-datapath", { datapath: "passthrough" });
    guest.load(20);
    guest.startLogging();
    expect(process.ask("query-status")).toMatchObject({ datapath: "svq", logging: true });
    differences(guest);
    guest.load(20);
    expect(differences(guest)).toEqual({ missed: [], extra: [] });
    expect(() => process.ask("set-datapath", { datapath: "passthrough" })).toThrow(
      /GenericError: wrong-state: who logs/,
    );
    guest.stopLogging();
    expect(process.ask("query-status")).toMatchObject({ datapath: "passthrough", logging: false });
  });
});

test("a back end that logs is let, on passthrough from the beginning, and nobody else may log meanwhile", async () => {
  await running({ datapath: "passthrough", sessions: [{ logs: true }] }, {}, (guest, process) => {
    guest.startLogging();
    expect(process.ask("query-status")).toMatchObject({ datapath: "passthrough", logging: true });
    expect(() => process.ask("set-datapath", { datapath: "svq" })).toThrow(/who logs/);
    guest.load(20);
    guest.stopLogging();
    process.ask("set-datapath", { datapath: "svq" });
    guest.startLogging();
    guest.load(20);
    expect(process.ask("query-status")).toMatchObject({ datapath: "svq", logging: true });
    expect(guest.takeMarks().size).toBeGreaterThan(0);
  });
});

/** Pages that the device was allowed to write and that are not marked, and the other way round. */
function differences(guest: TestFront): { missed: number[]; extra: number[] } {
  const marks = guest.takeMarks();
  const missed = [...guest.written].filter((page) => !marks.has(page));
  const extra = [...marks].filter((page) => !guest.written.has(page));
  guest.written.clear();
  return { missed, extra };
}

test.each([
  [{}, { eventIdx: true }],
  [{ sessions: [{ order: "reversed" }] }, { queues: 2, indirect: true }],
] as const)("the log has the writable buffers and the used ring, and nothing else: %j %j", async (relay, front) => {
  await running({ queues: 2, ...relay } as RelayedOptions, front, (guest) => {
    guest.startLogging();
    for (let round = 0; round < 30; round++) {
      guest.load(40);
      expect(differences(guest)).toEqual({ missed: [], extra: [] });
    }
  });
});

test("a log that is replaced while the device writes loses no mark", async () => {
  await running({}, { depth: 16 }, (guest) => {
    guest.startLogging();
    guest.load(10);
    const marks = new Set<number>();
    for (let round = 0; round < 100; round++) {
      guest.submit(0);
      guest.setLog();
      for (const page of guest.takeMarks()) marks.add(page);
      guest.reap(0);
    }
    guest.settle();
    for (const page of guest.takeMarks()) marks.add(page);
    expect([...guest.written].filter((page) => !marks.has(page))).toEqual([]);
  });
});

test("marks that are dropped are noticed: the twin of the tests above", async () => {
  await running({ fault: "drop-marks" }, {}, (guest) => {
    guest.startLogging();
    guest.load(40);
    expect(differences(guest).missed.length).toBeGreaterThan(0);
  });
});

test("a log that is too small is refused, and so is one that a used ring would leave", async () => {
  await withRelayed({}, ({ relay, path }) => {
    const guest = new TestFront({ path });
    expect(() => guest.setLog(64)).toThrow(/closed the connection/);
    guest.close();
    expect(relay.waitFor("DISCONNECTED")["why"]).toMatch(/SET_LOG_BASE: log-range/);
    const next = new TestFront({ path });
    next.setLog();
    next.setFeatures(LOG_ALL);
    expect(() => next.tellAddress(0, 2 ** 40)).toThrow(/refused/);
    // The address fits a ring of the size it has at that moment, and not the one it has when it starts.
    next.tellAddress(0, 4 * GIB + (8 << 20) - 8);
    next.startAll();
    next.close();
    relay.waitFor("DISCONNECTED", relay.events.length);
  });
});

test("rings start and stop many times, with requests in flight", async () => {
  await running({ queues: 2 }, { queues: 2, eventIdx: true }, (guest) => {
    for (let round = 0; round < 100; round++) {
      guest.submit(0);
      guest.submit(1, round % 4);
      guest.stopAll();
      guest.startAll();
      guest.settle();
    }
  });
});

test("what the back end never fetched is taken back and offered again; what it fetched is waited for", async () => {
  await withRelayed({ sessions: [{ fetchesAtMost: 13 }] }, ({ relay, path }) => {
    const guest = new TestFront({ path, depth: 16 });
    guest.startAll().submit(0);
    const endMs = performance.now() + 10_000;
    while (guest.queues[0]!.done < 13 && performance.now() < endMs) guest.reap(0);
    expect((relay.ask("query-vq-status")["queues"] as Told[])[0]).toMatchObject({ last_avail_idx: 16, in_flight: 3 });
    // By identity: the next to take is the first that was never fetched, whatever path is asked for afterwards.
    expect(guest.stop(0)).toBe(13);
    guest.start(0);
    expect((relay.ask("query-vq-status")["queues"] as Told[])[0]).toMatchObject({ used_idx: 13 });
    relay.ask("set-datapath", { datapath: "passthrough" });
    expect(guest.stop(0)).toBe(13);
    guest.close();
    expect(relay.heard("QUEUE_BROKEN")).toEqual([]);
  });
});

test("a back end that finishes what it fetched only after it has stopped loses nothing", async () => {
  await running({ sessions: [{ stops: "finishes-later", lateMs: 3 }] }, { depth: 16 }, (guest) => {
    for (let round = 0; round < 20; round++) {
      guest.submit(0);
      guest.stop(0);
      guest.start(0);
      guest.settle();
    }
  });
});

test("memory is replaced, grows and shrinks under load", async () => {
  const ram = [
    { at: 0, bytes: 1 << 20 },
    { at: 4 * GIB, bytes: 8 << 20 },
  ];
  await running({ queues: 2 }, { queues: 2, slots: true, ram }, (guest, process) => {
    const [[more], [file]] = ramOf([{ at: 16 * GIB, bytes: 1 << 20 }]);
    for (let round = 0; round < 40; round++) {
      for (const queue of guest.queues.keys()) guest.submit(queue);
      guest.table.add({ ...more!, userspaceAddr: 0x6000_0000_0000 }, file!.dup());
      guest.tellRegion(guest.table.regions.at(-1)!.region, guest.table.regions.at(-1)!.fd);
      guest.load(30);
      for (const queue of guest.queues.keys()) guest.submit(queue);
      guest.table.remove(more!.guestPhysAddr);
      guest.tellTable();
      guest.load(30);
    }
    file!.close();
    expect((process.ask("query-iova-tree")["mappings"] as unknown[]).length).toBe(3);
  });
});

test("more regions than a table has go one by one, with a slot for the shadow rings", async () => {
  const ram = Array.from({ length: 12 }, (_, i) => ({ at: i * GIB, bytes: 1 << 20 }));
  await running({}, { slots: true, ram, bufferAt: 11 * GIB }, (guest, process) => {
    guest.load(100);
    process.ask("set-datapath", { datapath: "passthrough" });
    guest.load(100);
    process.ask("set-datapath", { datapath: "svq" });
    guest.load(100);
    expect((process.ask("query-iova-tree")["mappings"] as unknown[]).length).toBe(13);
  });
});

test("CALL is replaced at any time, KICK comes twice, features are set twice", async () => {
  await running({}, { eventIdx: true }, (guest) => {
    for (let round = 0; round < 50; round++) {
      guest.submit(0);
      guest.replaceCall(0);
      guest.settle();
      guest.submit(0);
      guest.setFeatures(0n);
      guest.settle();
      guest.submit(0);
      guest.tellKick(0);
      guest.settle();
    }
    guest.stop(0);
    // Firmware comes first, with fewer features, and the system starts again from 0.
    guest.setFeatures(0n);
    guest.start(0);
    guest.load(20);
  });
});

test("a queue that is disabled is not moved, and costs no wake-ups", async () => {
  await running({}, {}, (guest, process) => {
    guest.load(10);
    guest.enable(0, false);
    guest.submit(0, 4);
    process.ask("query-status");
    const before = process.ask("query-stats")["syscalls"] as number;
    const end = performance.now() + 300;
    while (performance.now() < end) expect(guest.reap(0)).toBe(0);
    expect((process.ask("query-stats")["syscalls"] as number) - before).toBeLessThan(8);
    guest.enable(0, true);
    guest.settle();
  });
});

test.each(["svq", "passthrough"] as const)("an idle data process does not wake up: %s", async (datapath) => {
  await running({ datapath }, { eventIdx: true }, (guest, process) => {
    guest.load(50);
    const waits = () => process.ask("query-stats")["syscalls"] as number;
    const before = waits();
    nap(1000, new Deadline(1000));
    // One command, one wait.
    expect(waits() - before).toBeLessThanOrEqual(2);
  });
});

test("the commands answer in their shapes, with and without a front end", async () => {
  await withRelayed({}, ({ relay, path }) => {
    expect(relay.ask("query-status")).toMatchObject({
      state: "listening",
      datapath: "svq",
      logging: false,
      connections: 0,
    });
    for (const name of ["query-features", "set-datapath"]) {
      expect(() => relay.ask(name, { datapath: "svq" })).toThrow(/^DeviceNotActive: no front end/);
    }
    expect(() => relay.ask("toString")).toThrow(/^CommandNotFound/);
    expect(relay.ask("query-vq-status")).toEqual({ queues: [] });
    const guest = new TestFront({ path });
    guest.startAll().load(10);
    expect(() => relay.ask("set-datapath", { datapath: "direct" })).toThrow(/^GenericError: "datapath" is one of/);
    expect(relay.ask("query-vq-status")).toEqual({
      queues: [
        {
          index: 0,
          num: 64,
          enabled: true,
          running: true,
          datapath: "svq",
          last_avail_idx: guest.submitted,
          used_idx: guest.submitted,
          shadow_avail_idx: guest.submitted,
          shadow_used_idx: guest.submitted,
          in_flight: 0,
        },
      ],
    });
    expect(relay.ask("query-features")).toMatchObject({
      backend: expect.arrayContaining(["VERSION_1"]),
      offered: expect.arrayContaining(["LOG_ALL"]),
      masked: expect.any(Array),
      protocol: { offered: expect.arrayContaining(["LOG_SHMFD", "REPLY_ACK"]) },
    });
    const stats = relay.ask("query-stats");
    for (const name of [
      "requests",
      "bytes",
      "switches",
      "faults",
      "dirty_marks",
      "syscalls",
      "cpu_ns",
      "rss_bytes",
      "fds",
    ]) {
      expect(stats[name], name).toEqual(expect.any(Number));
    }
    expect(stats["requests"]).toBe(guest.submitted);
    guest.close();
  });
});
