/** Entry point of a data process: the control line is descriptor 3, the options are the first argument. */
import { isMainThread, workerData } from "node:worker_threads";
import { ConfigError } from "../../memory/config-error.js";
import { EXIT } from "../../report/exit-codes.js";
import { NativeError } from "../../sys/native.js";
import type { DataWorkerData } from "../control-messages.js";
import { ControlLine } from "./control-line.js";
import { DataLoop } from "./data-loop.js";
import { parseDataOptions } from "./data-options.js";

const CONTROL_FD = 3;

// A signal comes to the whole group, and the main process asks by "stop": what ends this thread is that alone.
if (isMainThread) for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});

try {
  const worker = isMainThread ? undefined : (workerData as DataWorkerData);
  const options = parseDataOptions(worker === undefined ? process.argv[2] : JSON.stringify(worker.options));
  const lostCount = await new DataLoop(options, new ControlLine(worker?.controlFd ?? CONTROL_FD)).run();
  if (lostCount > 0) {
    process.stderr.write(`the guest of ${options.listen} lost ${lostCount} requests that its back end kept\n`);
    process.exitCode = EXIT.broken;
  }
} catch (error) {
  const unusable = error instanceof ConfigError || error instanceof NativeError;
  process.stderr.write(`${unusable ? error.message : ((error as Error).stack ?? String(error))}\n`);
  process.exitCode = unusable ? EXIT.usage : EXIT.broken;
}
