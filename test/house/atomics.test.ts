/** What is done in a few places, so that it can be found there: shared words, native calls, time, chance, output. */
import { expect, test } from "vitest";
import { importsOf, read, referencesOf, type Source, violation } from "./sources.js";

/** Names, or modules, that belong in a few places. */
interface Place {
  readonly what: string;
  /** Names with all that hangs on them: "Atomics" means `Atomics.wait` too. */
  readonly names?: readonly string[];
  readonly modules?: readonly string[];
  /** The files that the rule is about. */
  readonly among: RegExp;
  /** The folders and files where it may be. */
  readonly only: readonly string[];
}

const PLACES: readonly Place[] = [
  {
    what: "Atomics",
    names: ["Atomics"],
    among: /^src\//,
    only: ["src/memory/"],
  },
  {
    what: "allocation of shared memory",
    names: ["new SharedArrayBuffer"],
    among: /^src\//,
    // Rings and guest memory in machine/; what a run brings along (input, latencies, mirrors, a probe's words) in lab/.
    only: ["src/memory/", "src/machine/", "src/lab/"],
  },
  {
    what: "koffi",
    modules: ["koffi"],
    among: /^(src|test|bench)\//,
    only: ["src/sys/"],
  },
  {
    what: "sleeping on a word",
    names: ["Atomics.wait", "Atomics.waitAsync"],
    among: /^test\//,
    only: ["test/helpers/"],
  },
  {
    what: "time and chance",
    // Both are arguments, so that a run can be repeated.
    names: [
      "Math.random",
      "crypto",
      "Date",
      "performance",
      "process.hrtime",
      "process.uptime",
      "setTimeout",
      "setInterval",
      "setImmediate",
    ],
    modules: ["node:crypto", "node:perf_hooks", "node:timers", "node:timers/promises"],
    among: /^src\/(layout|memory|ring|iova|dirty|vhost-user|transport|vfio|driver|device|relay|migration)\//,
    only: [],
  },
  {
    what: "printing",
    names: ["console"],
    among: /^src\//,
    only: ["src/cli/", "src/report/"],
  },
  {
    what: "ending the process",
    names: ["process.exit"],
    among: /^src\//,
    only: ["src/cli/"],
  },
];

/** Uses out of place, one line each. */
function outOfPlace(sources: readonly Source[]): string[] {
  return PLACES.flatMap((place) => {
    const { among, only } = place;
    const where = only.length === 0 ? "nowhere here" : `only ${only.join(" and ")}`;
    return sources
      .filter(({ path }) => among.test(path) && !only.some((allowed) => path.startsWith(allowed)))
      .flatMap((source) => usesOf(source, place))
      .map((use) => `${use}: ${where}`);
  });
}

function usesOf(source: Source, { what, names = [], modules = [] }: Place): string[] {
  // Parsing is the cost of this test.
  if (![...names, ...modules].some((name) => source.text.includes(name.split(/[ .]/).at(-1)!))) return [];
  const named = referencesOf(source)
    .filter(({ name }) => names.some((wanted) => name === wanted || name.startsWith(`${wanted}.`)))
    .map(({ name, offset }) => violation(source, offset, `${what} (${name})`));
  const imported = modules.length === 0 ? [] : importsOf(source);
  return [
    ...named,
    ...imported
      .filter(({ specifier }) => specifier !== undefined && modules.includes(specifier))
      .map(({ specifier, line }) => `${source.path}:${line}: ${what} (${specifier})`),
  ];
}

test("shared words, native calls, time, chance and output stay where they belong", () => {
  expect(outOfPlace(read(/^(src|test|bench)\/.*\.ts$/))).toEqual([]);
});

test.each([
  ["src/ring/x.ts", "Atomics.load(words, 0);", "Atomics (Atomics.load): only src/memory/"],
  ["src/ring/x.ts", "const { load } = globalThis.Atomics;", "Atomics (Atomics): only src/memory/"],
  ["src/ring/x.ts", "new SharedArrayBuffer(8);", "allocation of shared memory (new SharedArrayBuffer)"],
  ["src/memory/x.ts", 'import koffi from "koffi";', "koffi (koffi): only src/sys/"],
  ["src/lab/x.ts", 'const koffi = await import("koffi");', "koffi (koffi): only src/sys/"],
  ["test/ring/x.test.ts", "Atomics.wait(words, 0, 0, 5);", "sleeping on a word (Atomics.wait): only test/helpers/"],
  ["src/iova/x.ts", "pick(Math.random());", "time and chance (Math.random): nowhere here"],
  ["src/relay/x.ts", "at(Date.now());", "(Date.now)"],
  ["src/relay/x.ts", "at(new Date());", "(Date)"],
  ["src/driver/x.ts", 'at(performance["now"]());', "(performance.now)"],
  ["src/device/x.ts", "at(process.hrtime.bigint());", "(process.hrtime.bigint)"],
  ["src/dirty/x.ts", "setTimeout(take, 5);", "(setTimeout)"],
  ["src/transport/x.ts", 'import * as hooks from "node:perf_hooks";', "(node:perf_hooks)"],
  ["src/lab/x.ts", "console.error(1);", "printing (console.error): only src/cli/ and src/report/"],
  ["src/report/x.ts", "process.exit(1);", "ending the process (process.exit): only src/cli/"],
])("out of place in %s: %s", (path, line, expected) => {
  const found = outOfPlace([{ path, text: `// é\n${line}\nexport {};` }]);
  expect(found[0]).toContain(`${path}:2: `);
  expect(found[0]).toContain(expected);
});

test.each([
  ["src/memory/x.ts", "Atomics.load(words, 0);"],
  ["src/machine/x.ts", "new SharedArrayBuffer(8);"],
  ["src/lab/x.ts", "at(process.hrtime.bigint());"],
  ["src/cli/x.ts", "console.log(1); process.exit(1);"],
  ["test/ring/x.test.ts", "Atomics.load(words, 0);"],
  ["src/ring/x.ts", "const words: SharedArrayBuffer = given;"],
  ["src/ring/x.ts", "/* Atomics.load, Math.random() */ say('Date.now()');"],
  ["src/ring/x.ts", "parts.performance.now(); use({ Date: 1, console: 2 });"],
])("in place in %s: %s", (path, line) => {
  expect(outOfPlace([{ path, text: line }])).toEqual([]);
});
