/** A piece of a process' memory. */
interface Place {
  readonly start: bigint;
  readonly bytes: Uint8Array;
  readonly writable: boolean;
}

/**
 * Memory of the process that calls an ioctl, by 64-bit addresses: what copy_from_user and copy_to_user reach.
 *
 * Whatever does not lie in one piece is a fault, for the caller to answer with EFAULT.
 */
export class UserMemory {
  readonly #places: Place[] = [];
  #next = 0x1000n;

  /** Puts bytes at an address of their own, which keeps their offset in a page; returns the address. */
  place(bytes: Uint8Array, writable = true): bigint {
    const start = this.#next + BigInt(bytes.byteOffset % 4096);
    this.#places.push({ start, bytes, writable });
    this.#next = (start + BigInt(bytes.length) + 0x1fffn) & ~0xfffn;
    return start;
  }

  /** Takes the piece away that starts at an address. */
  remove(address: bigint): void {
    const at = this.#places.findIndex(({ start }) => start === address);
    if (at >= 0) this.#places.splice(at, 1);
  }

  /** The bytes themselves, to read; undefined when they do not lie in one piece. */
  read(address: bigint, bytes: number): Uint8Array | undefined {
    return this.#find(address, bytes)?.[1];
  }

  /** The bytes themselves, to write; undefined when they do not lie in one piece that can be written. */
  write(address: bigint, bytes: number): Uint8Array | undefined {
    const [place, found] = this.#find(address, bytes) ?? [];
    return place?.writable === true ? found : undefined;
  }

  #find(address: bigint, bytes: number): readonly [Place, Uint8Array] | undefined {
    for (const place of this.#places) {
      const from = address - place.start;
      if (from < 0n || from + BigInt(bytes) > BigInt(place.bytes.length)) continue;
      return [place, place.bytes.subarray(Number(from), Number(from) + bytes)];
    }
    return undefined;
  }
}
