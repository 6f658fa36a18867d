#!/bin/bash
# A fresh Debian root: `root.sh ROOT [SUITE [PACKAGES]]` (as root, with debootstrap); by default with systemd. One that is there stays.
set -euo pipefail
command -v debootstrap > /dev/null || { echo "debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }
[ -d "$1/usr" ] || debootstrap --variant=minbase --include="${3:-systemd,libstdc++6}" "${2:-bookworm}" "$1" http://deb.debian.org/debian
