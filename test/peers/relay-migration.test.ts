/** Live migration through two relays, of a device whose back end cannot log what it writes. */
import { expect, inject, test } from "vitest";
import { leaveEvidence } from "./helpers/evidence.js";
import { migrate } from "./helpers/migration.js";
import {
  guestsMayCrash,
  type MigrationOutcome,
  type MigrationRelays,
  type MigrationRig,
  migrateAndCheck,
  migrationRig,
} from "./helpers/migration-rig.js";
import { GUEST, skipReason, versionsOf } from "./helpers/peers.js";
import type { GuestResult } from "./helpers/qemu-guest.js";
import { type PeerScope, peerScope } from "./helpers/scope.js";
import { type RelayStats, relayEvidence } from "./helpers/svq-relay.js";
import { VHOST_F_LOG_ALL } from "./helpers/vhost-user-probe.js";

const WHY = skipReason(...GUEST, "qemu-storage-daemon");
const PEERS = ["qemu", "qemu-storage-daemon", "kernel"] as const;
const LOG_SHMFD = 1n << 1n;
/** Once, and three times more. */
const TRIES_MAX = 4;
/** With more of them emulated guests of old QEMUs break by themselves: see the README of this folder. */
const SYNCS_MAX = 4;
/** In QEMU's words; it asks for the protocol feature first. */
const BLOCKER =
  /Migration disabled: (vhost lacks VHOST_F_LOG_ALL|vhost-user backend lacks VHOST_USER_PROTOCOL_F_LOG_SHMFD) feature/;

test("without a shadow queue QEMU refuses to migrate, and says that the device cannot log", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const rig = await migrationRig(scope, { datapath: "passthrough" });
  await expect(migrate(scope, rig.source, rig.destination)).rejects.toThrow(BLOCKER);
  const features = await rig.relays[0]!.control.execute<{ offered: string[] }>("query-features");
  expect(features.offered).not.toContain("LOG_ALL");
  leaveEvidence({ peers: versionsOf(...PEERS), relay: relayEvidence(await rig.relays[0]!.stats()) });
});

test.for([{ datapath: "svq" }, { datapath: "auto" }] as const)(
  "$datapath: no page is left behind, though the back end cannot log",
  async (how, ctx) => {
    if (WHY !== undefined) return ctx.skip(WHY);
    const scope = peerScope();
    // A witness takes apart what the relay sends in one breath when a queue stops; the guest's own ring minds.
    const migration = await checked(scope, how, how.datapath === "svq");
    const { report, result, stats } = migration;
    const [source, destination] = stats;
    expect(result).toMatchObject({ ok: "1", stale: "0", stopped: "1" });
    expect(report.dirtySyncCount).toBeLessThanOrEqual(SYNCS_MAX);
    expectBackEndUnasked(migration);
    expect(source.requests).toBeGreaterThan(0);
    expect(source.dirty_marks).toBeGreaterThan(0);
    // Auto takes the shadow queue while the front end logs, and only then.
    expect(source.switches).toBe(how.datapath === "auto" ? 1 : 0);
    if (how.datapath === "svq") expect(destination.requests).toBeGreaterThan(0);
    // Nobody logs on the destination.
    expect(destination.dirty_marks).toBe(0);
    leaveEvidence({
      peers: versionsOf(...PEERS),
      relay: relayEvidence(source),
      figures: { ...report, ...result, dirty_marks: source.dirty_marks },
    });
  },
);

test("a relay that drops its marks is noticed: pages left behind are counted, or every guest breaks", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const control = { name: "marks dropped", failed_as_expected: true };
  try {
    let { report, result, stats } = await checked(scope, DROPPED);
    // Pages are left behind only where the guest was stopped in the middle of a round of reads or of its check.
    for (let attempt = 2; attempt <= TRIES_MAX && result["stale"] === "0"; attempt++) {
      ({ report, result, stats } = await checked(scope, DROPPED));
    }
    expect(stats[0].requests).toBeGreaterThan(0);
    expect(Number(result["stale"])).toBeGreaterThan(0);
    expect(result["ok"]).toBe("0");
    leaveEvidence({
      peers: versionsOf(...PEERS),
      relay: relayEvidence(stats[0]),
      figures: { ...report, ...result },
      control,
    });
  } catch (error) {
    // Guests that break only where marks are missing show it as well; it says less, so it counts after all tries.
    if (!(error instanceof GuestsBroke) || error.withoutRelay !== NONE_BROKE) throw error;
    leaveEvidence({ peers: versionsOf(...PEERS), figures: { broke: TRIES_MAX, broke_without_relay: 0 }, control });
  }
});

const DROPPED: MigrationRelays = { datapath: "svq", fault: "drop-marks" };
/** What withoutRelay() says of guests that all came through. */
const NONE_BROKE = "0 of 1";

/** The guest broke in each migration, so that its checker never reported. */
class GuestsBroke extends Error {
  readonly withoutRelay: string;

  constructor(withoutRelay: string) {
    super(`the guest broke in each of ${TRIES_MAX} migrations before the checker reported`);
    this.withoutRelay = withoutRelay;
  }
}

interface Checked extends MigrationOutcome {
  readonly result: GuestResult;
  readonly rig: MigrationRig;
  /** The counters of source and destination. */
  readonly stats: readonly [RelayStats, RelayStats];
}

/** Rigs so far: each has files of its own. */
let rigs = 0;

/** A migration whose checker reported; again when the guest broke first, where it may for reasons of QEMU's own. */
async function checked(scope: PeerScope, how: MigrationRelays, tapped = false): Promise<Checked> {
  let controls = "";
  for (let attempt = 1; attempt <= TRIES_MAX; attempt++) {
    const rig = await migrationRig(scope, how, { name: `${++rigs}`, tapped });
    const { report, result } = await migrateAndCheck(scope, rig);
    const stats = [await rig.relays[0]!.stats(), await rig.relays[1]!.stats()] as const;
    await rig.destination.process.kill();
    if (result !== undefined) return { report, result, rig, stats };
    if (!guestsMayCrash(inject("peers").accel)) throw new Error("the guest broke after its migration");
    controls ||= await withoutRelay(scope);
    process.stdout.write(
      `guests that broke: ${attempt} of ${attempt} through relays; ${controls} with nothing between\n`,
    );
  }
  throw new GuestsBroke(controls);
}

/** The same with nothing between guest and back end: how often that breaks the guest. */
async function withoutRelay(scope: PeerScope): Promise<string> {
  const rig = await migrationRig(scope, undefined, { name: `c${++rigs}` });
  const { result } = await migrateAndCheck(scope, rig);
  await rig.destination.process.kill();
  return result === undefined ? "1 of 1" : "0 of 1";
}

/** That nothing about logging reached the back end, as the relay counts it and as a witness on the socket saw it. */
function expectBackEndUnasked({ rig, stats: [source] }: Checked): void {
  expect(source.messages["VHOST_USER_SET_LOG_BASE"]?.received).toBeGreaterThan(0);
  expect(source.messages["VHOST_USER_SET_LOG_BASE"]?.sent).toBe(0);
  for (const tap of rig.taps) {
    expect(tap.received("VHOST_USER_SET_LOG_BASE")).toEqual([]);
    const features = tap.received("VHOST_USER_SET_FEATURES");
    expect(features.length).toBeGreaterThan(0);
    for (const bits of features) expect(bits & VHOST_F_LOG_ALL).toBe(0n);
    for (const bits of tap.received("VHOST_USER_SET_PROTOCOL_FEATURES")) expect(bits & LOG_SHMFD).toBe(0n);
  }
}
