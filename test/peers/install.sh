#!/bin/sh
# Installs what the tests with real peers need, on Debian and its like, as root: QEMU with its storage daemon and
# virtiofsd, a static busybox, a compiler for the guest's tools, and a guest kernel.
#
#   npm run peers:install
#
# The kernel's package is unpacked, not installed, into ${SVQ_PEERS_CACHE:-${XDG_CACHE_HOME:-~/.cache}/shadowvq}/kernel
# (some 400 MB while it is being unpacked; 14 MB stay). What is there already is left alone.
set -eu

cache=${SVQ_PEERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/shadowvq}

# program:package
missing=
for pair in qemu-system-x86_64:qemu-system-x86 qemu-storage-daemon:qemu-system-common busybox:busybox-static \
  cc:gcc /usr/include/string.h:libc6-dev; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || [ -e "${pair%%:*}" ] || missing="$missing ${pair#*:}"
done
# Outside of PATH, and in newer releases in a package of its own.
have_virtiofsd=
for program in "$(command -v virtiofsd || true)" /usr/lib/qemu/virtiofsd /usr/libexec/virtiofsd; do
  if [ -x "$program" ]; then have_virtiofsd=$program; fi
done
have_kernel=
for image in "$cache"/kernel/boot/vmlinuz-*; do
  if [ -e "$image" ]; then have_kernel=$image; fi
done
if [ -z "$missing" ] && [ -n "$have_virtiofsd" ] && [ -n "$have_kernel" ]; then
  echo "peers: all there, kernel $have_kernel"
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "peers: this needs apt-get; elsewhere install by hand what svq doctor names" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo "peers: installing packages needs root" >&2
  exit 1
fi
apt-get update -qq
if [ -z "$have_virtiofsd" ]; then
  if [ -n "$(apt-cache madison virtiofsd)" ]; then missing="$missing virtiofsd"; else missing="$missing qemu-system-common"; fi
fi
if [ -n "$missing" ]; then
  echo "peers: installing$missing"
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

if [ -z "$have_kernel" ]; then
  package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
  [ -n "$package" ] || {
    echo "peers: no package source knows linux-image-amd64" >&2
    exit 1
  }
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  echo "peers: unpacking $package"
  # As root, since the user that apt downloads as cannot write here.
  (cd "$scratch" && apt-get download -qq -o APT::Sandbox::User=root "$package" && dpkg -x ./*.deb tree)
  mkdir -p "$cache"
  rm -rf "$cache/kernel.new" "$cache/kernel"
  mkdir -p "$cache/kernel.new/boot"
  mv "$scratch"/tree/boot/vmlinuz-* "$cache/kernel.new/boot/"
  # Of the modules only what guests of the tests load; a kernel tree has 4000.
  (
    cd "$scratch/tree"
    find lib/modules \( -path '*/drivers/virtio/*' -o -path '*/drivers/block/*' -o -path '*/fs/ext4/*' -o \
      -path '*/fs/jbd2/*' -o -path '*/fs/fuse/*' -o -name 'mbcache.ko*' -o -name 'crc*.ko*' -o -name 'libcrc*.ko*' -o \
      -path '*/drivers/net/virtio_net.ko*' -o -path '*/net/core/failover.ko*' -o -name 'net_failover.ko*' \) \
      -type f -exec cp --parents {} "$cache/kernel.new" \;
  )
  mv "$cache/kernel.new" "$cache/kernel"
fi
echo "peers: ready, kernel $(ls "$cache"/kernel/boot/vmlinuz-*)"
