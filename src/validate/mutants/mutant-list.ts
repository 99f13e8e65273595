import { ADDRESS_MUTANTS } from "./address-mutants.js";
import { JAVASCRIPT_MUTANTS } from "./javascript-mutants.js";
import { LOG_MUTANTS } from "./log-mutants.js";
import type { Mutant } from "./mutant.js";
import { ORDER_MUTANTS } from "./order-mutants.js";
import { RING_MUTANTS } from "./ring-mutants.js";

/** Every mutant; the names are distinct. */
export const MUTANTS: readonly Mutant[] = [
  ...RING_MUTANTS,
  ...ADDRESS_MUTANTS,
  ...LOG_MUTANTS,
  ...ORDER_MUTANTS,
  ...JAVASCRIPT_MUTANTS,
];
