import { Command } from "commander";
import { type DoctorCheck, doctorChecks, missingForBench } from "../lab/doctor.js";
import { machineFacts } from "../lab/machine-facts.js";
import { EXIT } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { textTable, wantsColour } from "../report/table.js";
import { checkWritable, jsonFile } from "./options.js";

const TITLES = ["", "what", "found", "needed for", "how to get it"];

/** svq doctor: what this machine can do, and how to get what is missing. */
export function doctorCommand(): Command {
  const command = new Command("doctor")
    .description("Say what this machine can do: cores, pinning, compiler, QEMU and its like, KVM, browser.")
    .option("--probe-kvm", "boot a guest with KVM, which alone proves that it works; up to ten seconds")
    .option("--json [file]", "one JSON document instead of the table")
    .addHelpText("after", "\nExamples:\n  svq doctor\n  svq doctor --probe-kvm --json\n");
  return command.action(async () => {
    const options = command.opts<{ probeKvm?: boolean; json?: unknown }>();
    const json = jsonFile(options.json);
    checkWritable(json);
    const checks = doctorChecks({ probeKvm: options.probeKvm ?? false });
    const missing = missingForBench(checks);
    const verdict = missing.length === 0 ? "ok" : "failed";
    if (json === undefined) await writeText(`${tableOf(checks)}\n\n${lastLine(missing)}\n`);
    else await writeJson({ schema: "shadowvq.doctor/1", ...machineFacts(), checks, verdict }, json);
    process.exitCode = missing.length === 0 ? EXIT.done : EXIT.gateFailed;
  });
}

function tableOf(checks: readonly DoctorCheck[]): string {
  const columns = TITLES.map((title) => ({ title }));
  const rows = checks.map(({ name, ok, found, needed_for, install = "" }) => [
    markOf(ok),
    name,
    found,
    needed_for,
    install,
  ]);
  return textTable({ columns, rows }, wantsColour(process.stdout));
}

function markOf(ok: boolean | null): string {
  return ok === null ? "?" : ok ? "ok" : "no";
}

function lastLine(missing: readonly string[]): string {
  return missing.length === 0
    ? "verdict: ok, the main job (svq bench) can run"
    : `verdict: failed, the main job (svq bench) lacks ${missing.join(", ")}`;
}
