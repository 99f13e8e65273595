import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { UsageError } from "../report/exit-codes.js";
import type { Metrics } from "./metrics.js";

/** Connections at one time. */
const CONNECTIONS_MAX = 32;

/** Where metrics are served: a TCP port of one address. */
export interface MetricsAddress {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

/** Reads "127.0.0.1:9464" or "[::1]:9464"; throws UsageError, also without a host: all is no default. */
export function parseMetricsAddress(text: string): MetricsAddress {
  const [, bracketed, plain, port = ""] = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535) {
    throw new UsageError(`--metrics: "${text}" is no address: write host:port, such as 127.0.0.1:9464 or [::1]:9464`);
  }
  return { host, port: Number(port) };
}

/** Serves GET /metrics, and nothing else, on one address. */
export class MetricsServer {
  readonly #server: Server;
  readonly #metrics: Metrics;

  private constructor(metrics: Metrics) {
    this.#metrics = metrics;
    const timeouts = { headersTimeout: 5000, requestTimeout: 5000, keepAliveTimeout: 5000 };
    this.#server = createServer(timeouts, (request, response) => void this.#answer(request, response));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Listens; throws UsageError when the address is in use or not of this machine. */
  static async listen(metrics: Metrics, { host, port }: MetricsAddress): Promise<MetricsServer> {
    const serving = new MetricsServer(metrics);
    const server = serving.#server;
    await new Promise<void>((resolve, reject) => {
      const refused = (error: NodeJS.ErrnoException) =>
        reject(new UsageError(`cannot serve metrics on ${host}:${port}: ${error.code}`, { cause: error }));
      server.once("error", refused);
      server.listen(port, host, () => {
        server.off("error", refused);
        server.on("error", () => {});
        resolve();
      });
    });
    return serving;
  }

  /** Where it is served, with the port it got. */
  get url(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}/metrics`;
  }

  /** Stops at once. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split("?")[0];
    if (path !== "/metrics") return reply(response, 404, "only /metrics is here\n");
    if (request.method !== "GET" && request.method !== "HEAD") return reply(response, 405, "GET it\n");
    try {
      const text = await this.#metrics.text();
      reply(response, 200, text, this.#metrics.contentType);
    } catch (error) {
      reply(response, 500, `${(error as Error).message}\n`);
    }
  }
}

function reply(response: ServerResponse, status: number, text: string, type = "text/plain; charset=utf-8"): void {
  response.writeHead(status, { "content-type": type }).end(text);
}
