import type { Rig } from "../rig/rig.js";
import type { Case, Row } from "./case.js";
import {
  EVENTS,
  elements,
  FORMS,
  ONE,
  offer,
  PUBLISH,
  PUBLISH_USED,
  REAP,
  RELAY,
  ROUNDS,
  STARTS,
  TAKE,
  times,
  USE,
} from "./programs.js";
import { neighbour, type Told } from "./rig-case.js";

/** Who is told of what, and how often. */
export const NOTIFICATION_ROWS: readonly Row[] = [
  { id: "BI-103", title: "the first completion after a start", cases: firstCall },
  { id: "BI-104", title: "many notifications in one", cases: coalesced },
  { id: "BI-105", title: "wake-ups without work", cases: storms },
];

function firstCall(): Case[] {
  const look = (_: Rig, { calls, kicks }: Told) =>
    calls === 1 && kicks === 1 ? undefined : `${calls} calls, ${kicks} kicks`;
  return STARTS.flatMap((start) =>
    EVENTS.flatMap((eventIdx) =>
      FORMS.map((form) => {
        const actions = [
          REAP,
          RELAY,
          offer(elements(2, 1), form),
          PUBLISH,
          RELAY,
          TAKE,
          USE,
          PUBLISH_USED,
          RELAY,
          REAP,
        ];
        return neighbour(
          `from ${start}, ${form}, ${eventIdx ? "event index" : "flags"}`,
          { start, eventIdx },
          actions,
          {
            look,
          },
        );
      }),
    ),
  );
}

/** Nobody finishes these but by what he is told: the rig lets the relay sleep until it is. */
function coalesced(): Case[] {
  return EVENTS.flatMap((eventIdx) =>
    [STARTS[0], STARTS[3]].flatMap((start) =>
      [1, 2, 8].flatMap((count) => {
        const setup = { eventIdx, start };
        const told = times(count, ONE, PUBLISH);
        const title = `${count} told of one by one, ${eventIdx ? "event index" : "flags"} from ${start}`;
        return [
          neighbour(title, setup, told),
          neighbour(`${title}, asleep`, setup, [RELAY, RELAY, ...told]),
          neighbour(`${title}, while it works`, setup, [ONE, PUBLISH, RELAY, ...times(count - 1, ONE, PUBLISH), RELAY]),
          neighbour(`${title}, used one by one`, setup, [...told, RELAY, TAKE, ...times(count, USE, PUBLISH_USED)]),
        ];
      }),
    ),
  );
}

function storms(): Case[] {
  return EVENTS.flatMap((eventIdx) =>
    [10, 500].map((turns) => {
      const look = ({ accesses }: Rig, { calls, kicks }: Told) => {
        const quiet = accesses <= 40 * (turns + 10) && calls <= 1 && kicks <= 1;
        return quiet ? undefined : `${accesses} accesses, ${calls} calls, ${kicks} kicks`;
      };
      const actions = [REAP, ONE, PUBLISH, ...ROUNDS, ...times(turns, RELAY)];
      return neighbour(`${turns} wake-ups, ${eventIdx ? "event index" : "flags"}`, { eventIdx }, actions, { look });
    }),
  );
}
