import { CMSGHDR, IOVEC, MSG_DONTWAIT, MSG_NOSIGNAL, MSGHDR, SCM_RIGHTS, SOL_SOCKET } from "../../src/layout/linux.js";
import { addressOf, check, libc } from "../../src/sys/native.js";

/** Sends any number of descriptors, as a peer that keeps to no limit would (the kernel's is 253). */
export function sendRaw(socket: number, bytes: Uint8Array, fds: readonly number[]): void {
  const control = Buffer.from(new ArrayBuffer(CMSGHDR.size + 4 * fds.length));
  control.writeBigUInt64LE(BigInt(control.length), CMSGHDR.offsets.cmsg_len);
  control.writeInt32LE(SOL_SOCKET, CMSGHDR.offsets.cmsg_level);
  control.writeInt32LE(SCM_RIGHTS, CMSGHDR.offsets.cmsg_type);
  fds.forEach((fd, i) => {
    control.writeInt32LE(fd, CMSGHDR.size + 4 * i);
  });
  const iovec = Buffer.from(new ArrayBuffer(IOVEC.size));
  iovec.writeBigUInt64LE(addressOf(bytes), IOVEC.offsets.iov_base);
  iovec.writeBigUInt64LE(BigInt(bytes.length), IOVEC.offsets.iov_len);
  const message = Buffer.alloc(MSGHDR.size);
  message.writeBigUInt64LE(addressOf(iovec), MSGHDR.offsets.msg_iov);
  message.writeBigUInt64LE(1n, MSGHDR.offsets.msg_iovlen);
  message.writeBigUInt64LE(addressOf(control), MSGHDR.offsets.msg_control);
  message.writeBigUInt64LE(BigInt(control.length), MSGHDR.offsets.msg_controllen);
  check("sendmsg", libc.sendmsg(socket, message, MSG_NOSIGNAL | MSG_DONTWAIT));
}
