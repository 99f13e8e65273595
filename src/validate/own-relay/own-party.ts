import { deserialize, serialize } from "node:v8";
import type { Heartbeat } from "../../memory/heartbeat.js";
import type { Party, PartyMemory } from "../explorer/automaton.js";
import type { RelaySeat } from "../explorer/play.js";
import { Violation } from "../oracles/violation.js";
import { AdaptedRelay } from "./adapt.js";
import type { CreateRelay } from "./interface.js";
import { Lives, type Phase } from "./lives.js";
import { Pulse } from "./pulse-memory.js";

/** Accesses in one turn of an exploration: many times what two requests in a ring of two need. */
const TURN_ACCESSES_MAX = 500;

/** Not to be touched before the first turn. */
const NOT_YET = { byteLength: 0x7fff_ffff } as PartyMemory;

/** What a relay is known by between two turns: by what it saved, or by the life that it has led. */
interface OwnState {
  readonly phase: Phase;
  /** What it saved, its bytes as a string; nothing before its first turn. */
  readonly saved?: string;
  /** Number of its life, of one that cannot be saved. */
  readonly life?: number;
}

/** Somebody's relay as a party of the explorer: moves what there is to move, and sleeps when there was nothing. */
export function ownParty(createRelay: CreateRelay, { partsOver, bell }: RelaySeat, heart?: Heartbeat): Party<OwnState> {
  const make = (memory: PartyMemory, saved?: unknown) => {
    const legacy = saved === undefined ? {} : { saved };
    return new AdaptedRelay(createRelay, partsOver(memory), new Pulse(heart, TURN_ACCESSES_MAX), legacy);
  };
  const common = { name: "relay", serves: true };
  if (make(NOT_YET).saves) {
    return {
      ...common,
      start: { phase: "work" },
      step({ phase, saved }, memory) {
        const relay = make(memory, saved === undefined ? undefined : unpacked(saved));
        return { phase: turn(relay, phase, memory, bell), saved: packed(relay) };
      },
    };
  }
  const lives = new Lives();
  return {
    ...common,
    start: { phase: "work", life: 0 },
    step({ phase, life }, memory) {
      const lived = lives.of(life!);
      const seen = lived.over(memory);
      const relay = make(seen);
      for (const past of lived.turns) turn(relay, past, seen, bell);
      seen.live();
      return { phase: turn(relay, phase, seen, bell), life: lives.add(life!, phase, seen.results) };
    },
  };
}

function turn(relay: AdaptedRelay, phase: Phase, memory: PartyMemory, bell: number): Phase {
  let next: Phase = "work";
  if (phase === "work") next = relay.step() ? "work" : "arm";
  else if (relay.arm()) memory.sleep(bell);
  const accounts = relay.accounting();
  if (accounts !== undefined && accounts.free + accounts.inFlight !== accounts.size) {
    const { free, inFlight, size } = accounts;
    throw new Violation("O1", 2, `${free} free and ${inFlight} in flight of ${size}`);
  }
  return next;
}

function packed(relay: AdaptedRelay): string {
  try {
    return serialize(relay.save()).toString("latin1");
  } catch (error) {
    if (error instanceof Violation) throw error;
    throw new Violation("O9", 0, `what save() gives cannot be cloned: ${String(error)}`);
  }
}

function unpacked(saved: string): unknown {
  return deserialize(Buffer.from(saved, "latin1"));
}
