import { type SharedMemory, u16 } from "../../src/memory/shared-memory.js";

/** Where one page and its mark lie. */
export interface Page {
  /** The word that stands for the page's payload. */
  readonly payload: number;
  /** The word of the log that holds its bit. */
  readonly word: number;
  readonly bit: number;
  /** The used index by which a device hands the page over. */
  readonly used: number;
}

/** What a form is in the run. */
type FormRole = "must not lose" | "control, must lose" | "asked about";

/** One way to write a page and to mark it. */
export interface Form {
  readonly name: string;
  readonly role: FormRole;
  readonly touch: (memory: SharedMemory, page: Page, value: number) => void;
}

/** Sets the bit only where it is not there yet. */
function markTestFirst(memory: SharedMemory, { word, bit }: Page): void {
  if ((memory.read32(word) & bit) === 0) memory.setBits32(word, bit);
}

/** What the relay ships: the page, then an unconditional "or". */
export const ALWAYS: Form = {
  name: "always",
  role: "must not lose",
  touch(memory, page, value) {
    memory.write32(page.payload, value);
    memory.setBits32(page.word, page.bit);
  },
};

/** Wrong on every machine: what comes after the mark may come after the copy. */
export const MARK_BEFORE_WRITE: Form = {
  name: "mark before write",
  role: "control, must lose",
  touch(memory, page, value) {
    memory.setBits32(page.word, page.bit);
    memory.write32(page.payload, value);
  },
};

/** Wrong where stores wait in a buffer: the test is answered before the own write has left it. */
export const TEST_FIRST_OWN_WRITE: Form = {
  name: "test first, own write",
  role: "control, must lose",
  touch(memory, page, value) {
    memory.write32(page.payload, value);
    markTestFirst(memory, page);
  },
};

/** The question: tested after a device has handed the page over, with a publish and its fence, on the same thread. */
export const TEST_FIRST_HANDED_OVER: Form = {
  name: "test first, after hand-over",
  role: "asked about",
  touch(memory, page, value) {
    memory.write32(page.payload, value);
    // As DeviceRing.publishUsed does, and then the relay beside it.
    memory.publish16(page.used, value);
    memory.fence();
    if (memory.observe16(page.used) !== u16(value)) throw new Error("nobody else hands pages over");
    markTestFirst(memory, page);
  },
};

/** Every form, in the order of the table. */
export const FORMS: readonly Form[] = [ALWAYS, TEST_FIRST_OWN_WRITE, MARK_BEFORE_WRITE, TEST_FIRST_HANDED_OVER];

/** Takes a page's mark and gives what the page holds then; undefined when it was not marked. */
export function harvest(memory: SharedMemory, { word, bit, payload }: Page, looksFirst: boolean): number | undefined {
  // DirtyLog.take looks first.
  if (looksFirst && memory.read32(word) === 0) return undefined;
  return (memory.takeBits32(word) & bit) === 0 ? undefined : memory.read32(payload);
}
