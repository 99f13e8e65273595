import type { DataPathName } from "../../relay/data-path.js";
import type { FaultKind } from "./fault-kind.js";
import type { FaultRun } from "./fault-run.js";

/** Turns between two changes of path at most. */
const STAY_TURNS_MAX = 60;

/** What changes under a running relay: log, address space, data path. */
export const MEMORY_FAULTS: readonly FaultKind[] = [
  {
    name: "log-swap",
    does: "The dirty log is exchanged for another, and the marks of the old one are moved over.",
    needs: {},
    timeouts: 0,
    positions: ({ steps }) => steps,
    inject(run, position) {
      const { gpa, bytes } = run.machine.arena.regions.at(-1)!;
      run.at(position, () => run.log.swap(gpa + bytes));
    },
  },
  {
    name: "log-take",
    does: "A migration takes all marks and copies their pages; what changes after that is marked again.",
    needs: {},
    timeouts: 0,
    positions: ({ steps }) => steps,
    inject(run, position) {
      run.at(position, () => void run.machine.oracle!.sync());
    },
  },
  {
    name: "remap",
    does: "Guest memory is unmapped and mapped elsewhere in other pieces, while the device rests.",
    needs: {},
    timeouts: 0,
    positions: ({ steps }) => steps,
    inject(run, position) {
      const { machine } = run;
      run.at(position, () => {
        run.remaps += 1 + run.choose(3);
        machine.relay.requestRemap();
        machine.ring("relay");
      });
    },
  },
  {
    name: "path-change",
    does: "A queue goes from svq to used-only and back while it runs; both mark.",
    // The mediated ring has the guest's size, and the judge allows a shadow ring no more than its own.
    needs: { eventIdx: false, shadowQueueSize: 0 },
    timeouts: 0,
    positions: ({ steps }) => steps,
    inject(run, position) {
      run.at(position, () => {
        request(run, "used-only");
        run.when(
          () => !run.machine.relay.switching,
          () => run.later(run.choose(STAY_TURNS_MAX), () => request(run, "svq")),
        );
      });
    },
  },
  {
    name: "logging-on",
    does: "A queue goes from passthrough to svq while it runs; from then on all that changes is marked.",
    needs: { path: "passthrough", iovaPolicy: "gpa" },
    timeouts: 0,
    positions: ({ steps }) => steps,
    inject(run, position) {
      const { machine } = run;
      run.at(position, () => {
        request(run, "svq");
        run.when(
          () => !machine.relay.switching,
          () => {
            machine.oracle!.restart();
            machine.marksExpected = true;
          },
        );
      });
    },
  },
];

function request({ machine }: FaultRun, path: DataPathName): void {
  machine.relay.requestPath(path);
  machine.ring("relay");
}
