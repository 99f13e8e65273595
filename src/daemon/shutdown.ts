import type { Logger } from "pino";
import { type ControlEvent, timestampOf } from "./control-messages.js";
import type { ControlSocket } from "./control-socket.js";
import type { MetricsServer } from "./metrics-server.js";
import type { Supervisor } from "./supervisor.js";

/** The parts of a daemon that have to be ended. */
export interface RunningParts {
  readonly supervisor: Supervisor;
  readonly control: ControlSocket | undefined;
  readonly metrics: MetricsServer | undefined;
}

/**
 * Ends a daemon in order: clients are told, devices give their requests back, then the sockets close.
 *
 * True when every device ended within its grace; those that did not were killed, and are in the log.
 */
export async function shutDown(parts: RunningParts, log: Logger): Promise<boolean> {
  parts.control?.tell(shutdownEvent());
  const killed = await parts.supervisor.stop();
  for (const device of killed)
    log.error({ device }, "the data process was killed after its grace, or its guest lost requests");
  await Promise.all([parts.control?.close(), parts.metrics?.close()]);
  return killed.length === 0;
}

/** Leaves nothing behind when the process ends at once: data processes killed, socket files removed. */
export function abandon({ supervisor, control }: RunningParts): void {
  supervisor.abandon();
  control?.removeFile();
}

function shutdownEvent(): ControlEvent {
  return { event: "SHUTDOWN", data: {}, timestamp: timestampOf(Date.now()) };
}
