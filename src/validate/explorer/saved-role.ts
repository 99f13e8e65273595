import type { Parts } from "../../memory/role.js";
import type { Accounting } from "../../ring/driver-ring.js";
import type { PartyMemory } from "./automaton.js";

/** Parts of a role, as plain data. */
export interface SavedRole {
  readonly state: Record<string, number>;
  readonly tables: readonly (readonly number[])[];
}

/** For making a role of which only the beginning is wanted. */
export const NO_MEMORY = { byteLength: 0x7fff_ffff } as PartyMemory;

/** All that a role remembers. */
export function saved(role: { parts(): Parts }): SavedRole {
  const { state, tables } = role.parts();
  return { state: { ...state }, tables: tables.map((table) => [...table]) };
}

/** Gives a new role what another remembered; returns it. */
export function restored<Role extends { parts(): Parts }>(role: Role, from: SavedRole): Role {
  const { state, tables } = role.parts();
  Object.assign(state, from.state);
  for (const [i, table] of tables.entries()) table.set(from.tables[i]!);
  return role;
}

/** Throws unless each descriptor is free or in flight (O1). */
export function checkAccounts({ free, inFlight, size }: Accounting): void {
  if (free + inFlight !== size) throw new Error(`${free} free and ${inFlight} in flight of ${size}`);
}
