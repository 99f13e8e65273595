/** Sends one datagram to a Unix socket; throws Error when it cannot. */
export type SendDatagram = (path: string, text: string) => void;

/**
 * Tells the service manager how the daemon is (sd_notify(3)): "READY=1", "STOPPING=1".
 *
 * Does nothing without NOTIFY_SOCKET; a name that starts with @ is in the abstract namespace, which a zero byte stands
 * for. Returns why it could not be told, undefined when all is well.
 */
export function notifyManager(
  state: string,
  send: SendDatagram | undefined,
  env: NodeJS.ProcessEnv = process.env,
): string | undefined {
  const socket = env["NOTIFY_SOCKET"];
  if (socket === undefined || socket === "") return undefined;
  if (!/^[@/]./.test(socket)) return `NOTIFY_SOCKET ${socket}: neither a path nor an abstract name`;
  if (send === undefined) return `NOTIFY_SOCKET ${socket}: this build cannot send datagrams`;
  try {
    send(socket.replace(/^@/, "\0"), state);
    return undefined;
  } catch (error) {
    return `NOTIFY_SOCKET ${socket}: ${(error as Error).message}`;
  }
}
