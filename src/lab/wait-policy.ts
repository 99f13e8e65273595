import type { MachineConfig, Waiting } from "../machine/config.js";
import type { WaitPolicy } from "../workers/messages.js";

/** Turns without work before a thread sleeps, where each has a core: longer than waking an idle core takes. */
const SPINS = 2000;
/** Far above any time that counts, so that the timeout is never part of the speed. */
const TIMEOUT_MS = 1000;

/** How the threads of one machine wait and where they run. */
export interface ThreadPlan {
  readonly threads: number;
  readonly driver: WaitPolicy;
  readonly relay: WaitPolicy;
  readonly device: WaitPolicy;
  /** CPU of each thread, undefined where the kernel is to choose. */
  readonly cpus: {
    readonly driver: number | undefined;
    readonly relay: number | undefined;
    readonly device: number | undefined;
  };
  /** Why the machine is not to be compared with others, if it is not. */
  readonly why: string | undefined;
}

/** Threads that a path keeps busy: in passthrough the relay's sleeps. */
export function threadCount({ path, placement }: Pick<MachineConfig, "path" | "placement">): number {
  if (placement === "inline") return 1;
  return placement === "fused" || path === "passthrough" ? 2 : 3;
}

/**
 * Chooses waiting and CPUs by the cores there are: never more spinners than cores.
 *
 * With a core for each thread "auto" spins for a while before it sleeps. With two for three the relay does, through
 * which everything goes twice, on a core of its own; driver and device sleep at once and share the other. With one
 * all sleep at once. Where more pollers were asked for than there are cores the relay polls, the others wait, and the
 * row is not compared.
 */
export function planThreads(config: MachineConfig, cpus: readonly number[]): ThreadPlan {
  const plan = planActive(config, cpus);
  // A relay with nothing to relay would only take a core from who has.
  return config.path === "passthrough" ? { ...plan, relay: { ...plan.relay, waiting: "notified" } } : plan;
}

function planActive(config: MachineConfig, cpus: readonly number[]): ThreadPlan {
  const threads = threadCount(config);
  const enough = threads <= cpus.length;
  const asked = config.waiting;
  const policy = (waiting: Waiting): WaitPolicy => ({ waiting, spins: SPINS, timeoutMs: TIMEOUT_MS });
  const all = (waiting: Waiting) => ({ driver: policy(waiting), relay: policy(waiting), device: policy(waiting) });
  if (enough) {
    const waits = asked === "auto" ? all("adaptive") : all(asked);
    return { threads, ...waits, cpus: spread(config, cpus), why: undefined };
  }
  if (asked === "polled") {
    const pollers = `${threads} pollers on ${cpus.length} core(s)`;
    if (threads < 3) return { threads, ...all("notified"), cpus: together(cpus), why: `${pollers}: none polls` };
    const why = `${pollers}: the relay polls, the others wait`;
    return { threads, ...all("notified"), relay: policy("polled"), cpus: spread(config, cpus), why };
  }
  if (asked === "adaptive") {
    const why = `${threads} spinners on ${cpus.length} core(s): none spins`;
    return { threads, ...all("notified"), cpus: together(cpus), why };
  }
  if (asked === "auto" && cpus.length > 1) {
    return { threads, ...all("notified"), relay: policy("adaptive"), cpus: spread(config, cpus), why: undefined };
  }
  return { threads, ...all("notified"), cpus: together(cpus), why: undefined };
}

function spread({ path, placement }: MachineConfig, cpus: readonly number[]): ThreadPlan["cpus"] {
  const cpu = (index: number) => cpus[index % cpus.length];
  if (placement === "inline") return { driver: cpu(0), relay: cpu(0), device: cpu(0) };
  if (placement === "fused" || path === "passthrough") return { driver: cpu(0), relay: cpu(1), device: cpu(1) };
  return { driver: cpu(0), relay: cpu(1), device: cpu(2) };
}

function together(cpus: readonly number[]): ThreadPlan["cpus"] {
  return { driver: cpus[0], relay: cpus[0], device: cpus[0] };
}
