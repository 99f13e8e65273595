#!/bin/busybox sh
# The guest's first program: loads the drivers, runs the test that the kernel's command line names, and powers off.
#
#   t=dd,BYTES  t=verify,MIB,SEED  t=load,SECONDS,SEED  t=migtest,SECONDS,MIB  t=mountroot  t=virtiofs  t=none
#
# The last line of a test on the console is RESULT with key=value pairs, ok=1 or ok=0 among them; nothing else counts.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
# A kernel message in the middle of a result would spoil it; a panic still prints.
echo 1 > /proc/sys/kernel/printk

end() {
  sync
  poweroff -f
}
result() {
  echo "RESULT $*"
  end
}

while read -r module; do
  insmod "/modules/$module" || result ok=0 "why=module:$module"
done < /modules/order

for word in $(cat /proc/cmdline); do
  case $word in t=*) asked=${word#t=} ;; esac
done
old_ifs=$IFS
IFS=,
# shellcheck disable=SC2086
set -- $asked
IFS=$old_ifs
test=$1
shift

case $test in
  virtiofs | none) ;;
  *)
    tries=0
    while [ ! -b /dev/vda ]; do
      tries=$((tries + 1))
      [ "$tries" -le 100 ] || result ok=0 why=no-disk
      usleep 100000
    done
    ;;
esac

md5() {
  md5sum "$1" | cut -d ' ' -f 1
}

echo "START $test"
case $test in
  none)
    result ok=1 "kernel=$(uname -r)"
    ;;
  dd)
    dd if=/dev/vda of=/sample bs=64k count=$(($1 / 65536)) iflag=direct 2>/dev/null || result ok=0 why=dd
    result ok=1 "md5=$(md5 /sample)" "bytes=$(stat -c %s /sample)"
    ;;
  verify | load | migtest)
    "/tools/$test" /dev/vda "$@"
    end
    ;;
  mountroot)
    mke2fs -q /dev/vda >/dev/null 2>&1 || result ok=0 why=mke2fs
    mount -t ext4 /dev/vda /mnt || result ok=0 why=mount
    mkdir -p /mnt/bin /mnt/data
    cp /bin/busybox /mnt/bin/busybox
    dd if=/dev/urandom of=/mnt/data/a bs=64k count=32 2>/dev/null
    written=$(md5 /mnt/data/a)
    sync
    # Mounted anew: what follows, programs included, comes from the disk.
    umount /mnt
    echo 3 > /proc/sys/vm/drop_caches
    mount -t ext4 /dev/vda /mnt || result ok=0 why=remount
    chroot /mnt /bin/busybox cp /data/a /data/b
    read_back=$(chroot /mnt /bin/busybox md5sum /data/b | cut -d ' ' -f 1)
    program=$(md5 /mnt/bin/busybox)
    umount /mnt
    ok=0
    if [ "$written" = "$read_back" ] && [ "$program" = "$(md5 /bin/busybox)" ]; then ok=1; fi
    result ok=$ok "written=$written" "read=$read_back"
    ;;
  virtiofs)
    mount -t virtiofs share /mnt || result ok=0 why=mount
    cp /mnt/in /mnt/out || result ok=0 why=copy
    in=$(md5 /mnt/in)
    umount /mnt
    mount -t virtiofs share /mnt || result ok=0 why=remount
    result ok=1 "in=$in" "out=$(md5 /mnt/out)"
    ;;
  *)
    result ok=0 "why=unknown-test:$test"
    ;;
esac
