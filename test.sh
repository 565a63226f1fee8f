#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test, the scripted migration among them. The last line is "N passed,
# N failed". With --docker in containers, beside the stack that ./setup.sh --docker built, and without the browser's.
set -euo pipefail
cd "$(dirname "$0")"
if [ "${1:-}" = --docker ]; then
  exec scripts/docker.sh test
fi
scripts/packages.sh tests
./build.sh
ECMIGRATE_PROGRAM=$PWD/build/ecmigrate tests/run.sh build/tests/unit_tests build/tests/http_tests tests/parallel.sh tests/scripts.sh tests/install.sh scripts/run.sh tests/browser/run
