/** Entry point of a data process: the control line is descriptor 3, the options are the first argument. */
import { ConfigError } from "../memory/config-error.js";
import { EXIT, exitCodeOf } from "../report/exit-codes.js";
import { NativeError } from "../sys/native.js";
import { SocketPathError } from "../sys/socket-address.js";
import { ControlLine } from "./control-line.js";
import { DataLoop } from "./data-loop.js";
import { parseDataOptions } from "./data-options.js";

const CONTROL_FD = 3;

try {
  new DataLoop(parseDataOptions(process.argv[2]), new ControlLine(CONTROL_FD)).run();
} catch (error) {
  const unusable = [ConfigError, SocketPathError, NativeError].some((kind) => error instanceof kind);
  process.stderr.write(`${unusable ? (error as Error).message : ((error as Error).stack ?? String(error))}\n`);
  process.exitCode = unusable ? EXIT.usage : exitCodeOf(error);
}
