import { connect } from "node:net";

const VHOST_USER_GET_FEATURES = 1;
const VERSION = 1;
const REPLY = 1 << 2;
const HEADER_BYTES = 12;

/** The bit by which a back end says that it marks what it writes. */
export const VHOST_F_LOG_ALL = 1n << 26n;

/**
 * Asks a vhost-user back end for its features and leaves; throws when it does not answer within `timeoutMs`.
 *
 * One message without file descriptors, so that an ordinary socket will do.
 */
export function askFeatures(socketPath: string, timeoutMs = 20_000): Promise<bigint> {
  const request = Buffer.alloc(HEADER_BYTES);
  request.writeUInt32LE(VHOST_USER_GET_FEATURES, 0);
  request.writeUInt32LE(VERSION, 4);
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath, () => socket.write(request));
    let reply = Buffer.alloc(0);
    const fail = (why: string) => {
      socket.destroy();
      reject(new Error(`no features from the back end: ${why}`));
    };
    socket.setTimeout(timeoutMs, () => fail(`${timeoutMs} ms without an answer`));
    socket.on("error", (error) => fail(error.message));
    socket.on("close", () => fail("it hung up"));
    socket.on("data", (bytes) => {
      reply = Buffer.concat([reply, bytes]);
      if (reply.length < HEADER_BYTES + 8) return;
      if (reply.readUInt32LE(0) !== VHOST_USER_GET_FEATURES || (reply.readUInt32LE(4) & REPLY) === 0) {
        return fail(`an odd reply: ${reply.toString("hex")}`);
      }
      resolve(reply.readBigUInt64LE(HEADER_BYTES));
      socket.destroy();
    });
  });
}
