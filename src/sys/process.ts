import { readdirSync } from "node:fs";
import { AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_DGRAM } from "../layout/linux.js";
import { OwnedFd } from "./fd.js";
import { check, libc } from "./native.js";
import { abstractAddress, pathAddress } from "./socket-address.js";

/**
 * Tells the service manager the state of this process, such as "READY=1" or "STOPPING=1" (sd_notify).
 *
 * `address` is what NOTIFY_SOCKET says, a path or "@" and an abstract name. Returns false, and does nothing, without
 * one; throws NativeError and SocketPathError.
 */
export function notifyServiceManager(state: string, address = process.env["NOTIFY_SOCKET"]): boolean {
  if (address === undefined || address === "") return false;
  const to = address.startsWith("@") ? abstractAddress(address.slice(1)) : pathAddress(address);
  const fd = new OwnedFd(check("socket", libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
  try {
    const bytes = Buffer.from(state);
    check("sendto", libc.sendto(fd.fd, bytes, bytes.length, MSG_NOSIGNAL | MSG_DONTWAIT, to, to.length), address);
    return true;
  } finally {
    fd.close();
  }
}

/** How many descriptors this process has open, in all threads, whoever opened them. */
export function openFdCount(): number {
  // The folder itself is open while it is listed.
  return readdirSync("/proc/self/fd").length - 1;
}

/** Lets another thread that waits for this core have it; returns at once where there is none. */
export function yieldCore(): void {
  libc.sched_yield();
}
