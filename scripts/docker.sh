#!/usr/bin/env bash
# The demo as a Compose stack: what the root scripts do with --docker. On the host it needs Docker, bash and curl alone.
#
#   scripts/docker.sh setup      build the images, start the stack, ask page and API
#   scripts/docker.sh start      start the stack that setup built, ask page and API
#   scripts/docker.sh test       all tests but the browser's, in a container, and the questions to page and API
#   scripts/docker.sh tests      the tests in the container alone
#   scripts/docker.sh cleanup    remove containers, volumes, network and images of the stack
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/settings.sh
. scripts/ports.sh

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

require_engine() {
  command -v docker >/dev/null || fail "docker is missing: install Docker (https://docs.docker.com/engine/install/, or Debian's packages docker.io and docker-compose)"
  command -v curl >/dev/null || fail "curl is missing"
  local message
  message=$(docker version --format '{{.Server.Version}}' 2>&1) ||
    fail "docker is installed, but its engine does not answer: $message" \
      "Start it (systemctl start docker, or Docker Desktop). If it runs, you may not use it: run this as root, or join the group docker."
  if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
  elif command -v docker-compose >/dev/null; then
    compose=(docker-compose)
  else
    fail "neither \`docker compose\` nor docker-compose is there: install Docker's Compose plugin, or Debian's package docker-compose"
  fi
}

compose() {
  "${compose[@]}" --project-name ecmigrate --file docker/compose.yaml "$@"
}

# Whether the demo's container is there and neither failed nor being restarted again and again.
demo_alive() {
  local container
  container=$(compose ps --quiet demo 2>/dev/null) && [ -n "$container" ] &&
    [ "$(docker inspect --format '{{.State.Status}} {{lt .RestartCount 3}}' "$container")" = "running true" ]
}

published_ports() {
  local container
  container=$(compose ps --quiet demo 2>/dev/null || true)
  if [ -n "$container" ]; then
    docker port "$container" 2>/dev/null || true
  fi
}

# up ARGUMENTS OF COMPOSE UP
up() {
  require_free_ports
  compose up --detach "$@" || fail "the stack did not start; what is there of it goes with ./cleanup.sh --docker"
  if ! wait_for_health 180 demo_alive; then
    compose ps >&2
    compose logs --tail 20 >&2
    fail "the demo did not start; its log is above"
  fi
  scripts/smoke.sh
  cat <<TEXT

  page  $page_url/
  API   $api_url/api/state
  log   docker logs $(docker inspect --format '{{.Name}}' "$(compose ps --quiet demo)" | cut -c 2-)

The stack runs until ./cleanup.sh --docker, also after a reboot if Docker starts with the machine.
TEXT
}

require_free_ports() {
  require_ports "$(published_ports)"
}

case "${1:-}" in
  setup)
    require_engine
    require_free_ports
    compose build database demo
    up
    ;;
  start)
    require_engine
    docker image inspect ecmigrate-database:local ecmigrate-demo:local >/dev/null 2>&1 ||
      fail "the images are missing: run ./setup.sh --docker first"
    up --no-build
    ;;
  test)
    require_engine
    "$0" start
    tests/run.sh docker/tests scripts/smoke.sh
    ;;
  tests)
    require_engine
    compose --profile tests build tests
    compose --profile tests run --rm -T tests
    ;;
  cleanup)
    require_engine
    compose --profile tests down --volumes --remove-orphans --rmi all
    # What builds left: steps that ended in the middle, stages and earlier images, all without names.
    docker container prune --force --filter label=org.ecmigrate.image
    docker image prune --force --filter label=org.ecmigrate.image
    ;;
  *) sed -n '2,8p' "$0"; exit 2 ;;
esac
