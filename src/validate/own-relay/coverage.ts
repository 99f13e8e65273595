import type { OwnExploration } from "./own-explore.js";

/** How a relay was examined beyond the rig: which orders of accesses it met, and where it was killed. */
export interface OwnCoverage {
  /** In words: "every order" of so many explorations, or how many random orders. */
  readonly explorer: string;
  /** In words: so many of so many, or why none. */
  readonly crash_points: string;
  readonly explorations: readonly OwnExploration[];
}

/** Puts both into words. */
export function coverageOf(
  explorations: readonly OwnExploration[],
  crash: { readonly points: number; readonly covered: number } | undefined,
): OwnCoverage {
  return {
    explorer: ordersOf(explorations),
    crash_points:
      crash === undefined ? "not offered: the relay has no recover()" : `${crash.covered} of ${crash.points}`,
    explorations,
  };
}

function ordersOf(explorations: readonly OwnExploration[]): string {
  const orders = explorations.reduce((sum, { orders: count }) => sum + (count ?? 0), 0);
  if (orders > 0) return `${orders} random orders: the relay has no save()`;
  const whole = explorations.filter(({ complete }) => complete).length;
  if (whole === explorations.length) return "every order";
  const ended = explorations.filter(({ broken }) => broken).length;
  const rest = explorations.length - whole - ended;
  return [
    `every order in ${whole} of ${explorations.length} explorations`,
    ...(ended > 0 ? [`${ended} ended by a fault`] : []),
    ...(rest > 0 ? [`${rest} given up for their size`] : []),
  ].join(", ");
}
