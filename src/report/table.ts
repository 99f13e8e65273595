import Table from "cli-table3";

/** A cell: text that is already formatted, a bare number, or nothing to show. */
type Cell = string | number | null;

/** A column of a table. */
interface Column {
  readonly title: string;
  /** Right where every cell is a number, left elsewhere, unless told. */
  readonly align?: "left" | "right";
}

/** Rows under titled columns; every row has one cell for each column. */
export interface TableContent {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
}

const BOLD = "\u001b[1m";
const NOT_BOLD = "\u001b[22m";

/** Columns two spaces apart, a rule under the titles, nothing around. */
const BORDERS = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "-",
  "mid-mid": "  ",
  right: "",
  "right-mid": "",
  middle: "  ",
};

/** Says whether a stream takes colour: a terminal, without NO_COLOR, that is not dumb. */
export function wantsColour(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): boolean {
  return stream.isTTY === true && !env["NO_COLOR"] && env["TERM"] !== "dumb";
}

/** Lays a table out for a terminal; without a final newline. Titles are bold when `colour` is set. */
export function textTable(content: TableContent, colour = false): string {
  checkRows(content);
  const table = new Table({
    head: content.columns.map(({ title }) => (colour ? `${BOLD}${oneLine(title)}${NOT_BOLD}` : oneLine(title))),
    colAligns: alignments(content),
    chars: BORDERS,
    style: { head: [], border: [], compact: true, "padding-left": 0, "padding-right": 0 },
  });
  for (const row of content.rows) table.push(row.map(textOf));
  return table.toString().replaceAll(/ +$/gm, "");
}

/** Writes the same table in Markdown, without a final newline. */
export function markdownTable(content: TableContent): string {
  checkRows(content);
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const escaped = (cell: Cell) => textOf(cell).replaceAll("\\", "\\\\").replaceAll("|", "\\|");
  return [
    line(content.columns.map(({ title }) => escaped(title))),
    line(alignments(content).map((align) => (align === "right" ? "---:" : "---"))),
    ...content.rows.map((row) => line(row.map(escaped))),
  ].join("\n");
}

function checkRows({ columns, rows }: TableContent): void {
  const odd = rows.findIndex((row) => row.length !== columns.length);
  if (odd >= 0) throw new RangeError(`row ${odd} has ${rows[odd]!.length} cells for ${columns.length} columns`);
}

function alignments({ columns, rows }: TableContent): ("left" | "right")[] {
  const numeric = (index: number) => rows.every((row) => typeof row[index] === "number" || row[index] === null);
  return columns.map(({ align }, index) => align ?? (rows.length > 0 && numeric(index) ? "right" : "left"));
}

function textOf(cell: Cell): string {
  return cell === null ? "–" : oneLine(String(cell));
}

/** A line break or an escape sequence from a name would break the layout, or worse the terminal. */
function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ");
}
