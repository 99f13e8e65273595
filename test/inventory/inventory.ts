import { type Coverage, coverage, type Numbered, testSources } from "../helpers/named-ids.js";
import { INVENTORY, type InventoryRow } from "./rows.js";

const NUMBERS = [
  "A(?:0[1-9]|1\\d|2[01])",
  "B(?:0[1-9]|1[0-3])",
  "C(?:0[1-9]|1[0-3])",
  "D(?:0[1-9]|[12]\\d|3[0-6])",
  "E(?:0[1-9]|1[0-5])",
];

/** How tests write the ids of the inventory: "A05: …", "(D32)", "B04, B06: …". */
export const INVENTORY_ID = new RegExp(`\\b(?:${NUMBERS.join("|")})(?=[:,)])`, "g");

/** A row of the inventory as something that tests can name. */
export type InventoryStatement = InventoryRow & Numbered;

/** Holds the titles of all tests against the inventory. */
export function inventory(): Coverage<InventoryStatement> {
  const statements = INVENTORY.map(({ later, ...row }): InventoryStatement => {
    return later === undefined ? row : { ...row, later, untested: { kind: "later", why: later } };
  });
  return coverage(statements, testSources("test/inventory"), INVENTORY_ID);
}
