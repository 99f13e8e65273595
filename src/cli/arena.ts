import { Command } from "commander";
import { configsOf } from "../lab/paths.js";
import { arenaMap } from "../machine/arena.js";
import { checkedConfig } from "../machine/config.js";
import { writeJson, writeText } from "../report/json.js";
import { textTable, wantsColour } from "../report/table.js";
import { formatBytes } from "../report/units.js";
import { addSettings, askedBy, jsonFile, noOperands } from "./options.js";

/** svq arena: which bytes exist, and who may touch them. */
export function arenaCommand(): Command {
  const command = new Command("arena")
    .description("Print the map of shared memory: every part, its size, and what each role may do with it.")
    .option("--json [file]", "one JSON document instead of the table")
    .addHelpText("after", "\nExamples:\n  svq arena\n  svq arena --ram 4G --queues 8 --queue-size 1024\n");
  return addSettings(command).action(async () => {
    noOperands(command);
    const config = checkedConfig(configsOf([{ path: "svq", placement: "threads" }], askedBy(command).asked)[0]!);
    const parts = arenaMap(config);
    const json = jsonFile(command.opts()["json"]);
    if (json !== undefined) {
      await writeJson({ schema: "shadowvq.arena/1", parts }, json);
      return;
    }
    const rows = parts.map(({ name, bytes, gpa, driver, relay, device }) => [
      name,
      gpa === undefined ? "" : `0x${gpa.toString(16)}`,
      bytes,
      formatBytes(bytes),
      driver,
      relay,
      device,
    ]);
    const columns = ["part", "gpa", "bytes", "size", "driver", "relay", "device"].map((title) => ({ title }));
    await writeText(`${textTable({ columns, rows }, wantsColour(process.stdout))}\n`);
  });
}
