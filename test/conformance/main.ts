import { Command } from "commander";
import { EXIT } from "../../src/report/exit-codes.js";
import { writeJson, writeText } from "../../src/report/json.js";
import { textTable, wantsColour } from "../../src/report/table.js";
import { type Coverage as CoverageOf, coverage, placesOf, reasons, testSources } from "../helpers/named-ids.js";
import { runProgram } from "../helpers/run-program.js";
import { STATEMENT_ID, STATEMENTS, type Statement } from "./statements.js";
import { familyOf, type Tally, tally } from "./tally.js";

type Coverage = CoverageOf<Statement>;

const EXAMPLES = `
Examples:
  npm run -s conformance                             how many statements have a test, by family
  npm run -s conformance -- --all                    every statement with the tests that name it
  npm run -s conformance -- --json | jq .missing     for programs
`;

interface Options {
  readonly json?: string | true;
  readonly all?: true;
}

const program = new Command("conformance")
  .description("Holds the names of the tests against the numbered statements of VIRTIO; exit 1 when one has no test.")
  .option("--all", "every statement, and the tests that name it")
  .option("--json [file]", "one JSON document instead of the table")
  .addHelpText("after", EXAMPLES)
  .action(run);

await runProgram(program);

async function run({ json, all }: Options): Promise<void> {
  const found = coverage(STATEMENTS, testSources("test/conformance"), STATEMENT_ID);
  if (json !== undefined) await writeJson(document(found), json === true ? "-" : json);
  else await writeText(`${all ? everyStatement(found) : byFamily(found)}\n`);
  for (const line of found.wrong) process.stderr.write(`conformance: ${line}\n`);
  for (const id of found.missing) process.stderr.write(`conformance: ${id} has no test\n`);
  if (found.missing.length + found.wrong.length > 0) process.exitCode = EXIT.gateFailed;
}

/** The statements with a keyword on top, as VIRTIO counts them; those that bind in practice by themselves. */
function document(found: Coverage): object {
  const byId = found.statements.map(({ id, untested }) => {
    const tests = found.tests.get(id) ?? [];
    return [id, untested ?? { kind: tests.length === 0 ? "missing" : "tested", tests: tests.length }];
  });
  return {
    schema: "shadowvq.conformance/1",
    ...tally(found, ({ keyword }) => keyword),
    missing: found.missing,
    without_keyword: tally(found, ({ keyword }) => !keyword),
    wrong: found.wrong,
    by_id: Object.fromEntries(byId),
  };
}

function byFamily(found: Coverage): string {
  const families = [...new Set(found.statements.map(({ id }) => familyOf(id)))];
  const row = (title: string, counts: Tally) => [
    title,
    counts.statements,
    counts.tested,
    counts.not_applicable,
    counts.not_yet,
    counts.missing.length,
  ];
  const rows = families.map((family) =>
    row(
      family,
      tally(found, ({ id }) => familyOf(id) === family),
    ),
  );
  rows.push(
    row(
      "with a keyword",
      tally(found, ({ keyword }) => keyword),
    ),
    row(
      "all",
      tally(found, () => true),
    ),
  );
  const columns = ["family", "statements", "tested", "not applicable", "not yet", "missing"];
  return `${tableOf(columns, rows)}\n\n${reasons(found.statements).join("\n")}`;
}

function everyStatement(found: Coverage): string {
  const rows = found.statements.flatMap((statement) => {
    const { id, section, binds, says } = statement;
    const [first, ...others] = placesOf(found, statement);
    return [[id, section, binds, says, first], ...others.map((place) => ["", "", "", "", place])];
  });
  return tableOf(["id", "VIRTIO", "binds", "in our words", "tests"], rows);
}

function tableOf(titles: readonly string[], rows: readonly (string | number)[][]): string {
  const columns = titles.map((title) => ({ title }));
  return textTable({ columns, rows }, wantsColour(process.stdout));
}
