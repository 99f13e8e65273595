/*
 * Prints what this machine's kernel headers say, as one JSON document on stdout.
 *
 * Numbers come from sizeof, offsetof and the headers' own macros only: a number typed here would prove nothing.
 * A constant younger than some headers in use stands between #ifdef and #endif, and is then missing from their table.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <errno.h>
#include <linux/kvm.h>
#include <linux/version.h>
#include <linux/vhost.h>
#include <linux/vhost_types.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

_Static_assert(sizeof(void *) == 8, "tables are for 64-bit ABIs: 32-bit ones may pad vhost_iotlb_msg differently");

/* ---- JSON ---- */

/* What goes before the next item: nothing for the first of a block, a comma for all others. */
static const char *separator = "";

static void key(const char *name) {
  printf("%s\n\"%s\": ", separator, name);
  separator = ",";
}

static void open_block(char bracket) {
  putchar(bracket);
  separator = "";
}

static void close_block(char bracket) {
  printf("\n%c", bracket);
  separator = ",";
}

static void text(const char *name, const char *value) {
  key(name);
  printf("\"%s\"", value);
}

static void number(const char *name, long long value) {
  key(name);
  printf("%lld", value);
}

/* ---- What the compiler knows ---- */

#if defined(__x86_64__)
#define ARCH "x86_64"
#elif defined(__aarch64__)
#define ARCH "aarch64"
#elif defined(__riscv)
#define ARCH "riscv64"
#elif defined(__loongarch__)
#define ARCH "loongarch64"
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH "ppc64le"
#elif defined(__powerpc64__)
#define ARCH "ppc64"
#elif defined(__s390x__)
#define ARCH "s390x"
#else
#define ARCH "unknown"
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ENDIANNESS "little"
#else
#define ENDIANNESS "big"
#endif

/* The code holds at most 255 for the last part; the separate macros, where they exist, hold all of it. */
#ifdef LINUX_VERSION_SUBLEVEL
#define SUBLEVEL LINUX_VERSION_SUBLEVEL
#else
#define SUBLEVEL (LINUX_VERSION_CODE & 0xff)
#endif

static void print_headers(void) {
  char version[32];
  snprintf(version, sizeof(version), "%d.%d.%d", LINUX_VERSION_CODE >> 16, (LINUX_VERSION_CODE >> 8) & 0xff, SUBLEVEL);
  key("headers");
  open_block('{');
  text("version", version);
  number("LINUX_VERSION_CODE", LINUX_VERSION_CODE);
  close_block('}');
  text("arch", ARCH);
  text("endianness", ENDIANNESS);
}

/* ---- Structs ---- */

static void begin_struct(const char *name, size_t size) {
  key(name);
  open_block('{');
  number("size", (long long)size);
  key("fields");
  open_block('{');
}

static void field(const char *name, size_t offset, size_t size) {
  key(name);
  open_block('{');
  number("offset", (long long)offset);
  number("size", (long long)size);
  close_block('}');
}

static void end_struct(void) {
  close_block('}');
  close_block('}');
}

#define BEGIN(type) begin_struct(#type, sizeof(struct type))
#define FIELD(type, name) field(#name, offsetof(struct type, name), sizeof(((struct type *)0)->name))
/* A flexible array at the end of its struct: its size is that of one element. */
#define TAIL(type, name) field(#name, offsetof(struct type, name), sizeof(((struct type *)0)->name[0]))
#define END() end_struct()

static void print_ring_structs(void) {
  BEGIN(vring_desc);
  FIELD(vring_desc, addr);
  FIELD(vring_desc, len);
  FIELD(vring_desc, flags);
  FIELD(vring_desc, next);
  END();

  BEGIN(vring_avail);
  FIELD(vring_avail, flags);
  FIELD(vring_avail, idx);
  TAIL(vring_avail, ring);
  END();

  BEGIN(vring_used_elem);
  FIELD(vring_used_elem, id);
  FIELD(vring_used_elem, len);
  END();

  BEGIN(vring_used);
  FIELD(vring_used, flags);
  FIELD(vring_used, idx);
  TAIL(vring_used, ring);
  END();
}

static void print_device_structs(void) {
  BEGIN(virtio_blk_outhdr);
  FIELD(virtio_blk_outhdr, type);
  FIELD(virtio_blk_outhdr, ioprio);
  FIELD(virtio_blk_outhdr, sector);
  END();

  BEGIN(virtio_blk_config);
  FIELD(virtio_blk_config, capacity);
  FIELD(virtio_blk_config, size_max);
  FIELD(virtio_blk_config, seg_max);
  FIELD(virtio_blk_config, geometry);
  FIELD(virtio_blk_config, blk_size);
  FIELD(virtio_blk_config, physical_block_exp);
  FIELD(virtio_blk_config, alignment_offset);
  FIELD(virtio_blk_config, min_io_size);
  FIELD(virtio_blk_config, opt_io_size);
  FIELD(virtio_blk_config, wce);
  FIELD(virtio_blk_config, num_queues);
  FIELD(virtio_blk_config, max_discard_sectors);
  FIELD(virtio_blk_config, max_discard_seg);
  FIELD(virtio_blk_config, discard_sector_alignment);
  FIELD(virtio_blk_config, max_write_zeroes_sectors);
  FIELD(virtio_blk_config, max_write_zeroes_seg);
  FIELD(virtio_blk_config, write_zeroes_may_unmap);
  END();

  BEGIN(virtio_net_hdr);
  FIELD(virtio_net_hdr, flags);
  FIELD(virtio_net_hdr, gso_type);
  FIELD(virtio_net_hdr, hdr_len);
  FIELD(virtio_net_hdr, gso_size);
  FIELD(virtio_net_hdr, csum_start);
  FIELD(virtio_net_hdr, csum_offset);
  END();

  BEGIN(virtio_net_hdr_v1);
  FIELD(virtio_net_hdr_v1, flags);
  FIELD(virtio_net_hdr_v1, gso_type);
  FIELD(virtio_net_hdr_v1, hdr_len);
  FIELD(virtio_net_hdr_v1, gso_size);
  FIELD(virtio_net_hdr_v1, csum_start);
  FIELD(virtio_net_hdr_v1, csum_offset);
  FIELD(virtio_net_hdr_v1, num_buffers);
  END();
}

static void print_kvm_structs(void) {
  BEGIN(kvm_dirty_gfn);
  FIELD(kvm_dirty_gfn, flags);
  FIELD(kvm_dirty_gfn, slot);
  FIELD(kvm_dirty_gfn, offset);
  END();
}

static void print_vhost_structs(void) {
  BEGIN(vhost_vring_state);
  FIELD(vhost_vring_state, index);
  FIELD(vhost_vring_state, num);
  END();

  BEGIN(vhost_vring_file);
  FIELD(vhost_vring_file, index);
  FIELD(vhost_vring_file, fd);
  END();

  BEGIN(vhost_vring_addr);
  FIELD(vhost_vring_addr, index);
  FIELD(vhost_vring_addr, flags);
  FIELD(vhost_vring_addr, desc_user_addr);
  FIELD(vhost_vring_addr, used_user_addr);
  FIELD(vhost_vring_addr, avail_user_addr);
  FIELD(vhost_vring_addr, log_guest_addr);
  END();

  BEGIN(vhost_memory);
  FIELD(vhost_memory, nregions);
  FIELD(vhost_memory, padding);
  TAIL(vhost_memory, regions);
  END();

  BEGIN(vhost_memory_region);
  FIELD(vhost_memory_region, guest_phys_addr);
  FIELD(vhost_memory_region, memory_size);
  FIELD(vhost_memory_region, userspace_addr);
  FIELD(vhost_memory_region, flags_padding);
  END();

  BEGIN(vhost_iotlb_msg);
  FIELD(vhost_iotlb_msg, iova);
  FIELD(vhost_iotlb_msg, size);
  FIELD(vhost_iotlb_msg, uaddr);
  FIELD(vhost_iotlb_msg, perm);
  FIELD(vhost_iotlb_msg, type);
  END();

  BEGIN(vhost_msg_v2);
  FIELD(vhost_msg_v2, type);
  FIELD(vhost_msg_v2, iotlb);
  END();
}

static void print_linux_structs(void) {
  BEGIN(msghdr);
  FIELD(msghdr, msg_name);
  FIELD(msghdr, msg_namelen);
  FIELD(msghdr, msg_iov);
  FIELD(msghdr, msg_iovlen);
  FIELD(msghdr, msg_control);
  FIELD(msghdr, msg_controllen);
  FIELD(msghdr, msg_flags);
  END();

  BEGIN(cmsghdr);
  FIELD(cmsghdr, cmsg_len);
  FIELD(cmsghdr, cmsg_level);
  FIELD(cmsghdr, cmsg_type);
  END();

  BEGIN(iovec);
  FIELD(iovec, iov_base);
  FIELD(iovec, iov_len);
  END();

  BEGIN(pollfd);
  FIELD(pollfd, fd);
  FIELD(pollfd, events);
  FIELD(pollfd, revents);
  END();

  BEGIN(epoll_event);
  FIELD(epoll_event, events);
  FIELD(epoll_event, data);
  END();

  BEGIN(sockaddr_un);
  FIELD(sockaddr_un, sun_family);
  FIELD(sockaddr_un, sun_path);
  END();
}

/* ---- Constants ---- */

#define CONSTANT(name) number(#name, (long long)(name))

static void print_ring_constants(void) {
  CONSTANT(VRING_DESC_F_NEXT);
  CONSTANT(VRING_DESC_F_WRITE);
  CONSTANT(VRING_DESC_F_INDIRECT);
  CONSTANT(VRING_AVAIL_F_NO_INTERRUPT);
  CONSTANT(VRING_USED_F_NO_NOTIFY);
  CONSTANT(VIRTIO_RING_F_INDIRECT_DESC);
  CONSTANT(VIRTIO_RING_F_EVENT_IDX);
  CONSTANT(VRING_DESC_ALIGN_SIZE);
  CONSTANT(VRING_AVAIL_ALIGN_SIZE);
  CONSTANT(VRING_USED_ALIGN_SIZE);
}

static void print_config_constants(void) {
  CONSTANT(VIRTIO_CONFIG_S_ACKNOWLEDGE);
  CONSTANT(VIRTIO_CONFIG_S_DRIVER);
  CONSTANT(VIRTIO_CONFIG_S_DRIVER_OK);
  CONSTANT(VIRTIO_CONFIG_S_FEATURES_OK);
#ifdef VIRTIO_CONFIG_S_SUSPEND
  CONSTANT(VIRTIO_CONFIG_S_SUSPEND);
#endif
  CONSTANT(VIRTIO_CONFIG_S_NEEDS_RESET);
  CONSTANT(VIRTIO_CONFIG_S_FAILED);

  CONSTANT(VIRTIO_TRANSPORT_F_START);
  CONSTANT(VIRTIO_TRANSPORT_F_END);
  CONSTANT(VIRTIO_F_NOTIFY_ON_EMPTY);
  CONSTANT(VIRTIO_F_ANY_LAYOUT);
  CONSTANT(VIRTIO_F_VERSION_1);
#ifdef VIRTIO_F_ACCESS_PLATFORM
  CONSTANT(VIRTIO_F_ACCESS_PLATFORM);
#else
  number("VIRTIO_F_ACCESS_PLATFORM", VIRTIO_F_IOMMU_PLATFORM);
#endif
  CONSTANT(VIRTIO_F_RING_PACKED);
#ifdef VIRTIO_F_IN_ORDER
  CONSTANT(VIRTIO_F_IN_ORDER);
#endif
  CONSTANT(VIRTIO_F_ORDER_PLATFORM);
  CONSTANT(VIRTIO_F_SR_IOV);
#ifdef VIRTIO_F_NOTIFICATION_DATA
  CONSTANT(VIRTIO_F_NOTIFICATION_DATA);
#endif
#ifdef VIRTIO_F_NOTIF_CONFIG_DATA
  CONSTANT(VIRTIO_F_NOTIF_CONFIG_DATA);
#endif
#ifdef VIRTIO_F_RING_RESET
  CONSTANT(VIRTIO_F_RING_RESET);
#endif
#ifdef VIRTIO_F_ADMIN_VQ
  CONSTANT(VIRTIO_F_ADMIN_VQ);
#endif
#ifdef VIRTIO_F_SUSPEND
  CONSTANT(VIRTIO_F_SUSPEND);
#endif
}

static void print_blk_constants(void) {
  CONSTANT(VIRTIO_BLK_T_IN);
  CONSTANT(VIRTIO_BLK_T_OUT);
  CONSTANT(VIRTIO_BLK_T_FLUSH);
  CONSTANT(VIRTIO_BLK_T_GET_ID);
  CONSTANT(VIRTIO_BLK_T_DISCARD);
  CONSTANT(VIRTIO_BLK_T_WRITE_ZEROES);
  CONSTANT(VIRTIO_BLK_S_OK);
  CONSTANT(VIRTIO_BLK_S_IOERR);
  CONSTANT(VIRTIO_BLK_S_UNSUPP);
  CONSTANT(VIRTIO_BLK_F_SIZE_MAX);
  CONSTANT(VIRTIO_BLK_F_SEG_MAX);
  CONSTANT(VIRTIO_BLK_F_GEOMETRY);
  CONSTANT(VIRTIO_BLK_F_RO);
  CONSTANT(VIRTIO_BLK_F_BLK_SIZE);
  CONSTANT(VIRTIO_BLK_F_FLUSH);
  CONSTANT(VIRTIO_BLK_F_TOPOLOGY);
  CONSTANT(VIRTIO_BLK_F_CONFIG_WCE);
  CONSTANT(VIRTIO_BLK_F_MQ);
  CONSTANT(VIRTIO_BLK_F_DISCARD);
  CONSTANT(VIRTIO_BLK_F_WRITE_ZEROES);
  CONSTANT(VIRTIO_BLK_ID_BYTES);
}

static void print_net_constants(void) {
  CONSTANT(VIRTIO_NET_HDR_F_NEEDS_CSUM);
  CONSTANT(VIRTIO_NET_HDR_F_DATA_VALID);
  CONSTANT(VIRTIO_NET_HDR_GSO_NONE);
  CONSTANT(VIRTIO_NET_HDR_GSO_TCPV4);
  CONSTANT(VIRTIO_NET_HDR_GSO_UDP);
  CONSTANT(VIRTIO_NET_HDR_GSO_TCPV6);
  CONSTANT(VIRTIO_NET_HDR_GSO_ECN);
  CONSTANT(VIRTIO_NET_F_CSUM);
  CONSTANT(VIRTIO_NET_F_GUEST_CSUM);
  CONSTANT(VIRTIO_NET_F_MTU);
  CONSTANT(VIRTIO_NET_F_MAC);
  CONSTANT(VIRTIO_NET_F_GUEST_TSO4);
  CONSTANT(VIRTIO_NET_F_GUEST_TSO6);
  CONSTANT(VIRTIO_NET_F_HOST_TSO4);
  CONSTANT(VIRTIO_NET_F_HOST_TSO6);
  CONSTANT(VIRTIO_NET_F_MRG_RXBUF);
  CONSTANT(VIRTIO_NET_F_STATUS);
  CONSTANT(VIRTIO_NET_F_CTRL_VQ);
  CONSTANT(VIRTIO_NET_F_MQ);
}

static void print_kvm_constants(void) {
  CONSTANT(KVM_DIRTY_GFN_F_DIRTY);
  CONSTANT(KVM_DIRTY_GFN_F_RESET);
  CONSTANT(KVM_MEM_LOG_DIRTY_PAGES);
  CONSTANT(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
  CONSTANT(KVM_DIRTY_LOG_INITIALLY_SET);
  CONSTANT(KVM_EXIT_DIRTY_RING_FULL);
}

static void print_vhost_constants(void) {
  CONSTANT(VHOST_PAGE_SIZE);
  CONSTANT(VHOST_VRING_F_LOG);
  CONSTANT(VHOST_F_LOG_ALL);
  CONSTANT(VHOST_ACCESS_RO);
  CONSTANT(VHOST_ACCESS_WO);
  CONSTANT(VHOST_ACCESS_RW);
  CONSTANT(VHOST_IOTLB_MISS);
  CONSTANT(VHOST_IOTLB_UPDATE);
  CONSTANT(VHOST_IOTLB_INVALIDATE);
  CONSTANT(VHOST_IOTLB_ACCESS_FAIL);
  CONSTANT(VHOST_IOTLB_MSG_V2);
}

static void print_errno_constants(void) {
  CONSTANT(EPERM);
  CONSTANT(ENOENT);
  CONSTANT(EIO);
  CONSTANT(ENXIO);
  CONSTANT(E2BIG);
  CONSTANT(EBADF);
  CONSTANT(EAGAIN);
  CONSTANT(ENOMEM);
  CONSTANT(EACCES);
  CONSTANT(EFAULT);
  CONSTANT(EBUSY);
  CONSTANT(EEXIST);
  CONSTANT(ENODEV);
  CONSTANT(EINVAL);
  CONSTANT(ENOTTY);
  CONSTANT(ENOSPC);
  CONSTANT(ESPIPE);
  CONSTANT(EDEADLOCK);
  CONSTANT(ENOMSG);
  CONSTANT(EOVERFLOW);
  CONSTANT(EMSGSIZE);
  CONSTANT(EOPNOTSUPP);
  CONSTANT(EADDRINUSE);
  CONSTANT(ENOTCONN);
}

static void print_linux_constants(void) {
  CONSTANT(AF_UNIX);
  CONSTANT(SOCK_STREAM);
  CONSTANT(SOCK_DGRAM);
  CONSTANT(SOCK_NONBLOCK);
  CONSTANT(SOCK_CLOEXEC);
  CONSTANT(SOL_SOCKET);
  CONSTANT(SCM_RIGHTS);
  CONSTANT(SHUT_RDWR);
  CONSTANT(MSG_CTRUNC);
  CONSTANT(MSG_DONTWAIT);
  CONSTANT(MSG_NOSIGNAL);
  CONSTANT(MSG_CMSG_CLOEXEC);
  CONSTANT(MFD_CLOEXEC);
  CONSTANT(MFD_ALLOW_SEALING);
  CONSTANT(F_ADD_SEALS);
  CONSTANT(F_GET_SEALS);
  CONSTANT(F_SEAL_SEAL);
  CONSTANT(F_SEAL_SHRINK);
  CONSTANT(F_SEAL_GROW);
  CONSTANT(F_DUPFD_CLOEXEC);
  CONSTANT(F_GETFL);
  CONSTANT(F_SETFL);
  CONSTANT(O_NONBLOCK);
  CONSTANT(PROT_READ);
  CONSTANT(PROT_WRITE);
  CONSTANT(MAP_SHARED);
  CONSTANT(EFD_CLOEXEC);
  CONSTANT(EFD_NONBLOCK);
  CONSTANT(RWF_NOWAIT);
  CONSTANT(POLLIN);
  CONSTANT(POLLOUT);
  CONSTANT(EPOLL_CLOEXEC);
  CONSTANT(EPOLL_CTL_ADD);
  CONSTANT(EPOLL_CTL_DEL);
  CONSTANT(EPOLL_CTL_MOD);
  CONSTANT(EPOLLIN);
  CONSTANT(EPOLLOUT);
  CONSTANT(EPOLLERR);
  CONSTANT(EPOLLHUP);
  CONSTANT(EPOLLRDHUP);
  CONSTANT(EPOLLET);
}

/* ---- Rings ---- */

#define NUM_MAX 32768

/* Room for the largest ring: vring_init is given real memory, so that its pointers may be subtracted. */
static _Alignas(4096) char memory[1 << 20];

/* Where one ring's areas and event words lie, in bytes from its start. */
static void print_ring(const char *name, unsigned num, unsigned long align) {
  struct vring vr;
  vring_init(&vr, num, memory, align);
  key(name);
  open_block('{');
  number("vring_size", vring_size(num, align));
  number("avail", (char *)vr.avail - memory);
  number("vring_used_event", (char *)&vring_used_event(&vr) - memory);
  number("used", (char *)vr.used - memory);
  number("vring_avail_event", (char *)&vring_avail_event(&vr) - memory);
  close_block('}');
}

static void print_rings(void) {
  key("rings");
  open_block('[');
  for (unsigned num = 1; num <= NUM_MAX; num *= 2) {
    printf("%s\n", separator);
    open_block('{');
    number("num", num);
    print_ring("align4", num, 4);
    print_ring("align4096", num, 4096);
    close_block('}');
  }
  close_block(']');
}

int main(void) {
  if (vring_size(NUM_MAX, 4096) > sizeof(memory)) {
    fprintf(stderr, "the largest ring needs %u bytes\n", vring_size(NUM_MAX, 4096));
    return 1;
  }
  open_block('{');
  print_headers();
  key("structs");
  open_block('{');
  print_ring_structs();
  print_device_structs();
  print_kvm_structs();
  print_vhost_structs();
  print_linux_structs();
  close_block('}');
  key("constants");
  open_block('{');
  print_ring_constants();
  print_config_constants();
  print_blk_constants();
  print_net_constants();
  print_kvm_constants();
  print_vhost_constants();
  print_linux_constants();
  print_errno_constants();
  close_block('}');
  print_rings();
  close_block('}');
  putchar('\n');
  return 0;
}
