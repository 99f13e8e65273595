import type { Coverage } from "../helpers/named-ids.js";
import type { Statement } from "./statements.js";

/** How many statements of a group are in which state. */
export interface Tally {
  readonly statements: number;
  readonly tested: number;
  readonly not_applicable: number;
  readonly not_yet: number;
  readonly missing: readonly string[];
}

/** Counts the statements of a coverage that `among` picks. */
export function tally({ statements, missing }: Coverage<Statement>, among: (statement: Statement) => boolean): Tally {
  const chosen = statements.filter(among);
  const of = (kind: string) => chosen.filter(({ untested }) => untested?.kind === kind).length;
  const ids = chosen.map(({ id }) => id).filter((id) => missing.includes(id));
  const [notApplicable, notYet] = [of("not applicable"), of("not yet")];
  return {
    statements: chosen.length,
    tested: chosen.length - notApplicable - notYet - ids.length,
    not_applicable: notApplicable,
    not_yet: notYet,
    missing: ids,
  };
}

/** The family of an id: what stands before its number. */
export function familyOf(id: string): string {
  return id.slice(0, id.indexOf("-"));
}
