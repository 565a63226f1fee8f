#!/usr/bin/env bash
# A throwaway PostgreSQL server in a folder of its own, reachable through a socket in that folder only.
#
#   scripts/postgres.sh start DIR [NAME=VALUE ...]   make and start it; settings are postgresql.conf's
#   scripts/postgres.sh make DIR [NAME=VALUE ...]    only make it
#   scripts/postgres.sh standby DIR OF [NAME=VALUE ...]   make and start a streaming replica of the server in the folder OF
#   scripts/postgres.sh running DIR                  exit 0 if it runs
#   scripts/postgres.sh stop DIR                     stop it
#   scripts/postgres.sh remove DIR                   stop it and delete the folder
#
# PG_BINDIR names the programs' folder; without it the newest server that Debian has installed is taken. PG_MADE names a
# folder in which one was made and never started: it is copied, which is faster than to make another. The server
# refuses to run as root, so for root it runs as the user postgres, whom the Debian package makes. Connect with
# "host=DIR port=5432 user=postgres dbname=postgres".
set -euo pipefail

bindir() {
  if [ -n "${PG_BINDIR:-}" ]; then
    echo "$PG_BINDIR"
    return
  fi
  local found
  found=$(find /usr/lib/postgresql -maxdepth 3 -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
  if [ -z "$found" ]; then
    echo "no PostgreSQL server found; install the package postgresql, or set PG_BINDIR" >&2
    exit 1
  fi
  dirname "$found"
}

# From /, because the user postgres may not enter the folder of whoever called, and the programs look where they are.
as_server_user() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && runuser -u postgres -- "$@")
  else
    (cd / && "$@")
  fi
}

# By the process itself: after a crash of the machine the pid in the file may be another's, and pg_ctl would signal that.
running() {
  local pid
  pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && [ "$(readlink "/proc/$pid/cwd")" = "$(realpath "$1/data")" ]
}

# Makes the folder; only one that this script made is ever deleted.
make_folder() {
  local dir=$1
  if [ "${#dir}" -gt 90 ] || [ "${dir#/}" = "$dir" ]; then
    echo "$dir: give an absolute path of at most 90 bytes, or the socket's would be too long" >&2
    exit 1
  fi
  if [ -L "$dir" ] || { [ -e "$dir" ] && [ ! -f "$dir/ecmigrate-throwaway" ] && [ -n "$(ls -A "$dir")" ]; }; then
    echo "$dir was not made by this script; give another folder" >&2
    exit 1
  fi
  mkdir -p "$dir"
  touch "$dir/ecmigrate-throwaway"
  [ "$(id -u)" = 0 ] && chown -R postgres "$dir"
  # The server trusts whoever reaches the socket, so nobody else may.
  chmod 700 "$dir"
}

begin() {
  as_server_user "$(bindir)/pg_ctl" --pgdata "$1/data" --log "$1/server.log" --wait --silent start </dev/null >/dev/null ||
    { cat "$1/server.log" >&2; exit 1; }
}

make() {
  local dir=$1
  shift
  make_folder "$dir"
  if [ ! -d "$dir/data" ]; then
    # Under another name until it is whole, so that an interrupted initdb is done again.
    rm -rf "$dir/data.new"
    if [ -n "${PG_MADE:-}" ]; then
      cp -a "$PG_MADE/data" "$dir/data.new"
    else
      as_server_user "$(bindir)/initdb" --pgdata "$dir/data.new" --username postgres --auth trust --encoding UTF8 --locale C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 ||
        { cat "$dir/initdb.log" >&2; exit 1; }
    fi
    # Of what a copy says twice the last counts.
    {
      echo "listen_addresses = ''"
      echo "port = 5432"  # not what PGPORT says here
      echo "unix_socket_directories = '$dir'"
      printf '%s\n' "$@"
    } >>"$dir/data.new/postgresql.conf"
    mv "$dir/data.new" "$dir/data"
  fi
}

start() {
  make "$@"
  if ! running "$1"; then
    rm -f "$1/data/postmaster.pid"
    begin "$1"
  fi
}

standby() {
  local dir=$1 of=$2
  shift 2
  make_folder "$dir"
  as_server_user "$(bindir)/pg_basebackup" --pgdata "$dir/data" --host "$of" --port 5432 --username postgres --write-recovery-conf --checkpoint fast --no-sync
  printf '%s\n' "unix_socket_directories = '$dir'" "$@" >>"$dir/data/postgresql.conf"
  begin "$dir"
}

stop() {
  local dir=$1
  if running "$dir"; then
    as_server_user "$(bindir)/pg_ctl" --pgdata "$dir/data" --mode immediate --silent stop >/dev/null || true
  fi
}

case "${1:-}" in
  start) shift; start "$@" ;;
  make) shift; make "$@" ;;
  standby) shift; standby "$@" ;;
  running) running "$2" ;;
  stop) stop "$2" ;;
  remove)
    if [ -f "$2/ecmigrate-throwaway" ]; then
      stop "$2"
      rm -rf -- "$2"
    fi
    ;;
  *) sed -n '2,12p' "$0"; exit 2 ;;
esac
