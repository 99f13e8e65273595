import { ADDRESS_ROWS } from "./address-rows.js";
import type { Row } from "./case.js";
import { CHAIN_ROWS } from "./chain-rows.js";
import { DEVICE_ROWS } from "./device-rows.js";
import { INDIRECT_ROWS } from "./indirect-rows.js";
import { JAVASCRIPT_ROWS } from "./javascript-rows.js";
import { LIFECYCLE_ROWS } from "./lifecycle-rows.js";
import { LOG_ROWS } from "./log-rows.js";
import { MACHINE_ROWS } from "./machine-rows.js";
import { NOTIFICATION_ROWS } from "./notification-rows.js";
import { RING_ROWS } from "./ring-rows.js";
import { SETUP_ROWS } from "./setup-rows.js";
import { TOCTOU_ROWS } from "./toctou-rows.js";
import { USED_ROWS } from "./used-rows.js";

/** Every row that has cases, by number. */
export const CATALOGUE: readonly Row[] = [
  ...RING_ROWS,
  ...SETUP_ROWS,
  ...CHAIN_ROWS,
  ...ADDRESS_ROWS,
  ...INDIRECT_ROWS,
  ...USED_ROWS,
  ...DEVICE_ROWS,
  ...TOCTOU_ROWS,
  ...LOG_ROWS,
  ...LIFECYCLE_ROWS,
  ...NOTIFICATION_ROWS,
  ...MACHINE_ROWS,
  ...JAVASCRIPT_ROWS,
].sort((a, b) => numberOf(a) - numberOf(b));

function numberOf({ id }: Row): number {
  return Number(id.slice("BI-".length));
}
