import type { AccessKind } from "./access.js";

/** A fence stands where the empty one of real memory would be wrong, or where it orders nothing. */
export class FenceError extends Error {
  override readonly name = "FenceError";
}

/**
 * What a party may do around fence(): it follows a publish, and the first load after it is no plain one.
 *
 * In real memory the publish is the fence: an Atomics.store orders itself before a later Atomics operation, and before
 * nothing else. Without a publish there is no such store, and a plain read may be done before it.
 */
export class FenceRule {
  readonly #party: string;
  /** Whether a publish waits for its fence. */
  #published = false;
  /** Whether the last fence waits for its load. */
  #fenced = false;

  constructor(party: string) {
    this.#party = party;
  }

  /** Notes an access, or throws FenceError. */
  note(kind: AccessKind): void {
    switch (kind) {
      case "publish16":
        this.#published = true;
        break;
      case "fence":
        this.#noteFence();
        break;
      case "read16":
      case "read32":
      case "copyOut":
        if (this.#fenced) throw new FenceError(`${this.#party}: ${kind} is the first load after a fence`);
        break;
      case "observe16":
        this.#fenced = false;
        break;
      case "setBits32":
      case "takeBits32":
      case "ring":
        this.#published = false;
        this.#fenced = false;
        break;
    }
  }

  #noteFence(): void {
    if (!this.#published) throw new FenceError(`${this.#party}: a fence without a publish since the last full fence`);
    this.#published = false;
    this.#fenced = true;
  }
}
