import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { Action, Program } from "../rig/program.js";
import { type MakeRelay, Rig, type RunResult, SHIPPING } from "../rig/rig.js";
import { ACCESS } from "../rig/watched-memory.js";
import { SPACE } from "../rig/world.js";
import { EVENT, type Indices, oneLine, type Trace, type TraceEvent } from "./trace.js";
import { eventsToBytes } from "./trace-format.js";

const U32_MAX = 0xffffffff;

/** Runs a program once, under every oracle, and keeps all that happens. */
export function recordRun(program: Program, make: MakeRelay = SHIPPING): Trace {
  const rig = new RecordedRig(program, make);
  return { program, end: endOf(rig.run()), events: rig.events };
}

/**
 * One number for what happened and how it ended: the same for the same program and relay, in every process.
 *
 * What an oracle says in words is left out: a better sentence, or another V8's TypeError, is no other run.
 */
export function traceHash({ events, end }: Pick<Trace, "events" | "end">): string {
  const { violation, broken, action, forwarded, returned, quarantined } = end;
  const fields = [violation?.oracle, violation?.invariant, broken, action, forwarded, returned, quarantined];
  return createHash("sha256").update(eventsToBytes(events)).update(JSON.stringify(fields)).digest("hex");
}

/** A rig that writes down what its sides and its relay do. */
class RecordedRig extends Rig {
  readonly events: TraceEvent[] = [];
  readonly #actionCount: number;
  readonly #ambushes: { due: number; action: number }[] = [];
  #action = 0;

  constructor(program: Program, make: MakeRelay) {
    super(program, make);
    this.#actionCount = program.actions.length;
  }

  override act(action: Action): void {
    if (action.op === "ambush" || action.op === "ambush-harvest") {
      this.#ambushes.push({ due: this.accesses + action.access, action: this.#action });
    }
    super.act(action);
    if (action.op !== "relay") this.#happened(SIDES[action.op] ?? sideOf(action), this.#action);
    this.#action += 1;
  }

  override turn(): boolean {
    // Once the program is over nobody acts by it, and only the words show who went on.
    if (this.#action === this.#actionCount) this.#wentOn();
    this.#happened(EVENT.turn, this.#action);
    return super.turn();
  }

  override before(kind: number, space: number, offset: number, bytes: number): void {
    try {
      super.before(kind, space, offset, bytes);
    } catch (error) {
      this.#access(kind, space, offset, bytes, 0, true);
      throw error;
    }
    this.#springs();
  }

  override after(kind: number, space: number, offset: number, bytes: number, value: number): void {
    const copies = kind === ACCESS.copyIn || kind === ACCESS.copyOut;
    // The length of a copy is known; what was in it would otherwise be in no record.
    const kept = copies && bytes > 0 ? crc32(new Uint8Array(this.world.buffers[space]!, offset, bytes)) : value;
    this.#access(kind, space, offset, bytes, kept, false);
    super.after(kind, space, offset, bytes, value);
  }

  #springs(): void {
    for (let i = this.#ambushes.length - 1; i >= 0; i--) {
      if (this.#ambushes[i]!.due > this.accesses) continue;
      this.#happened(EVENT.spring, this.#ambushes.splice(i, 1)[0]!.action);
    }
  }

  #wentOn(): void {
    const last = this.events.at(-1)?.indices;
    const indices = this.#indices();
    if (indices[0] !== (last?.[0] ?? this.world.setup.start)) this.#happened(EVENT.guest, this.#action);
    if ([3, 4, 5].some((i) => indices[i] !== (last?.[i] ?? 0))) this.#happened(EVENT.device, this.#action);
  }

  #happened(kind: number, action: number): void {
    this.events.push({ ...NO_ACCESS, kind, action, indices: this.#indices() });
  }

  #access(kind: number, space: number, offset: number, bytes: number, value: number, refused: boolean): void {
    this.events.push({
      kind,
      space,
      offset: u32(offset),
      bytes: u32(bytes),
      value: value >>> 0,
      action: this.#action,
      refused,
      indices: this.#indices(),
    });
  }

  #indices(): Indices {
    const { views, guestRing, shadowRing } = this.world;
    const [low, shadow] = [views[SPACE.low]!, views[SPACE.shadow]!];
    return [
      low.getUint16(guestRing.avail + 2, true),
      low.getUint16(guestRing.used + 2, true),
      shadow.getUint16(shadowRing.avail + 2, true),
      shadow.getUint16(shadowRing.used + 2, true),
      this.device.lastAvailIdx,
      this.device.usedIdx,
    ];
  }
}

const NO_ACCESS = { space: 0, offset: 0, bytes: 0, value: 0, refused: false };

/** Who acts; of a store past all rules, whoever it says. */
const SIDES: Readonly<Partial<Record<Action["op"], number>>> = {
  offer: EVENT.guest,
  "offer-raw": EVENT.guest,
  "offer-head": EVENT.guest,
  publish: EVENT.guest,
  reap: EVENT.guest,
  take: EVENT.device,
  use: EVENT.device,
  "use-raw": EVENT.device,
  "publish-used": EVENT.device,
  harvest: EVENT.migration,
  "ambush-harvest": EVENT.migration,
};

function sideOf(action: Action): number {
  return "by" in action && action.by === "device" ? EVENT.device : EVENT.guest;
}

function endOf({ violation, broken, action, forwarded, returned, quarantined }: RunResult): Trace["end"] {
  const found = violation && {
    oracle: violation.oracle,
    invariant: violation.invariant,
    message: oneLine(violation.message),
  };
  return { violation: found, broken, action, forwarded, returned, quarantined };
}

/** A faulty relay may name any offset; one that does not fit is refused anyway, and its oracle says which it was. */
function u32(value: number): number {
  return value >= 0 && value <= U32_MAX ? Math.trunc(value) : U32_MAX;
}
