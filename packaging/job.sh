#!/bin/bash
# A small job of classes for a package's tests: `job.sh ROOT` writes tiny-bert, a.csv and r.toml into ROOT's /tmp, and makes
# ROOT's /proc what it is (as root; whoever calls unmounts it).
set -euo pipefail
mountpoint -q "$1/proc" || mount -t proc proc "$1/proc"
rm -rf "$1/tmp/tiny-bert" "$1/tmp/run"
cp -r "$(dirname "$(realpath "$0")")/../tests/data/tiny-bert" "$1/tmp/"
{ echo text,label; for n in $(seq 60); do echo "the movie $n was good,positive"; echo "the movie $n was awful,negative"; done; } > "$1/tmp/a.csv"
printf 'model.base = "/tmp/tiny-bert"\n[train]\nepochs = 2\n' > "$1/tmp/r.toml"
