import { join } from "node:path";
import { packageRoot } from "../../../src/workers/worker-url.js";
import type { PeerProcess, PeerScope } from "./scope.js";

/** What a back end was sent, by a witness on its socket. */
export class TappedBackEnd {
  readonly socket: string;
  readonly #process: PeerProcess;

  private constructor(socket: string, process: PeerProcess) {
    this.socket = socket;
    this.#process = process;
  }

  /** Puts a witness before a back end's socket; it serves one connection. */
  static async start(scope: PeerScope, name: string, connect: string): Promise<TappedBackEnd> {
    const socket = scope.path(`${name}.sock`);
    const file = join(packageRoot(), "dist", "test", "peers", "helpers", "back-end-tap.js");
    const started = scope.start(name, process.execPath, ["--enable-source-maps", file, socket, connect], 300_000);
    await started.says(/^listening$/m, 60_000);
    return new TappedBackEnd(socket, started);
  }

  /** The first eight bytes of the payloads of each message of this name, in order; 0 where one has fewer. */
  received(name: string): bigint[] {
    const lines = this.#process.stdout.split("\n").map((line) => line.split(" "));
    return lines.filter(([said]) => said === name).map(([, value]) => BigInt(value ?? 0));
  }
}
