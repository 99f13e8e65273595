/** `npm run layout`: writes the table of this machine's kernel headers; exit code 2 when it cannot ask them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { NATIVE_LAYOUT_DIR, probeLayout, tableName } from "./probe.js";

const probe = probeLayout();
if ("why" in probe) {
  console.error(`no table written: ${probe.why}`);
  process.exitCode = 2;
} else {
  const name = tableName(probe.table);
  writeFileSync(join(NATIVE_LAYOUT_DIR, "tables", name), `${JSON.stringify(probe.table, null, 2)}\n`);
  console.log(`wrote native-layout/tables/${name}`);
}
