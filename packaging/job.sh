#!/bin/bash
# A small job of classes for a package's tests: `job.sh FOLDER` writes a.csv and r.toml, for a base /tmp/tiny-bert.
set -euo pipefail
{ echo text,label; for n in $(seq 60); do echo "the movie $n was good,positive"; echo "the movie $n was awful,negative"; done; } > "$1/a.csv"
printf 'model.base = "/tmp/tiny-bert"\n[train]\nepochs = 2\n' > "$1/r.toml"
