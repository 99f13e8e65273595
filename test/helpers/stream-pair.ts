import { rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";

/** Two Unix sockets between which a test carries the bytes, by their descriptors. */
export interface StreamPair {
  readonly fds: readonly [number, number];
  close(): void;
}

/** Makes such a pair at a path; Node has no socketpair(2). The descriptors are read by whoever wraps them. */
export async function streamPair(path: string): Promise<StreamPair> {
  const accepted: Socket[] = [];
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => accepted.push(socket));
  await new Promise<void>((resolve) => void server.listen(path, resolve));
  const carriers = [connect(path), connect(path)];
  while (accepted.length < 2) await new Promise((resolve) => void setTimeout(resolve, 5));
  carriers[0]!.on("error", () => {}).pipe(carriers[1]!);
  carriers[1]!.on("error", () => {}).pipe(carriers[0]!);
  const [ours, theirs] = accepted.map((socket) => (socket as unknown as { _handle: { fd: number } })._handle.fd);
  return {
    fds: [ours!, theirs!],
    close: () => {
      for (const carrier of carriers) carrier.destroy();
      server.close();
      rmSync(path, { force: true });
    },
  };
}
