/** Sends a state to the address of a service manager; throws Error when it cannot. */
export type TellManager = (state: string, address: string) => unknown;

/**
 * Tells the service manager how the daemon is (sd_notify(3)): "READY=1", "STOPPING=1".
 *
 * Does nothing without NOTIFY_SOCKET, and loads native calls only with it. Returns why it could not be told, undefined
 * when all is well: a daemon does not end because nobody wants to hear of it.
 */
export async function notifyManager(
  state: string,
  env: NodeJS.ProcessEnv = process.env,
  tell?: TellManager,
): Promise<string | undefined> {
  const address = env["NOTIFY_SOCKET"];
  if (address === undefined || address === "") return undefined;
  try {
    const send = tell ?? (await import("../sys/process.js")).notifyServiceManager;
    send(state, address);
    return undefined;
  } catch (error) {
    return `NOTIFY_SOCKET ${address}: ${(error as Error).message}`;
  }
}
