/** Holds the names of the tests against the inventory of mechanisms that the mailing-list threads name. */
import { Command } from "commander";
import { EXIT } from "../../src/report/exit-codes.js";
import { writeJson, writeText } from "../../src/report/json.js";
import { textTable, wantsColour } from "../../src/report/table.js";
import { type Coverage, placesOf, reasons } from "../helpers/named-ids.js";
import { runProgram } from "../helpers/run-program.js";
import { type InventoryStatement, inventory } from "./inventory.js";

const EXAMPLES = `
Examples:
  npm run -s inventory                             every mechanism, and the test that names it
  npm run -s inventory -- --json | jq .missing     for programs
`;

interface Options {
  readonly json?: string | true;
}

const program = new Command("inventory")
  .description("Which mechanisms of the mailing-list threads have a test that names them; exit 1 when one has none.")
  .option("--json [file]", "one JSON document instead of the table")
  .addHelpText("after", EXAMPLES)
  .action(run);

await runProgram(program);

async function run({ json }: Options): Promise<void> {
  const found = inventory();
  if (json !== undefined) await writeJson(document(found), json === true ? "-" : json);
  else await writeText(`${table(found)}\n\n${reasons(found.statements).join("\n")}\n`);
  for (const line of found.wrong) process.stderr.write(`inventory: ${line}\n`);
  for (const id of found.missing) process.stderr.write(`inventory: ${id} has no test\n`);
  if (found.missing.length + found.wrong.length > 0) process.exitCode = EXIT.gateFailed;
}

function document({ statements, tests, missing, wrong }: Coverage<InventoryStatement>): object {
  const later = statements.filter(({ untested }) => untested !== undefined).length;
  const byId = statements.map(({ id, untested }) => [
    id,
    untested === undefined ? { tests: tests.get(id)?.length ?? 0 } : { later: untested.why },
  ]);
  return {
    schema: "shadowvq.inventory/1",
    rows: statements.length,
    tested: statements.length - later - missing.length,
    later,
    missing,
    wrong,
    by_id: Object.fromEntries(byId),
  };
}

function table(found: Coverage<InventoryStatement>): string {
  const rows = found.statements.map((statement) => {
    const [first, ...others] = placesOf(found, statement);
    return [statement.id, statement.says, others.length === 0 ? first : `${first} (and ${others.length} more)`];
  });
  return textTable(
    { columns: ["id", "in our words", "test"].map((title) => ({ title })), rows },
    wantsColour(process.stdout),
  );
}
