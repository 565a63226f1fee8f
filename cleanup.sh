#!/usr/bin/env bash
# Removes what these scripts made: build/ and the demo's server with its folder. Packages stay installed; other servers
# and clusters are never touched.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/settings.sh
if [ -f "$demo_dir/ecmigrate-throwaway" ]; then
  scripts/postgres.sh remove "$demo_dir"
  echo "removed $demo_dir"
fi
if [ -d build ]; then
  rm -rf build
  echo "removed build/"
fi
