#!/usr/bin/env bash
# Puts Debian 13's Postgres 17 with pgvector into a folder of its own, for tests on a Debian that has no pgvector. Needs root
# and Debian's mirrors; changes nothing else on the machine. About 20 s and 400 MB; does nothing when it is there.
set -euo pipefail
root=/var/cache/millrace/postgres-17
[[ $(uname -m) == x86_64 ]] || { echo 'Only for x86-64: elsewhere give a Postgres with pgvector as MILLRACE_TEST_PGVECTOR_URL.'; exit 1; }
[[ -x $root/usr/lib/postgresql/17/bin/postgres && -e $root/.complete ]] && exit 0
apt-get update >/dev/null
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends mmdebstrap patchelf >/dev/null
mkdir -p "$(dirname "$root")"
rm -rf "$root" "$root.new"
# Unpacked, not installed: no script of a package runs.
mmdebstrap --quiet --variant=extract --include=postgresql-17,postgresql-17-pgvector trixie "$root.new"
# The programs were made for a newer C library than the machine's: they are told to use the one that came with them.
libraries=$root/usr/lib/x86_64-linux-gnu
for program in postgres initdb; do
  patchelf --set-interpreter "$libraries/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$libraries" "$root.new/usr/lib/postgresql/17/bin/$program"
done
chmod 755 "$root.new"
touch "$root.new/.complete"
mv "$root.new" "$root"
