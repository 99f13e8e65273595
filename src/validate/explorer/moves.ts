import type { Access } from "./automaton.js";
import type { Position, Positions } from "./positions.js";

/** What one party does, or which of its stores is seen by all. */
export interface Move {
  readonly who: string;
  readonly kind: Access["kind"] | "seen" | "nothing";
  readonly offset: number;
  readonly bytes: number;
  /** What was read, stored or chosen. */
  readonly value: number;
}

const READS: ReadonlySet<Access["kind"]> = new Set(["load", "observe", "take"]);

/** The move from a position over an image: the drain with that number, or with -1 the next access, as was chosen. */
export function moveFrom(positions: Positions, position: Position, drain: number, image: number, chosen = 0): Move {
  const who = positions.party.name;
  if (drain >= 0) return { who, kind: "seen", ...position.drains[drain]!.store };
  const { next } = position.node;
  if (typeof next !== "object" || "threw" in next) return { who, kind: "nothing", offset: 0, bytes: 0, value: 0 };
  if (next.kind === "choose") return { who, ...next, value: chosen };
  return { who, ...next, value: READS.has(next.kind) ? positions.read(position, image) : next.value };
}

/** A move in words; `nameAt` names offsets. */
export function moveText({ who, kind, offset, value }: Move, nameAt: (offset: number) => string): string {
  if (kind === "seen") return `${who}'s ${value} in ${nameAt(offset)} is seen`;
  if (kind === "nothing" || kind === "fence") return `${who}: ${kind}`;
  if (kind === "choose") return `${who}: chooses ${value}`;
  if (kind === "sleep") return `${who}: is woken`;
  return `${who}: ${kind} ${value} ${READS.has(kind) ? "from" : "in"} ${nameAt(offset)}`;
}
