import { joinHalves } from "../memory/address.js";
import { assert } from "../memory/assert.js";
import { demand } from "./message-fault.js";

/** A view of a payload's bytes. */
export function viewOf(payload: Uint8Array): DataView {
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
}

/** Reads 64 bits as a number below 2^53; throws "number-over-limit", naming `what`, when it is larger. */
export function readU64(view: DataView, at: number, what: string): number {
  const value = joinHalves(view.getUint32(at, true), view.getUint32(at + 4, true));
  demand(!Number.isNaN(value), "number-over-limit", `${what} is 2^53 or more`);
  return value;
}

/** Writes a number below 2^53 as 64 bits. */
export function writeU64(view: DataView, at: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, "a number on the wire is an integer below 2^53");
  view.setBigUint64(at, BigInt(value), true);
}

/** Throws "size-mismatch", naming `what`, unless a payload has this many bytes. */
export function demandSize(payload: Uint8Array, bytes: number, what: string): void {
  demand(payload.length === bytes, "size-mismatch", `${what} has ${payload.length} bytes of payload, not ${bytes}`);
}

/** A number as a peer's manual writes addresses. */
export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
