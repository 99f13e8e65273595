/**
 * What the native edge tells the kernel: structs and constants of the Linux system calls, as in libc's headers.
 *
 * Offsets and sizes are bytes, of 64-bit ABIs. Those of EPOLL_EVENT hold for x86-64 alone, where it is packed.
 */

/** A message of sendmsg and recvmsg: bytes by way of iovecs, descriptors by way of the control buffer. */
export const MSGHDR = {
  size: 56,
  offsets: {
    msg_name: 0,
    msg_namelen: 8,
    msg_iov: 16,
    msg_iovlen: 24,
    msg_control: 32,
    msg_controllen: 40,
    msg_flags: 48,
  },
} as const;

/** Head of one control message; its data follow. */
export const CMSGHDR = { size: 16, offsets: { cmsg_len: 0, cmsg_level: 8, cmsg_type: 12 } } as const;

/** A piece of memory to read into or write from. */
export const IOVEC = { size: 16, offsets: { iov_base: 0, iov_len: 8 } } as const;

/** One descriptor to poll. */
export const POLLFD = { size: 8, offsets: { fd: 0, events: 4, revents: 6 } } as const;

/** What epoll reports, with the u64 that was registered; packed on x86-64. */
export const EPOLL_EVENT = { size: 12, offsets: { events: 0, data: 4 } } as const;

/** A path, or a name that starts with NUL, as the address of a unix socket. */
export const SOCKADDR_UN = { size: 110, offsets: { sun_family: 0, sun_path: 2 } } as const;

/** Address family of unix sockets. */
export const AF_UNIX = 1;
/** Socket type: a stream of bytes. */
export const SOCK_STREAM = 1;
/** Socket type: single messages. */
export const SOCK_DGRAM = 2;
/** Flag of socket types: calls do not block. */
export const SOCK_NONBLOCK = 0x800;
/** Flag of socket types: closed by exec. */
export const SOCK_CLOEXEC = 0x8_0000;
/** Level of control messages that belong to sockets in general. */
export const SOL_SOCKET = 1;
/** Control message: file descriptors. */
export const SCM_RIGHTS = 1;
/** Both directions of a shutdown. */
export const SHUT_RDWR = 2;
/** Flag of a received message: its control messages did not fit. */
export const MSG_CTRUNC = 8;
/** Flag of a call: it does not block, whatever the descriptor's flags say. */
export const MSG_DONTWAIT = 0x40;
/** Flag of sendmsg: no SIGPIPE. */
export const MSG_NOSIGNAL = 0x4000;
/** Flag of recvmsg: received descriptors are closed by exec. */
export const MSG_CMSG_CLOEXEC = 0x4000_0000;

/** Flag of a memfd: closed by exec. */
export const MFD_CLOEXEC = 1;
/** Flag of a memfd: seals may be added. */
export const MFD_ALLOW_SEALING = 2;
/** Command of fcntl: adds seals. */
export const F_ADD_SEALS = 1033;
/** Command of fcntl: reads the seals. */
export const F_GET_SEALS = 1034;
/** Seal: no more seals. */
export const F_SEAL_SEAL = 1;
/** Seal: the file cannot become shorter. */
export const F_SEAL_SHRINK = 2;
/** Seal: the file cannot become longer. */
export const F_SEAL_GROW = 4;
/** Command of fcntl: a second descriptor of the same open file, closed by exec. */
export const F_DUPFD_CLOEXEC = 1030;
/** Command of fcntl: reads the flags of the open file. */
export const F_GETFL = 3;
/** Command of fcntl: sets the flags of the open file. */
export const F_SETFL = 4;
/** Flag of an open file: calls do not block. */
export const O_NONBLOCK = 0x800;

/** Protection of a mapping: it may be read. */
export const PROT_READ = 1;
/** Protection of a mapping: it may be written. */
export const PROT_WRITE = 2;
/** Flag of a mapping: what is written is seen by all who map the file. */
export const MAP_SHARED = 1;

/** Flag of an eventfd: closed by exec. */
export const EFD_CLOEXEC = 0x8_0000;
/** Flag of an eventfd: calls do not block. */
export const EFD_NONBLOCK = 0x800;
/** Flag of preadv2: it does not block, whatever the descriptor's flags say. */
export const RWF_NOWAIT = 8;

/** Event of poll: there is something to read. */
export const POLLIN = 1;
/** Event of poll: there is room to write. */
export const POLLOUT = 4;

/** Flag of an epoll: closed by exec. */
export const EPOLL_CLOEXEC = 0x8_0000;
/** Command of epoll_ctl: starts to watch. */
export const EPOLL_CTL_ADD = 1;
/** Command of epoll_ctl: ends watching. */
export const EPOLL_CTL_DEL = 2;
/** Command of epoll_ctl: changes what is watched for. */
export const EPOLL_CTL_MOD = 3;
/** Event of epoll: there is something to read. */
export const EPOLLIN = 1;
/** Event of epoll: there is room to write. */
export const EPOLLOUT = 4;
/** Event of epoll, always reported: an error. */
export const EPOLLERR = 8;
/** Event of epoll, always reported: both sides have hung up. */
export const EPOLLHUP = 0x10;
/** Event of epoll: the peer will send no more. */
export const EPOLLRDHUP = 0x2000;
/** Flag of epoll: reports each change once, and not what is there still. */
export const EPOLLET = 0x8000_0000;
