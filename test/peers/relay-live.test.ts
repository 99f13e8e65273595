/** What happens to a relay while a guest is under load: other data paths, other memory, its data process killed. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { diskImage, writeStopWord } from "./helpers/disk-images.js";
import { leaveEvidence } from "./helpers/evidence.js";
import { GUEST, skipReason, versionsOf } from "./helpers/peers.js";
import { type GuestOptions, QemuGuest } from "./helpers/qemu-guest.js";
import { type PeerScope, peerScope } from "./helpers/scope.js";
import { startStorageDaemon } from "./helpers/storage-daemon.js";
import { relayEvidence, SvqRelay } from "./helpers/svq-relay.js";

const WHY = skipReason(...GUEST, "qemu-storage-daemon");
const PEERS = ["qemu", "qemu-storage-daemon", "kernel"] as const;
const MIB = 2 ** 20;
const SWITCHES = 10;
/** Ended by the stop word. */
const LOAD = "load,600,5";

test("a guest under load is switched every second between shadow queue and passthrough, and loses nothing", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const { image, guest, relay } = await loadedGuest(scope);
  const pausesNs: number[] = [];
  for (let i = 0; i < SWITCHES; i++) {
    pausesNs.push(await relay.setDatapath(i % 2 === 0 ? "passthrough" : "svq"));
    await sleep(1_000);
  }
  writeStopWord(image);
  const result = await guest.result();
  expect(result).toMatchObject({ ok: "1", bad_words: "0" });
  const stats = await relay.stats();
  expect(stats).toMatchObject({ switches: SWITCHES, faults: 0 });
  expect(stats.requests).toBeGreaterThan(0);
  // One connection all the time: neither the guest nor the back end has noticed.
  expect((await relay.status()).connections).toBe(1);
  expect(relay.control.events.filter(({ event }) => event === "BACKEND_LOST")).toEqual([]);
  const pauses = { median_pause_ns: pausesNs.sort((a, b) => a - b)[SWITCHES / 2]!, longest_pause_ns: pausesNs.at(-1)! };
  leaveEvidence({ peers: versionsOf(...PEERS), relay: relayEvidence(stats), figures: { ...result, ...pauses } });
});

test("a guest under load gets more memory, and its queues go on", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const { image, guest, relay } = await loadedGuest(scope, { extra: ["-m", "256M,slots=2,maxmem=1G"] });
  const tables = async () => (await relay.stats()).messages["VHOST_USER_SET_MEM_TABLE"]?.received ?? 0;
  const slots = async () => (await relay.stats()).messages["VHOST_USER_ADD_MEM_REG"]?.received ?? 0;
  const before = (await tables()) + (await slots());
  const more = { "qom-type": "memory-backend-memfd", id: "more", size: 128 * MIB, share: true };
  await guest.qmp.execute("object-add", more);
  await guest.qmp.execute("device_add", { driver: "pc-dimm", id: "dimm", memdev: "more" });
  expect((await tables()) + (await slots())).toBeGreaterThan(before);
  const { mappings } = await relay.control.execute<{ mappings: readonly { gpa?: number; bytes: number }[] }>(
    "query-iova-tree",
  );
  expect(mappings).toContainEqual(expect.objectContaining({ gpa: expect.any(Number), bytes: 128 * MIB }));
  const { requests, pauses } = await relay.stats();
  // The queues stand still while the back end is told.
  expect(pauses.filter(({ why }) => why === "memory").length).toBeGreaterThan(0);
  await guest.says(newProgress(guest));
  writeStopWord(image);
  const result = await guest.result();
  expect(result).toMatchObject({ ok: "1", bad_words: "0" });
  const stats = await relay.stats();
  expect(stats.requests).toBeGreaterThan(requests);
  expect(stats.faults).toBe(0);
  const pause_ns = Math.max(...pauses.map(({ ns }) => ns));
  leaveEvidence({ peers: versionsOf(...PEERS), relay: relayEvidence(stats), figures: { ...result, pause_ns } });
});

test("a guest goes on after the relay's data process was killed, since QEMU connects again", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const { image, guest, relay } = await loadedGuest(scope, {}, 1);
  const { pid } = await relay.status();
  // Not while the guest is stopped: QEMU 7.2 does not notice then that it has to connect again.
  process.kill(pid, "SIGKILL");
  const lost = await relay.control.event("DEVICE_PROCESS_LOST", 30_000);
  expect(lost.data).toMatchObject({ signal: "SIGKILL" });
  await guest.says(newProgress(guest));
  writeStopWord(image);
  const result = await guest.result();
  expect(result).toMatchObject({ ok: "1", bad_words: "0" });
  expect((await relay.status()).pid).not.toBe(pid);
  // Counted anew since.
  const stats = await relay.stats();
  expect(stats.requests).toBeGreaterThan(0);
  expect((await relay.status()).connections).toBe(1);
  leaveEvidence({ peers: versionsOf(...PEERS), relay: relayEvidence(stats), figures: result });
});

/** A guest that reads and writes without a pause through a shadow queue. */
async function loadedGuest(
  scope: PeerScope,
  options: GuestOptions = {},
  reconnectSeconds?: number,
): Promise<{ readonly image: string; readonly guest: QemuGuest; readonly relay: SvqRelay }> {
  const image = diskImage(scope, 32 * MIB);
  const { socket } = await startStorageDaemon(scope, { image });
  const relay = await SvqRelay.start(scope, { connect: [socket] });
  const disk = { socket: relay.socket, ...(reconnectSeconds !== undefined && { reconnectSeconds }) };
  const guest = await QemuGuest.start(scope, { test: LOAD, ...options, disks: [disk] });
  await guest.says(/^PROGRESS reads=[1-9]/m);
  return { image, guest, relay };
}

/** Matches once the guest has said two more lines than until now: the second was begun and ended after this. */
function newProgress({ serial }: QemuGuest): RegExp {
  const lines = serial.split("\n").filter((line) => line.startsWith("PROGRESS ")).length;
  return new RegExp(`(^PROGRESS [^]*?){${lines + 2}}`, "m");
}
