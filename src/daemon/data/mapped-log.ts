import { DirtyLog } from "../../dirty/dirty-log.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { RealMemory } from "../../memory/real-memory.js";
import type { OwnedFd } from "../../sys/fd.js";
import { type Mapping, map } from "../../sys/mapping.js";
import { MessageFault } from "../../vhost-user/message-fault.js";
import type { LogArea } from "../../vhost-user/payloads.js";

/** Pages to a byte of the log. */
const BYTE_PAGES = 8;
/** Bytes of a log for 2^31 pages: page frames are int32 in the data path. */
const LOG_BYTES_MAX = 2 ** 31 / BYTE_PAGES;

/** The dirty log that a front end shares: its bits are set here and taken there. */
export class MappedLog {
  readonly bytes: number;
  readonly dirtyLog: DirtyLog;
  readonly #mapping: Mapping;

  /**
   * Maps the log; `check` may refuse its size. The descriptor is closed in any case: a mapping needs none.
   *
   * Throws MappingFault, NativeError, MessageFault (log-range), and what `check` throws.
   */
  constructor({ mmapSize, mmapOffset }: LogArea, fd: OwnedFd, check: (bytes: number) => void) {
    try {
      // Whole 64-bit words, as both sides address them; what lies behind the last page that is shadowed stays unused.
      const bytes = Math.min(mmapSize - (mmapSize % 8), LOG_BYTES_MAX);
      if (bytes === 0) throw new MessageFault("log-range", `a log of ${mmapSize} bytes`);
      check(bytes);
      this.bytes = bytes;
      this.#mapping = map(fd, bytes, mmapOffset, { prot: "read-write" });
    } finally {
      fd.close();
    }
    const end = this.bytes * BYTE_PAGES * PAGE_BYTES;
    this.dirtyLog = new DirtyLog(new RealMemory(this.#mapping.windows[0]!.buffer), 0, end);
  }

  close(): void {
    this.#mapping.unmap();
  }
}
