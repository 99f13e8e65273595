import { request } from "node:http";
import { createServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { ControlError } from "../../src/daemon/control-messages.js";
import { Metrics } from "../../src/daemon/metrics.js";
import { MetricsServer, parseMetricsAddress } from "../../src/daemon/metrics-server.js";
import type { RoutedDevice } from "../../src/daemon/router.js";

const LOCAL = { host: "127.0.0.1", port: 0 };
const STATS = {
  requests: 10,
  bytes: 40_960,
  kicks: 3,
  calls: 1,
  switches: 5,
  faults: 6,
  dirty_marks: 7,
  syscalls: 8,
  messages: { GET_FEATURES: { received: 9, sent: 11 } },
  cpu_ns: 1_500_000_000,
  rss_bytes: 12,
  fds: 13,
  queues: [{ index: 0, requests: 14, bytes: 15, kicks: 16, calls: 17 }],
};

let served: MetricsServer | undefined;
afterEach(async () => {
  await served?.close();
  served = undefined;
});

function device(answers: Record<string, object>, restarts = 0): RoutedDevice {
  return {
    facts: () => ({ index: 0, listen: '/g "0"', connect: "/d", process: "ready", pid: 1, restarts }),
    request: async (execute) => {
      const answer = answers[execute];
      if (answer === undefined) throw new ControlError("DeviceNotActive", "gone");
      return answer;
    },
  };
}

async function scraped(metrics: Metrics): Promise<string[]> {
  served ??= await MetricsServer.listen(metrics, LOCAL);
  const response = await fetch(served.url);
  expect(response.headers.get("content-type")).toContain("text/plain; version=0.0.4");
  return (await response.text()).split("\n");
}

test("every figure of a device and its queues is in a scrape, under the name of its socket", async () => {
  const answers = {
    "query-stats": STATS,
    "query-status": { state: "running", datapath: "svq" },
    "query-vq-status": { queues: [{ index: 0, in_flight: 18 }] },
  };
  const lines = await scraped(new Metrics([device(answers, 19)]));
  const D = 'device="/g \\"0\\""';
  for (const line of [
    `svq_requests_total{${D}} 10`,
    `svq_bytes_total{${D}} 40960`,
    `svq_kicks_total{${D}} 3`,
    `svq_calls_total{${D}} 1`,
    `svq_switches_total{${D}} 5`,
    `svq_faults_total{${D}} 6`,
    `svq_dirty_marks_total{${D}} 7`,
    `svq_syscalls_total{${D}} 8`,
    `svq_messages_total{${D},message="GET_FEATURES",direction="received"} 9`,
    `svq_messages_total{${D},message="GET_FEATURES",direction="sent"} 11`,
    `svq_cpu_seconds_total{${D}} 1.5`,
    `svq_resident_bytes{${D}} 12`,
    `svq_open_fds{${D}} 13`,
    `svq_queue_requests_total{${D},queue="0"} 14`,
    `svq_queue_bytes_total{${D},queue="0"} 15`,
    `svq_queue_kicks_total{${D},queue="0"} 16`,
    `svq_queue_calls_total{${D},queue="0"} 17`,
    `svq_in_flight{${D},queue="0"} 18`,
    `svq_process_restarts_total{${D}} 19`,
    `svq_up{${D}} 1`,
    `svq_running{${D}} 1`,
    `svq_datapath{${D},datapath="svq"} 1`,
    `svq_datapath{${D},datapath="passthrough"} 0`,
  ]) {
    expect(lines.filter((other) => other === line)).toEqual([line]);
  }
});

test("a scrape shows what is, not the sum of what was scraped; scrapes at once get one answer", async () => {
  let asked = 0;
  const slow: RoutedDevice = {
    ...device({}),
    request: async (execute) => {
      asked++;
      await new Promise((resolve) => void setTimeout(resolve, 20));
      return execute === "query-stats" ? STATS : {};
    },
  };
  const metrics = new Metrics([slow]);
  const texts = await Promise.all([metrics.text(), metrics.text(), metrics.text()]);
  expect(new Set(texts).size).toBe(1);
  expect(asked).toBe(3);
  expect(await metrics.text()).toBe(texts[0]);
});

test("a device that does not answer is down, and keeps the others from nothing", async () => {
  const well = { ...device({ "query-stats": STATS }), facts: () => ({ ...device({}).facts(), listen: "/well" }) };
  const lines = await scraped(new Metrics([device({}), well]));
  expect(lines).toContain('svq_up{device="/g \\"0\\""} 0');
  expect(lines).toContain('svq_up{device="/well"} 1');
  expect(lines).toContain('svq_requests_total{device="/well"} 10');
});

test("what a data process makes up is left out", async () => {
  const odd = { requests: -1, bytes: "many", faults: Number.NaN, switches: null, fds: 3, queues: [7], messages: [] };
  const lines = await scraped(new Metrics([device({ "query-stats": odd, "query-vq-status": { queues: 1 } })]));
  expect(lines.filter((line) => /^svq_(requests|bytes|faults|switches)_total\{/.test(line))).toEqual([]);
  expect(lines).toContain('svq_open_fds{device="/g \\"0\\""} 3');
});

test("each pause of a switch is counted once", async () => {
  const metrics = new Metrics([]);
  const timestamp = { seconds: 0, microseconds: 0 };
  const switched = { event: "DATAPATH_CHANGED", data: { device: "/g", pause_ns: 300_000 }, timestamp };
  metrics.heard(switched);
  metrics.heard({ ...switched, data: { device: "/g", pause_ns: 2_000_000_000 } });
  metrics.heard({ ...switched, event: "CONNECTED" });
  metrics.heard({ ...switched, data: { device: "/g" } });
  const lines = await scraped(metrics);
  expect(lines).toContain('svq_pause_seconds_bucket{le="0.0005",device="/g"} 1');
  expect(lines).toContain('svq_pause_seconds_bucket{le="0.00025",device="/g"} 0');
  expect(lines).toContain('svq_pause_seconds_count{device="/g"} 2');
  expect(await scraped(metrics)).toContain('svq_pause_seconds_count{device="/g"} 2');
});

test("nothing but GET /metrics is there", async () => {
  served = await MetricsServer.listen(new Metrics([]), LOCAL);
  const status = async (path: string, method = "GET") => (await fetch(new URL(path, served!.url), { method })).status;
  expect(await status("/metrics?x=1")).toBe(200);
  expect(await status("/metrics", "POST")).toBe(405);
  for (const path of ["/", "/metrics/", "/metricsx", "/x/..//metrics"]) expect(await status(path), path).toBe(404);
});

test("a request that is no HTTP, and one that never ends, leave the next one alone", async () => {
  served = await MetricsServer.listen(new Metrics([]), LOCAL);
  const { port } = new URL(served.url);
  const { connect } = await import("node:net");
  const odd = connect(Number(port), "127.0.0.1").on("error", () => {});
  odd.write("\0\0nonsense\r\n\r\n");
  const open = request(served.url, { headers: { "x-a": "b" } }).on("error", () => {});
  open.flushHeaders();
  expect((await fetch(served.url)).status).toBe(200);
  odd.destroy();
  open.destroy();
});

test("an address in use is refused by name, and only the given address is served", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => void other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as { port: number };
  const taken = MetricsServer.listen(new Metrics([]), { host: "127.0.0.1", port });
  await expect(taken).rejects.toMatchObject({
    name: "UsageError",
    message: `cannot serve metrics on 127.0.0.1:${port}: EADDRINUSE`,
  });
  await new Promise((resolve) => void other.close(resolve));
  served = await MetricsServer.listen(new Metrics([]), LOCAL);
  await expect(fetch(served.url.replace("127.0.0.1", "127.0.0.2"))).rejects.toThrow();
});

test.each([
  ["127.0.0.1:9464", { host: "127.0.0.1", port: 9464 }],
  ["localhost:0", { host: "localhost", port: 0 }],
  ["[::1]:80", { host: "::1", port: 80 }],
])("parseMetricsAddress() reads %s", (text, address) => {
  expect(parseMetricsAddress(text)).toEqual(address);
});

test.each(["", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:80", "[::1]", "a b:1", "a:1x"])(
  "parseMetricsAddress() refuses %j",
  (text) => {
    expect(() => parseMetricsAddress(text)).toThrow(/--metrics: .* is no address/);
  },
);
