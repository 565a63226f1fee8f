# What the benchmarks share; sourced by them. Every figure is measured in the run that prints it, or printed as "not run".
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
ecmigrate=${ECMIGRATE:-$repository/build/ecmigrate}
not_run="not run"

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 2
}

# Prints the comment at the head of the script.
usage() {
  sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
  exit "${1:-0}"
}

# A server of the benchmark's own, with the settings of a production server. Autovacuum is on, but does not start within
# the run, so that no method is measured with it and another without.
start_server() {
  [ -x "$ecmigrate" ] || fail "$ecmigrate is missing: build it, or set ECMIGRATE"
  folder=$(mktemp -d "${TMPDIR:-/tmp}/ecmigrate-bench-XXXXXX")
  chmod 755 "$folder"
  trap 'set +e; trap "" INT TERM; "$repository/scripts/postgres.sh" remove "$folder/pg"; rm -rf "$folder"' EXIT
  trap 'exit 130' INT TERM
  "$repository/scripts/postgres.sh" start "$folder/pg" fsync=on full_page_writes=on synchronous_commit=on shared_buffers=512MB \
    max_wal_size=4GB min_wal_size=4GB checkpoint_timeout=15min autovacuum=on autovacuum_naptime=7d "$@"
  export PGHOST=$folder/pg PGUSER=postgres PGDATABASE=postgres PGOPTIONS='-c client_min_messages=warning'
}

# A server in use writes its WAL into files that it has already; a new one fills each with zeros first, 16 MB while all
# commits wait. Makes as many files as that many bytes of WAL need.
make_wal_files() {
  sql "select count(pg_logical_emit_message(false, '', repeat('x', 1000000))) from generate_series(1, $1 / 1000000)" >/dev/null
  sql checkpoint
}

# SQL from the arguments or stdin; prints bare values.
sql() {
  if [ $# -gt 0 ]; then
    psql -XqAtv ON_ERROR_STOP=1 -c "$1"
  else
    psql -XqAtv ON_ERROR_STOP=1
  fi
}

print_machine() {
  printf '%s cores, %s MB of memory, PostgreSQL %s, %s\n' "$(nproc)" "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" \
    "$(sql 'show server_version' | cut -d' ' -f1)" "$("$ecmigrate" version | head -n 1)"
  printf 'settings: %s\n' "$(sql "select string_agg(name || '=' || current_setting(name), ' ' order by name) from pg_settings
    where name in ('fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size', 'min_wal_size', 'checkpoint_timeout', 'autovacuum_naptime')")"
}

# The middle of the numbers on stdin (the mean of the middle two).
median() {
  sort -g | awk '{ v[NR] = $1 } END { if (NR) printf "%.10g\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# The users table of the sizes below, in the current database.
# Values are spread by a hash, so that no pattern of theirs meets one of the walk.
users_rows="n,
  (array['Ann','Bob','Chloé','Dmitri','Émile','Fatima','Grace','Hugo','Ines','Jan'])[1 + (h & 65535) % 10] || ' ' ||
    (array['Lee','O''Brien','García Márquez','van der Berg','Smith','Nguyen','Kowalska'])[1 + (h >> 16) % 7],
  'user' || n || '@example.org',
  (array['Berlin','Lisbon','Oslo','Quito','Kyoto','Lagos','Lima','Riga'])[1 + h % 8] || ' ' || h % 997,
  'Long Street ' || h % 50000,
  repeat(md5(n::text), 2) || left(md5(n::text), 20)"
users_source() { echo "from (select n, hashint8(n)::bigint & 2147483647 as h from generate_series(1, $1) n) as source"; }
users_columns="id bigint not null, full_name varchar not null, email text not null, city text not null, street text not null, payload text not null"

split_plan() {
  cat <<'END'
name: bench-split
operations:
  - split_column:
      table: users
      column: full_name
      into:
        - { name: first_name, type: text, nullable: false, up: "split_part(full_name, ' ', 1)" }
        - { name: last_name, type: text, nullable: false, up: "substr(full_name, length(split_part(full_name, ' ', 1)) + 2)" }
      down: "concat_ws(' ', first_name, nullif(last_name, ''))"
END
}
split_set="first_name = split_part(full_name, ' ', 1), last_name = substr(full_name, length(split_part(full_name, ' ', 1)) + 2)"
