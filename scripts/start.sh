#!/usr/bin/env bash
# The demo's server with fresh users, left running. Called by ./start.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/settings.sh

start_server
load_users
cat <<TEXT

A PostgreSQL server with $(sql "select to_char(count(*), 'FM999,999') from users") users is running, reachable by a socket in $demo_dir only.

  export ECMIGRATE_DATABASE_URL="$ECMIGRATE_DATABASE_URL"
  psql "\$ECMIGRATE_DATABASE_URL"                      # look around: \\d users

  build/ecmigrate plan plans/split-full-name.yaml     # what would be done; changes nothing
  build/ecmigrate run plans/split-full-name.yaml      # expand, backfill, verify
  build/ecmigrate status
  build/ecmigrate contract plans/split-full-name.yaml # or: build/ecmigrate rollback plans/split-full-name.yaml

An application of the old version beside it, in another terminal: build/ecmigrate-traffic --shape old -d "$ECMIGRATE_DATABASE_URL"
and of the new one, after expand:                                 build/ecmigrate-traffic --shape new -d "$ECMIGRATE_DATABASE_URL"

Start afresh with ./start.sh. Stop and remove it with ./cleanup.sh (or only stop it: scripts/postgres.sh stop $demo_dir).
TEXT
