import { Doorbell } from "../memory/bell.js";
import { ControlPort } from "./control-port.js";
import type { WaitPolicy } from "./messages.js";
import { runLoop } from "./role-loop.js";
import type { Station } from "./stations.js";

/** Runs the stations of one thread until it is told to stop; reports what goes wrong, and always lets go of files. */
export function runStations(
  make: (control: ControlPort) => readonly Station[],
  thread: { readonly bells: SharedArrayBuffer; readonly bell: number; readonly wait: WaitPolicy },
): void {
  const control = new ControlPort();
  let stations: readonly Station[] = [];
  try {
    stations = make(control);
    control.ready();
    runLoop({
      roles: stations.map(({ role }) => role),
      counters: stations.map(({ counters }) => counters),
      bell: new Doorbell(thread.bells, thread.bell),
      wait: thread.wait,
      control,
      obey: (command) => {
        if (command.kind === "stop") return false;
        if (command.kind === "sync") {
          const accounting = stations.flatMap((station) => station.accounting());
          control.send({ kind: "synced", token: command.token, accounting });
        }
        for (const station of stations) station.obey(command);
        return true;
      },
      notice: () => {
        for (const station of stations) station.notice();
      },
    });
  } catch (error) {
    const { message, stack } = error as Error;
    control.send({ kind: "failed", message, stack });
  } finally {
    for (const station of stations) station.close();
  }
}
