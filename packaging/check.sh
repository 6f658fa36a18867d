#!/bin/bash
# Installs a package into a fresh Debian root and lives with it: `check.sh DEB ROOT` (as root, with debootstrap).
# ROOT is made where it is not there. A run with the installed binaries, an upgrade, a removal, a purge.
set -euo pipefail
deb=$(realpath "$1") root=$2 here=$(dirname "$(realpath "$0")")
"$here/root.sh" "$root"
"$here/job.sh" "$root"
trap 'umount "$root/proc"' EXIT
cp "$deb" "$root/tmp/finetuned.deb"
chroot "$root" bash -euo pipefail <<'INSIDE'
dpkg -i /tmp/finetuned.deb
test "$(stat -c '%a %U %G' /var/spool/finetuned)" = "2770 finetuned finetuned"
zcat /usr/share/man/man1/finetuned-submit.1.gz | grep -q 'whole or not at all'
bash -c '. /usr/share/bash-completion/completions/finetuned; complete -p finetuned'
systemd-analyze verify --man=no /usr/lib/systemd/system/finetuned.service
finetuned --home /tmp/home run /tmp/a.csv --recipe /tmp/r.toml --out /tmp/run | grep -q '^proof'
mkdir -p /var/lib/finetuned/runs
echo '# mine' >> /etc/finetuned/config.toml
dpkg -i /tmp/finetuned.deb
grep -q '# mine' /etc/finetuned/config.toml
dpkg -r finetuned
test -e /etc/finetuned/config.toml && test ! -e /usr/bin/finetuned && test ! -e /usr/lib/finetuned/lib
dpkg -P finetuned
test -d /var/lib/finetuned/runs && test ! -e /etc/finetuned/config.toml
INSIDE
echo "the package lives: installed, run, upgraded, removed, purged"
