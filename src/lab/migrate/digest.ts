import { createHash } from "node:crypto";
import type { GuestRam } from "../../memory/guest-ram.js";

/** What is hashed at once: less than the 2 GiB at which hashing stops. */
const PIECE_BYTES = 2 ** 26;

/** SHA-256 of guest RAM, block after block, in hexadecimal. */
export function ramSha256(ram: GuestRam): string {
  const hash = createHash("sha256");
  ram.eachBlock((bytes) => {
    for (let from = 0; from < bytes.length; from += PIECE_BYTES) hash.update(bytes.subarray(from, from + PIECE_BYTES));
  });
  return hash.digest("hex");
}
