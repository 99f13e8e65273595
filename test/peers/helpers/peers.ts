import { type FoundProgram, findGuestKernel, findProgram, type GuestKernel } from "../../../src/lab/peer-programs.js";

const PROGRAM_PEERS = ["qemu", "qemu-storage-daemon", "virtiofsd", "busybox", "compiler"] as const;

/** What a test with real peers may need. */
export type Peer = (typeof PROGRAM_PEERS)[number] | "kernel";

/** What every guest needs. */
export const GUEST: readonly Peer[] = ["qemu", "busybox", "compiler", "kernel"];

const programs = new Map<Peer, FoundProgram | undefined>();
let kernel: GuestKernel | undefined | "not looked" = "not looked";

/** Why a test that needs these peers cannot run here, in one line; undefined when all are there. */
export function skipReason(...peers: readonly Peer[]): string | undefined {
  const missing = peers.filter((peer) => (peer === "kernel" ? guestKernel() : program(peer)) === undefined);
  return missing.length === 0 ? undefined : `not here: ${missing.join(", ")} (npm run peers:install gets it)`;
}

/** The versions of peers, as evidence has them. */
export function versionsOf(...peers: readonly Peer[]): Record<string, string> {
  const version = (peer: Peer) => (peer === "kernel" ? neededKernel().release : needed(peer).version);
  return Object.fromEntries(peers.map((peer) => [peer, version(peer)]));
}

/** The path of a program; throws when it is not here, which skipReason() would have said. */
export function needed(peer: Exclude<Peer, "kernel">): FoundProgram {
  const found = program(peer);
  if (found === undefined) throw new Error(`${peer} is not here`);
  return found;
}

/** The guest kernel; throws when it is not here. */
export function neededKernel(): GuestKernel {
  const found = guestKernel();
  if (found === undefined) throw new Error("there is no guest kernel");
  return found;
}

function program(peer: Exclude<Peer, "kernel">): FoundProgram | undefined {
  if (!programs.has(peer)) programs.set(peer, findProgram(peer));
  return programs.get(peer);
}

function guestKernel(): GuestKernel | undefined {
  if (kernel === "not looked") kernel = findGuestKernel();
  return kernel;
}
