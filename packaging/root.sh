#!/bin/bash
# A fresh Debian root with systemd in it: `root.sh ROOT` (as root, with debootstrap). One that is there stays.
set -euo pipefail
[ -d "$1/usr" ] || debootstrap --variant=minbase --include=systemd,libstdc++6 bookworm "$1" http://deb.debian.org/debian
