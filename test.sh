#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test, the scripted migration among them. The last line is "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")"
scripts/packages.sh tests
./build.sh
tests/run.sh build/tests/unit_tests build/tests/integration_tests tests/scripts.sh scripts/run.sh
