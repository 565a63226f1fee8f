# What the demo's scripts share: where its server lives, and how to fill it. Not in build/: a server that root starts
# runs as the user postgres, who may not enter /root, and the path of a socket must stay under 107 bytes.
demo_dir=${ECMIGRATE_DEMO_DIR:-/tmp/ecmigrate-demo-$(id -un)}
export PGHOST=$demo_dir PGUSER=postgres PGDATABASE=shop
unset PGPORT PGSERVICE PGOPTIONS
export ECMIGRATE_DATABASE_URL="host=$PGHOST port=5432 user=$PGUSER dbname=$PGDATABASE"

# Starts the server, unless it runs.
start_server() {
  scripts/postgres.sh start "$demo_dir" shared_buffers=128MB max_wal_size=2GB
}

# A new database with the users in it, instead of the one that was there.
load_users() {
  PGOPTIONS='--client-min-messages=warning' psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --dbname postgres \
    --command "drop database if exists $PGDATABASE with (force)" --command "create database $PGDATABASE"
  psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --file demo/users.sql
}

sql() {
  psql --quiet --no-psqlrc --no-align --tuples-only --set ON_ERROR_STOP=1 --command "$1"
}
