#!/usr/bin/env bash
# Removes the servers and folders of test runs that are gone: those of one that was killed together with its reaper
# (tests/support/server.cpp), as by a crash of the machine. A run that is at work is not touched.
#
#   scripts/leftovers.sh [FOLDER]     where they are; default /tmp and /dev/shm
set -euo pipefail
here=$(dirname "$(realpath "$0")")
if [ $# -gt 0 ]; then
  folders=("$1"/ecmigrate-test-??????)
else
  folders=({/tmp,/dev/shm}/ecmigrate-test-??????)
fi
for folder in "${folders[@]}"; do
  if [ ! -d "$folder" ] || [ -L "$folder" ] || pgrep -f "^sh -c .* $folder\$" >/dev/null; then
    continue
  fi
  for server in "$folder"/pg "$folder"/own-*; do
    "$here/postgres.sh" remove "$server"
  done
  rm -rf -- "$folder"
  echo "removed $folder"
done
