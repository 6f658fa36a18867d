#!/bin/bash
# Unpacks the tarball in a Debian 11 (glibc 2.31, no newer libstdc++ than its own) and runs a job: `check_dist.sh TARBALL ROOT`
# (as root, with debootstrap). ROOT is made where it is not there.
set -euo pipefail
tarball=$(realpath "$1") root=$2 here=$(dirname "$(realpath "$0")")
"$here/root.sh" "$root" bullseye libstdc++6
"$here/job.sh" "$root"
trap 'umount "$root/proc"' EXIT
rm -rf "$root/opt/finetuned" && mkdir -p "$root/opt/finetuned"
tar -C "$root/opt/finetuned" --strip-components=1 -xf "$tarball"
chroot "$root" bash -euo pipefail <<'INSIDE'
ldd --version | head -1
/opt/finetuned/bin/finetuned --home /tmp/home run /tmp/a.csv --recipe /tmp/r.toml --out /tmp/run | grep '^proof'
/opt/finetuned/bin/finetuned --home /tmp/home doctor || test $? = 1
INSIDE
echo "the tarball runs on an older glibc: unpacked, a job proven"
