import { ConfigError } from "../../memory/config-error.js";
import type { Heartbeat } from "../../memory/heartbeat.js";
import type { SharedMemory } from "../../memory/shared-memory.js";
import { InflightRecord } from "../../relay/inflight-record.js";
import type { ShadowVirtqueueParts } from "../../relay/shadow-parts.js";
import { runCrashPoints } from "../crash/crash-points.js";
import type { CrashRelays } from "../crash/crash-relays.js";
import { runCrash } from "../crash/crash-run.js";
import type { CrashPoint, Scenario } from "../crash/scenario.js";
import { brokenBy } from "../explorer/violation-oracle.js";
import { Violation } from "../oracles/violation.js";
import { Bench } from "../rig/ground.js";
import { AdaptedRelay } from "./adapt.js";
import type { AgainCrash } from "./again.js";
import type { CreateRelay, OwnRecord } from "./interface.js";
import { type Broken, firsts, type OwnProfile } from "./judge.js";
import { Pulse, PulseMemory } from "./pulse-memory.js";

/** What came of killing a relay. */
interface OwnCrash {
  readonly broken: readonly Broken[];
  /** Places at which it was to die, and those at which it did. */
  readonly points: number;
  readonly covered: number;
}

/** Kills somebody's relay before and after each of its stores, and lets another one take over. */
export function crashOwn(createRelay: CreateRelay, profile: OwnProfile, heart: Heartbeat): OwnCrash {
  const { points, covered, failures } = runCrashPoints({
    depth: profile === "full" ? 2 : 1,
    make: crashRelays(createRelay, heart),
    onProgress: () => heart.beat(),
  });
  const broken = firsts(failures.map(({ kills, message, ...scenario }) => brokenAt(scenario, kills, message)));
  // The first of each once more, step by step.
  const told = broken.map(({ again }) => crashOne(createRelay, again as AgainCrash, heart));
  return { broken: broken.map((each, i) => told[i] ?? each), points, covered };
}

/** Kills it once more in the same place; undefined when nothing is wrong. */
export function crashOne(
  createRelay: CreateRelay,
  { scenario, kills }: AgainCrash,
  heart: Heartbeat,
): Broken | undefined {
  const { violation, steps } = runCrash(scenario, kills, crashRelays(createRelay, heart), new Bench(), true);
  return violation && { ...brokenAt(scenario, kills, violation.message), steps };
}

function brokenAt(scenario: Scenario, kills: readonly CrashPoint[], what: string): Broken {
  const { chains, form, eventIdx, shadowNum } = scenario;
  const died = kills.map(({ store, side }) => `${side} its store ${store}`).join(", then the next one ");
  const queue = `${chains} × ${form}, ${eventIdx ? "event idx" : "flags"}, shadow ring of ${shadowNum}`;
  const where = `crash point, ${queue}, killed ${died || "nowhere"}`;
  return { ...brokenBy(what), where, what, again: { kind: "crash", scenario, kills } };
}

function crashRelays(createRelay: CreateRelay, heart: Heartbeat): CrashRelays {
  return {
    start(parts, memory) {
      const pulse = new Pulse(heart);
      const record = recordIn(parts, memory, pulse);
      record.begin(parts.start.usedIdx);
      return new AdaptedRelay(createRelay, parts, pulse, { record });
    },
    restart(parts, memory) {
      const pulse = new Pulse(heart);
      const record = recordIn(parts, memory, pulse);
      const relay = new AdaptedRelay(createRelay, parts, pulse, { record: judged(record) });
      relay.recover();
      return relay;
    },
  };
}

function recordIn({ guest }: ShadowVirtqueueParts, memory: SharedMemory, pulse: Pulse): InflightRecord {
  return new InflightRecord(new PulseMemory(memory, pulse), 0, guest.num);
}

/** A record that contradicts its ring says that heads are lost or doubled: the relay before has kept it wrongly. */
function judged(record: InflightRecord): OwnRecord {
  return {
    forwarding: (heads) => record.forwarding(heads),
    returning: (heads) => record.returning(heads),
    returned: (heads, usedIdx) => record.returned(heads, usedIdx),
    recover(usedIdx) {
      try {
        return record.recover(usedIdx);
      } catch (error) {
        if (error instanceof ConfigError)
          throw new Violation("O3", 7, `record and ring do not agree: ${error.message}`);
        throw error;
      }
    },
  };
}
