import type { TrackingConfig } from "../../dirty/blockers.js";
import type { TrackerEntry } from "../../dirty/tracker-set.js";
import { ConfigError } from "../../memory/config-error.js";
import type { RowGround, RowWiring, TrackerRow } from "./row.js";

/** Several rows as one migration: their trackers are OR-ed. Throws ConfigError for rows that are no trackers. */
export function joinedRow(rows: readonly TrackerRow[]): TrackerRow {
  const [first, ...others] = rows;
  if (first === undefined) throw new ConfigError("no tracker is named");
  if (others.length === 0) return first;
  for (const row of rows) {
    if (row.wire === undefined) throw new ConfigError(`tracker ${row.name} runs by itself only`);
    if (row.expect !== "sound") throw new ConfigError(`tracker ${row.name} is a control and runs by itself only`);
  }
  const policies = new Set(rows.flatMap(({ guest }) => guest?.markPolicy ?? []));
  if (policies.size > 1)
    throw new ConfigError(`one shadow virtqueue has one policy, not ${[...policies].join(" and ")}`);
  return {
    name: rows.map(({ name }) => name).join(","),
    expect: "sound",
    does: rows.map(({ does }) => does).join(" "),
    guest: Object.assign({}, ...rows.map(({ guest }) => guest)),
    wire: (ground) =>
      join(
        rows.map(({ wire }) => wire!(ground)),
        ground,
      ),
  };
}

function join(wirings: readonly RowWiring[], _ground: RowGround): RowWiring {
  const entries = new Map<unknown, TrackerEntry>();
  for (const entry of wirings.flatMap((wiring) => wiring.entries)) entries.set(entry.tracker, entry);
  const hooks = wirings.find((wiring) => wiring.hooks !== undefined)?.hooks;
  return {
    entries: [...entries.values()],
    config: wirings.map(({ config }) => config).reduce(joinConfigs),
    ...(hooks === undefined ? {} : { hooks }),
  };
}

function joinConfigs(one: TrackingConfig, other: TrackingConfig): TrackingConfig {
  const names = new Set([...one.devices, ...other.devices].map(({ name }) => name));
  const trackersOf = (name: string) =>
    [...one.devices, ...other.devices].filter((device) => device.name === name).flatMap(({ trackers }) => trackers);
  return {
    ...one,
    ...other,
    cpu: one.cpu === "store-log" || one.cpu === "all-dirty" ? other.cpu : one.cpu,
    devices: [...names].map((name) => ({ name, trackers: [...new Set(trackersOf(name))] })),
  };
}
