import { DirtyLog } from "../../dirty/dirty-log.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { RealMemory } from "../../memory/real-memory.js";
import type { OwnedFd } from "../../sys/fd.js";
import { type Mapping, map, WINDOW_BYTES } from "../../sys/mapping.js";
import { MessageFault } from "../../vhost-user/message-fault.js";
import type { LogArea } from "../../vhost-user/payloads.js";

/** Pages to a byte of the log. */
const BYTE_PAGES = 8;

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
      // Whole 64-bit words, as both sides address them.
      const bytes = mmapSize - (mmapSize % 8);
      if (bytes === 0 || bytes > WINDOW_BYTES) throw new MessageFault("log-range", `a log of ${mmapSize} bytes`);
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
