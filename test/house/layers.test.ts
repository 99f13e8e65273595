/** Who may import whom: the table that keeps the tree readable from the bottom up. */
import { dirname, join } from "node:path/posix";
import { expect, test } from "vitest";
import { importsOf, read, type Source } from "./sources.js";

/** What a folder of src/ may import from the others; within itself it may import anything. */
interface Layer {
  readonly may: readonly string[];
  /** Folders whose types it may name, without using what they do. */
  readonly types?: readonly string[];
  /** Why the row is wider than its layer would have it. */
  readonly because?: string;
}

const LEAVES = ["layout", "memory", "ring", "iova", "dirty", "vhost-user", "transport", "telemetry"];
const BELOW_MACHINE = [...LEAVES, "vfio", "driver", "relay", "device", "migration"];
const BELOW_LAB = [...BELOW_MACHINE, "machine", "workers", "report"];

/** From the bottom up; src/README.md draws it. */
const LAYERS: Readonly<Record<string, Layer>> = {
  layout: { may: [] },

  memory: { may: ["layout"] },
  sys: { may: ["layout", "memory"] },

  // These do not know each other.
  ring: { may: ["layout", "memory"] },
  iova: { may: ["layout", "memory"] },
  dirty: { may: ["layout", "memory"] },
  "vhost-user": { may: ["layout", "memory"] },
  transport: { may: ["layout", "memory"] },
  telemetry: { may: ["layout", "memory"] },

  vfio: {
    may: ["layout", "memory", "ring", "iova", "dirty"],
    because: "ring: a device reports its dirty pages through a split virtqueue, by the ring halves that everybody uses",
  },

  // Nor do these, except as said; they meet in machine/.
  driver: {
    may: ["layout", "memory", "ring", "transport", "telemetry"],
    because: "a driver half initialises its device through the transport, and every role counts what it does",
  },
  device: {
    may: ["layout", "memory", "ring", "iova", "transport", "telemetry"],
    because: "a device half is found through the transport, and every role counts what it does",
  },
  relay: {
    may: ["layout", "memory", "ring", "iova", "dirty", "transport", "telemetry"],
    because: "the relay is both halves: a device to the guest's transport, a driver to the device's",
  },
  migration: {
    may: ["layout", "memory", "dirty", "ring", "vfio", "telemetry"],
    because: "the stream carries ring states and device states",
  },

  machine: { may: BELOW_MACHINE },
  workers: {
    may: ["memory", "sys", "machine", "telemetry", "driver", "device"],
    types: ["relay", "ring"],
    because: "objects cannot cross threads: a station makes its workload or device model from a plain message",
  },
  report: { may: ["layout", "telemetry"] },

  validate: { may: BELOW_LAB },
  lab: {
    may: [...BELOW_LAB, "validate"],
    because:
      "workers: worker-url.ts knows where a built worker lies; validate: mutants of trackers are judged as others",
  },
  daemon: {
    may: [...BELOW_LAB, "sys"],
    types: ["lab"],
    because:
      "the only one that talks to other processes: bench and validate run where koffi cannot be loaded; " +
      "what bench --real measures has the shape that lab/ makes a document of",
  },

  cli: {
    may: ["validate", "lab", "daemon", "report", "machine"],
    because: "machine: the config that options fill in, and the map of the arena, are printed as they are",
  },
};

/** Files that import a computed name, and why: what it names is no file of src/. */
const COMPUTED: Readonly<Record<string, string>> = {
  "src/validate/explorer/cast.ts": "a class of a patched copy of the build, in a temporary folder",
  "src/validate/own-relay/load.ts": "the module of whoever validates a relay of their own",
};

/** The imports that the table forbids, one line each. */
function forbiddenImports(sources: readonly Source[], layers = LAYERS): string[] {
  return sources.flatMap((source) => {
    const from = folderOf(source.path);
    if (from === undefined) return [`${source.path}:1: lies in no folder of src/`];
    const layer = layers[from];
    if (layer === undefined) return [`${source.path}:1: ${from} is not in the table of layers`];
    return importsOf(source).flatMap(({ specifier, line, typeOnly }) => {
      const where = `${source.path}:${line}:`;
      if (specifier === undefined && Object.hasOwn(COMPUTED, source.path)) return [];
      if (specifier === undefined) return [`${where} ${from} imports a computed name, which this table cannot judge`];
      if (!specifier.startsWith(".")) return [];
      const target = join(dirname(source.path), specifier);
      const to = folderOf(target);
      if (to === undefined) return [`${where} ${from} imports ${target}, which lies in no folder of src/`];
      if (to === from || layer.may.includes(to) || (typeOnly && layer.types?.includes(to))) return [];
      return [`${where} ${from} → ${to} is not in the table of layers (${specifier})`];
    });
  });
}

function folderOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1];
}

test("imports between the folders of src/ go downwards, as in the table", () => {
  expect(forbiddenImports(read(/^src\/.*\.ts$/))).toEqual([]);
});

test("the table itself goes downwards: what a folder may import stands above it", () => {
  const names = Object.keys(LAYERS);
  for (const [folder, { may, types = [] }] of Object.entries(LAYERS)) {
    for (const lower of [...may, ...types]) {
      expect(names.slice(0, names.indexOf(folder)), `${folder} → ${lower}`).toContain(lower);
    }
  }
});

test.each([
  ["import", 'import { Relay } from "../relay/relay.js";'],
  ["import type", 'import type { Relay } from "../relay/relay.js";'],
  ["import for its effects", 'import "../relay/relay.js";'],
  ["export from", 'export { Relay } from "../relay/relay.js";'],
  ["export *", 'export * from "../relay/relay.js";'],
  ["import()", 'export const relay = () => import("../relay/relay.js");'],
  ["import() of a template", "export const relay = () => import(`../relay/relay.js`);"],
  ["the type of an import", 'export type R = import("../relay/relay.js").Relay;'],
])("a forbidden import is seen: %s", (_, text) => {
  expect(forbiddenImports([{ path: "src/ring/chain.ts", text: `// é\n${text}` }])).toEqual([
    "src/ring/chain.ts:2: ring → relay is not in the table of layers (../relay/relay.js)",
  ]);
});

test("what is allowed passes: below, within, packages, and what a comment or a string says", () => {
  const text = [
    'import { u16 } from "../memory/shared-memory.js";',
    'import { Chain } from "./chain.js";',
    'import { join } from "node:path";',
    '// import { Relay } from "../relay/relay.js";',
    "export const hint = 'import \"../relay/relay.js\"';",
  ].join("\n");
  expect(forbiddenImports([{ path: "src/ring/ring.ts", text }])).toEqual([]);
});

test("folders of one layer do not know each other", () => {
  const text = 'import { markRange } from "../dirty/dirty-log.js";';
  expect(forbiddenImports([{ path: "src/ring/ring.ts", text }])).toHaveLength(1);
});

test("a row may allow the types of a folder and not the rest", () => {
  const layers = { messages: { may: [], types: ["driver"] } };
  const text = 'import type { Job } from "../driver/driver.js";\nimport { Driver } from "../driver/driver.js";';
  expect(forbiddenImports([{ path: "src/messages/messages.ts", text }], layers)).toEqual([
    "src/messages/messages.ts:2: messages → driver is not in the table of layers (../driver/driver.js)",
  ]);
});

test.each([
  ["src/misc/x.ts", "", "src/misc/x.ts:1: misc is not in the table of layers"],
  ["src/x.ts", "", "src/x.ts:1: lies in no folder of src/"],
  [
    "src/ring/x.ts",
    'import "../../test/helpers/seeded.js";',
    "src/ring/x.ts:1: ring imports test/helpers/seeded.js, which lies in no folder of src/",
  ],
  [
    "src/lab/x.ts",
    "export const load = (name: string) => import(name);",
    "src/lab/x.ts:1: lab imports a computed name, which this table cannot judge",
  ],
])("what the table cannot judge is refused: %s %s", (path, text, expected) => {
  expect(forbiddenImports([{ path, text }])).toEqual([expected]);
});
