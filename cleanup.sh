#!/usr/bin/env bash
# Removes what these scripts made: the demo with its server and folders, build/, and what a test run left that is gone. Packages stay installed; other
# servers and clusters are never touched. With --docker the Compose stack with its images and its volume, and only that.
set -euo pipefail
cd "$(dirname "$0")"
if [ "${1:-}" = --docker ]; then
  exec scripts/docker.sh cleanup
fi
scripts/demo.sh remove
scripts/leftovers.sh
if [ -d build ]; then
  rm -rf build
  echo "removed build/"
fi
