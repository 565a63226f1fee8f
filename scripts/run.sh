#!/usr/bin/env bash
# The whole migration of plans/split-full-name.yaml on 200,000 users, while an old and a new version of the application
# write. Exit 0 only if no request failed, no write was lost, and the schema is what the plan says. Its server is one of
# its own, made for the run and removed after it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/checks.sh
export PATH="$PWD/build:$PATH"

plan=plans/split-full-name.yaml
# Not in build/: a server that root starts runs as the user postgres, who may not enter /root, and the path of a socket
# must stay under 107 bytes.
server=$(mktemp -d /tmp/ecmigrate-run-XXXXXX)
reports=$(mktemp -d)
declare -A writers=()
export PGHOST=$server PGUSER=postgres PGDATABASE=shop
unset PGPORT PGSERVICE PGOPTIONS
export ECMIGRATE_DATABASE_URL="host=$PGHOST port=5432 user=$PGUSER dbname=$PGDATABASE"

stop_everything() {
  for shape in "${!writers[@]}"; do
    kill "${writers[$shape]}" 2>/dev/null || true
  done
  wait
  scripts/postgres.sh remove "$server"
  rm -rf "$reports" "$server"
}
trap stop_everything EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

sql() {
  psql --quiet --no-psqlrc --no-align --tuples-only --set ON_ERROR_STOP=1 --command "$1"
}

load_users() {
  psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --dbname postgres --command "create database $PGDATABASE"
  psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --file src/scene/users.sql
}

say() {
  printf '\n── %s\n' "$1"
}

start_writer() {
  ecmigrate-traffic --shape "$1" --rate 200 --json "${@:2}" >"$reports/$1.json" &
  writers[$1]=$!
}

# Waits until a writer has inserted a hundred users.
wait_for_writer() {
  for _ in $(seq 600); do
    if [ "$(sql "select count(*) >= 100 from users where email like '$1-%@traffic.example'")" = t ]; then
      return
    fi
    if ! kill -0 "${writers[$1]}" 2>/dev/null; then
      break
    fi
    sleep 0.05
  done
  echo "the $1 version of the application does not write" >&2
  cat "$reports/$1.json" >&2
  exit 1
}

# Its exit status is looked at in the end, with its report.
stop_writer() {
  kill -TERM "${writers[$1]}"
  wait "${writers[$1]}" || true
  unset "writers[$1]"
}

field() {
  sed -E "s/.*\"$2\":([^,}]+).*/\1/" "$reports/$1.json"
}

print_report() {
  LC_ALL=C printf '  %-12s %9s %8s %14.1f ms %9.1f ms %12s %7s\n' "$1 version" "$(field "$1" requests)" "$(field "$1" failed)" \
    "$(field "$1" longest_stall_ms)" "$(field "$1" p99_ms)" "$(field "$1" checked)" "$(field "$1" lost)"
}

say "a throwaway PostgreSQL with 200,000 users; the old version of the application starts writing full_name"
scripts/postgres.sh start "$server" shared_buffers=128MB max_wal_size=2GB
load_users
sql "select '  ' || version()" | cut -d, -f1
start_writer old
wait_for_writer old

say "expand: first_name and last_name beside full_name, kept equal by a trigger"
ecmigrate expand $plan

say "the new version of the application is rolled out: it writes first_name and last_name, the old one still full_name"
start_writer new --wait-for-column first_name
wait_for_writer new

say "backfill: the users that nobody touches"
ecmigrate backfill $plan

say "verify: every row, by value"
ecmigrate verify $plan

say "the old version is gone; contract: full_name goes, the new version writes on"
stop_writer old
ecmigrate contract $plan --confirm split-full-name
sleep 3
stop_writer new

say "what the application felt"
printf '  %-12s %9s %8s %17s %12s %12s %7s\n' "" requests failed "longest stall" p99 "rows checked" lost
print_report old
print_report new

say "what was locked"
psql --quiet --no-psqlrc --pset footer=off --pset border=0 --command "
  select phase, step, mode, tries, round(waited_ms::numeric, 1) as waited_ms, round(held_ms::numeric, 1) as held_ms, blocked_sessions as blocked
  from ecmigrate.locks order by id" | sed 's/^/  /'

say "the table now"
psql --no-psqlrc --command '\d users' | sed 's/^/  /'

say "did it hold?"
for shape in old new; do
  check "failed requests of the $shape version" "$(field $shape failed)" 0
  check "lost writes of the $shape version" "$(field $shape lost)" 0
done
check "columns" "$(sql "select string_agg(attname || case when attnotnull then ' not null' else '' end, ', ' order by attnum) from pg_attribute
  where attrelid = 'users'::regclass and attname ~ '_name$' and attnum > 0 and not attisdropped")" "first_name not null, last_name not null"
check "triggers left behind" "$(sql "select count(*) from pg_trigger where tgrelid = 'users'::regclass")" 0
check "users without a name" "$(sql "select count(*) from users where first_name is null or last_name is null")" 0
check "state" "$(sql "select state from ecmigrate.migrations where name = 'split-full-name'")" contracted
if [ $failed -gt 0 ]; then
  cat "$reports"/*.json
fi
conclude
