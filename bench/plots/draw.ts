import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type MachineFacts, machineFacts } from "../../src/lab/machine-facts.js";
import { type Curve, svgOf } from "../../src/report/plot.js";
import { packageRoot } from "../../src/workers/worker-url.js";
import { Contest, type Extent } from "../harness/contest.js";
import type { RelayCase } from "../inputs/relay-input.js";
import type { Side } from "../row.js";

/** One plot: what changes along its x axis. */
interface Sweep {
  readonly file: string;
  readonly title: string;
  readonly xTitle: string;
  readonly values: readonly number[];
  readonly relay: (value: number) => RelayCase;
}

const EXTENT: Extent = { processPairs: 1, windows: 5, windowNs: 150e6, warmNs: 75e6, totalMs: 0 };
const BASE: RelayCase = {
  queueSize: 256,
  chain: 1,
  mappings: 64,
  batch: 256,
  log: false,
  queues: 1,
  buffers: "random",
};

const SWEEPS: readonly Sweep[] = [
  {
    file: "chain-ns-by-mappings",
    title: "Relay: ns per chain by number of mappings",
    xTitle: "mappings (1 descriptor, random buffers, log off)",
    values: [1, 10, 64, 1000, 10_000, 100_000, 1_000_000],
    relay: (mappings) => ({ ...BASE, mappings }),
  },
  {
    file: "chain-ns-by-queue-size",
    title: "Relay: ns per chain by queue size",
    xTitle: "queue size (a whole queue to a batch, 64 mappings)",
    values: [1, 4, 16, 64, 256, 1024, 4096, 32_768],
    relay: (queueSize) => ({ ...BASE, queueSize, batch: queueSize }),
  },
  {
    file: "chain-ns-by-chain-length",
    title: "Relay: ns per chain by descriptors of a chain",
    xTitle: "descriptors of a chain (queue of 1024, log on)",
    values: [1, 2, 3, 8, 32, 128],
    relay: (chain) => ({ ...BASE, queueSize: 1024, batch: 1024, chain, log: true }),
  },
  {
    file: "chain-ns-by-queues",
    title: "Relay: ns per chain by live queues",
    xTitle: "queues of 256, served in turn",
    values: [1, 2, 4, 8, 16, 32, 64],
    relay: (queues) => ({ ...BASE, queues }),
  },
];

/** Measures the sweeps and writes one SVG each, and the figures, into bench/results/; says how far it is. */
export async function drawPlots(withTwin: boolean, say: (line: string) => void): Promise<void> {
  const folder = join(packageRoot(), "bench", "results");
  mkdirSync(folder, { recursive: true });
  const facts = machineFacts();
  const contest = new Contest(EXTENT);
  const figures: Record<string, readonly Curve[]> = {};
  try {
    for (const sweep of SWEEPS) {
      say(sweep.title);
      const curves = await curvesOf(sweep, contest, withTwin);
      figures[sweep.file] = curves;
      const note = machineNote(facts);
      writeFileSync(
        join(folder, `${sweep.file}.svg`),
        svgOf({ title: sweep.title, xTitle: sweep.xTitle, yTitle: "ns per chain, both directions", curves, note }),
      );
    }
  } finally {
    contest.close();
  }
  const document = { schema: "shadowvq.microbench-plots/1", ...facts, extent: EXTENT, figures };
  writeFileSync(join(folder, "plots.json"), `${JSON.stringify(document, null, 1)}\n`);
}

/** Ours and the twin's, point by point next to each other. */
async function curvesOf(sweep: Sweep, contest: Contest, withTwin: boolean): Promise<Curve[]> {
  const ours: Curve = { label: "shadowvq", points: [] };
  const twin: Curve = { label: "C twin", points: [] };
  for (const x of sweep.values) {
    const work = { kind: "relay", ...sweep.relay(x) } as const;
    const sides: [Curve, Side][] = [[ours, { by: "ours", work }]];
    if (withTwin) sides.push([twin, { by: "c", program: "relay", work, options: [] }]);
    for (const [curve, side] of sides) {
      (curve.points as { x: number; y: number }[]).push({ x, y: await contest.measureAlone(side) });
    }
  }
  return withTwin ? [ours, twin] : [ours];
}

function machineNote({ node, cpu, cores, git }: MachineFacts): string {
  const machine = `Node ${node}, ${cpu}, ${cores} cores`;
  return `${machine}, commit ${git?.commit ?? "unknown"}; median of ${EXTENT.windows} windows`;
}
