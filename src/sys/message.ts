import { CMSGHDR, IOVEC, MSG_CTRUNC, MSGHDR, SCM_RIGHTS, SOL_SOCKET } from "../layout/linux.js";
import { assert } from "../memory/assert.js";
import { OwnedFd } from "./fd.js";
import { addressOf } from "./native.js";

/** The most descriptors in one message, either way; vhost-user needs 8, and the kernel would allow 253. */
export const MESSAGE_FDS_MAX = 32;

const CONTROL_BYTES = CMSGHDR.size + 4 * MESSAGE_FDS_MAX;
const CONTROL_OFFSET = MSGHDR.size + IOVEC.size;

/** One memory for all three parts: calls of one thread never overlap. */
const scratch = Buffer.from(new ArrayBuffer(CONTROL_OFFSET + CONTROL_BYTES));
const scratchAddress = addressOf(scratch);
scratch.writeBigUInt64LE(scratchAddress + BigInt(MSGHDR.size), MSGHDR.offsets.msg_iov);
scratch.writeBigUInt64LE(1n, MSGHDR.offsets.msg_iovlen);
scratch.writeBigUInt64LE(scratchAddress + BigInt(CONTROL_OFFSET), MSGHDR.offsets.msg_control);

/** The msghdr that sends `bytes` with descriptors; good until the next message of this thread. */
export function messageToSend(bytes: Uint8Array, fds: readonly OwnedFd[]): Buffer {
  assert(fds.length <= MESSAGE_FDS_MAX, `a message carries at most ${MESSAGE_FDS_MAX} descriptors`);
  const length = fds.length === 0 ? 0 : CMSGHDR.size + 4 * fds.length;
  fill(bytes, length);
  if (length > 0) {
    scratch.writeUInt32LE(length, CONTROL_OFFSET + CMSGHDR.offsets.cmsg_len);
    scratch.writeUInt32LE(0, CONTROL_OFFSET + CMSGHDR.offsets.cmsg_len + 4);
    scratch.writeInt32LE(SOL_SOCKET, CONTROL_OFFSET + CMSGHDR.offsets.cmsg_level);
    scratch.writeInt32LE(SCM_RIGHTS, CONTROL_OFFSET + CMSGHDR.offsets.cmsg_type);
    fds.forEach((fd, i) => {
      scratch.writeInt32LE(fd.fd, CONTROL_OFFSET + CMSGHDR.size + 4 * i);
    });
  }
  return scratch;
}

/** The msghdr that receives into `target`; good until the next message of this thread. */
export function messageToReceive(target: Uint8Array): Buffer {
  fill(target, CONTROL_BYTES);
  return scratch;
}

/** What came with the last message: the descriptors, which are ours now, and whether some were lost. */
export function receivedFds(): { readonly fds: OwnedFd[]; readonly truncated: boolean } {
  const fds: OwnedFd[] = [];
  const end = Math.min(scratch.readUInt32LE(MSGHDR.offsets.msg_controllen), CONTROL_BYTES);
  let at = 0;
  while (at + CMSGHDR.size <= end) {
    const start = CONTROL_OFFSET + at;
    const length = scratch.readUInt32LE(start + CMSGHDR.offsets.cmsg_len);
    if (length < CMSGHDR.size || at + length > end) break;
    if (isRights(start)) {
      for (let i = CMSGHDR.size; i + 4 <= length; i += 4) fds.push(new OwnedFd(scratch.readInt32LE(start + i)));
    }
    at += Math.ceil(length / 8) * 8;
  }
  return { fds, truncated: (scratch.readInt32LE(MSGHDR.offsets.msg_flags) & MSG_CTRUNC) !== 0 };
}

function isRights(start: number): boolean {
  return (
    scratch.readInt32LE(start + CMSGHDR.offsets.cmsg_level) === SOL_SOCKET &&
    scratch.readInt32LE(start + CMSGHDR.offsets.cmsg_type) === SCM_RIGHTS
  );
}

/** Fills in what differs from message to message; of the lengths, u64 all, the upper halves stay 0. */
function fill(bytes: Uint8Array, controlBytes: number): void {
  scratch.writeUInt32LE(controlBytes, MSGHDR.offsets.msg_controllen);
  scratch.writeInt32LE(0, MSGHDR.offsets.msg_flags);
  scratch.writeBigUInt64LE(addressOf(bytes), MSGHDR.size + IOVEC.offsets.iov_base);
  scratch.writeUInt32LE(bytes.length, MSGHDR.size + IOVEC.offsets.iov_len);
}
