#!/usr/bin/env bash
# Proves docker-compose.yml on a real Docker engine: builds the images, brings the stack up on random passwords, looks
# at how it is locked down, runs the demo against it while a training worker is killed, starts it again as production
# with mutual TLS, and tears everything down.
# `make test-compose` calls it; `.venv` has to exist. TEST_COMPOSE_PORT moves its five ports on 127.0.0.1.
set -euo pipefail
cd "$(dirname "$0")/.."

port=${TEST_COMPOSE_PORT:-17440}
project=fragua-test-$$
scratch=$(mktemp -d)
stage_name=start
demo_pid=

services=(dataset trainer evaluator exporter)

compose() { docker compose --project-name "$project" --env-file "$scratch/env" "$@"; }
# As above with the passwords of .env.example, in a project of its own.
compose_with_example() {
  FRAGUA_ENVIRONMENT=production docker compose -f docker-compose.yml --project-name "$project-example" --env-file .env.example "$@"
}
fail() { echo "test-compose: $*" >&2; exit 1; }
ask_database() { compose exec -T postgres psql -XAtq -U postgres -d fragua -c "$1"; }

stage() {
  local begun=$SECONDS
  stage_name=$1
  shift
  echo "test-compose: $stage_name ..."
  "$@"
  echo "test-compose: $stage_name took $((SECONDS - begun)) s"
}

tear_down() {
  local status=$?
  trap '' INT TERM
  [[ -z $demo_pid ]] || kill "$demo_pid" 2>/dev/null || true
  if ((status)); then
    compose ps --all || true
    compose logs --no-color --tail 40 || true
    [[ ! -s $scratch/demo.log ]] || { echo "--- the demo's output"; tail -40 "$scratch/demo.log"; }
  fi
  compose down --volumes --remove-orphans --timeout 5 >"$scratch/down.log" 2>&1 || cat "$scratch/down.log"
  compose_with_example down --volumes --timeout 5 >/dev/null 2>&1 || true
  rm -rf "$scratch"
  if ((status)); then echo "test-compose: FAILED in '$stage_name' after $SECONDS s"; else echo "test-compose: passed in $SECONDS s"; fi
}

write_settings() {
  # The way that .env.example recommends.
  awk '/=change-me/ {"openssl rand -hex 24" | getline p; close("openssl rand -hex 24"); sub(/=.*/, "=" p)} 1' \
    .env.example >"$scratch/env"
  ! grep -q '=change-me' "$scratch/env" || fail "a password of .env.example was not replaced"
  {
    echo FRAGUA_TAG=test
    echo "DATASET_PORT=$port"
    echo "TRAINER_PORT=$((port + 1))"
    echo "EVALUATOR_PORT=$((port + 2))"
    echo "EXPORTER_PORT=$((port + 3))"
    echo "S3_PORT=$((port + 4))"
    echo "WORK_CPUS=$(docker info --format '{{if gt .NCPU 2}}2{{else}}{{.NCPU}}{{end}}')"
  } >>"$scratch/env"
}

check_files() {
  compose config --quiet
  local override all=()
  for override in deploy/compose/*.yml; do
    all+=(-f "$override")
    check_overrides -f "$override"
  done
  check_overrides "${all[@]}"
  local said
  if said=$(docker compose --project-name "$project" --env-file /dev/null config --quiet 2>&1); then
    fail "the stack would start without passwords"
  fi
  grep -q 'copy .env.example to .env' <<<"$said" || fail "missing settings are not explained: $said"
}

check_overrides() {
  FRAGUA_TLS_DIR=/nowhere POSTGRES_IMAGE=postgres NATS_IMAGE=nats S3_IMAGE=s3 \
    compose -f docker-compose.yml "$@" config --quiet || fail "docker-compose.yml does not work with $*"
}

# One after the other: each shows its own time, and the later ones find the shared layers.
build_images() {
  local service
  for service in "${services[@]}"; do
    stage "building the $service image" build_image "$service"
  done
}

build_image() {
  compose build "$1" >"$scratch/build.log" 2>&1 || { tail -60 "$scratch/build.log"; fail "the $1 image does not build"; }
}

check_images() {
  ! in_image dataset 'import torch' 2>/dev/null || fail "the dataset image has torch"
  in_image trainer 'import sys, fragua_trainer.bootstrap; sys.exit("torch" in sys.modules)' ||
    fail "the trainer's API imports torch"
  local service
  for service in "${services[@]}"; do
    in_image "$service" 'import shutil, sys; sys.exit(any(map(shutil.which, ("cc", "gcc", "g++", "make"))))' ||
      fail "the $service image has a compiler"
  done
}

in_image() { docker run --rm --network none --read-only --entrypoint python "${FRAGUA_IMAGES:-fragua}/$1:test" -c "$2"; }

start() {
  compose up --wait --wait-timeout 240 >"$scratch/up.log" 2>&1 || { tail -30 "$scratch/up.log"; fail "the stack does not start"; }
}

check_lockdown() {
  local container name
  for container in $(compose ps --quiet); do
    name=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}}' "$container")
    [[ $(docker exec "$container" id -u) != 0 ]] || fail "$name runs as root"
    ! docker exec "$container" touch /probe 2>/dev/null || fail "$name can write to its own file system"
    [[ $(docker inspect --format '{{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' "$container") == \
      '[ALL] [no-new-privileges:true]' ]] || fail "$name keeps privileges"
    (($(docker inspect --format '{{.HostConfig.Memory}}' "$container") > 0)) || fail "$name has no memory limit"
  done
  ! compose exec -T trainer-work python -c 'import socket; socket.create_connection(("1.1.1.1", 53), 3)' 2>/dev/null ||
    fail "workers reach the outside"
}

check_volumes() {
  # Those would be left behind by each `docker compose down`.
  ! compose ps --all --quiet | xargs docker inspect --format '{{range .Mounts}}{{println .Type .Name}}{{end}}' |
    grep -E '^volume [0-9a-f]{64}$' || fail "there are volumes without a name"
}

check_ports() {
  local published
  published=$(compose ps --quiet | xargs docker inspect --format \
    '{{range .NetworkSettings.Ports}}{{range .}}{{println .HostIp .HostPort}}{{end}}{{end}}' | sort -u | sed '/^$/d')
  [[ $published == "$(for each in 0 1 2 3 4; do echo "127.0.0.1 $((port + each))"; done)" ]] ||
    fail "published is not what should be: $published"
}

check_roles() {
  local service other
  for service in "${services[@]}"; do
    as_role "$service" 'SELECT count(*) FROM jobs' >/dev/null || fail "$service cannot read its own tables"
    [[ $(as_role "$service" 'SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user') == f ]] ||
      fail "the role $service may too much"
    for other in "${services[@]}" public; do
      [[ $other == "$service" ]] || refused "$service" "CREATE TABLE $other.probe (id integer)"
      [[ $other == "$service" || $other == public ]] || refused "$service" "SELECT count(*) FROM $other.jobs"
    done
  done
}

as_role() { compose exec -T postgres psql -XAtq -h 127.0.0.1 -U "$1" -d fragua -c "$2" </dev/null; }
refused() {
  local said
  said=$(as_role "$@" 2>&1) && fail "the role $1 could: $2"
  [[ $said == *'permission denied for schema'* ]] || fail "$2 as $1 failed in another way: $said"
}

check_example_passwords() {
  local said
  said=$(compose_with_example run --rm --no-deps -T dataset-migrate 2>&1) && fail "production starts with the example's passwords"
  [[ $said == *FRAGUA_DATABASE_URL*'published example password'* ]] || fail "the refusal is not explained: $said"
  said=$(compose_with_example run --rm --no-deps -T postgres-roles 2>&1) && fail "roles take the example's passwords"
  [[ $said == *'PGPASSWORD is a published example'* ]] || fail "the refusal is not explained: $said"
}

start_demo() {
  (cd "$scratch" && exec "$OLDPWD/.venv/bin/fragua" --endpoint "127.0.0.1:$port" demo) >"$scratch/demo.log" 2>&1 &
  demo_pid=$!
}

demo_runs() { kill -0 "$demo_pid" 2>/dev/null; }

kill_worker_midway() {
  until [[ $(ask_database "SELECT 1 FROM trainer.jobs WHERE state = 'RUNNING' AND (progress->>'step')::int * 3 > (progress->>'total')::int") == 1 ]]; do
    demo_runs || fail "the demo ended before its training was seen"
    sleep 0.5
  done
  # From within, as a crash would: Docker takes its own `kill` for a wish to have the container stopped.
  # shellcheck disable=SC2016
  compose exec -T trainer-work sh -c 'kill -9 $(cat /proc/1/task/1/children)' || true
}

finish_demo() {
  wait "$demo_pid" || fail "the demo failed"
  demo_pid=
  (($(ask_database "SELECT max(attempt) FROM trainer.jobs WHERE state = 'SUCCEEDED'") > 1)) || fail "nothing was killed"
  [[ $(ask_database "SELECT count(*) FROM trainer.jobs WHERE state <> 'SUCCEEDED'") == 0 ]] || fail "a training job is left over"
  .venv/bin/python - "$scratch/.fragua/demo/report.json" <<'PYTHON'
import json, sys

report = json.load(open(sys.argv[1]))
base, tuned = report["base"]["score"], report["tuned"]["score"]
assert tuned > base + 0.5, f"tuned {tuned} is not far better than base {base}"
assert report["export"]["answer"], "the exported model gave no answer"
print(f"test-compose: base {base:.1%}, tuned {tuned:.1%}, answer {report['export']['answer']!r}")
PYTHON
}

# On the same volumes: what an operator does who takes a trial into service.
restart_as_production() {
  deploy/compose/make-certificates.sh "$scratch/tls"
  {
    echo "FRAGUA_TLS_DIR=$scratch/tls/services"
    echo "POSTGRES_IMAGE=$(image_of postgres)"
    echo "NATS_IMAGE=$(image_of nats)"
    echo "S3_IMAGE=$(image_of minio)"
  } >>"$scratch/env"
  compose down --timeout 30 >"$scratch/down.log" 2>&1
  export COMPOSE_FILE=docker-compose.yml:deploy/compose/production.yml
  start
}

image_of() {
  compose config --format json |
    .venv/bin/python -c 'import json, sys; print(json.load(sys.stdin)["services"][sys.argv[1]]["image"])' "$1"
}

fragua() { .venv/bin/fragua --endpoint "127.0.0.1:$port" "$@"; }

check_tls() {
  export FRAGUA_TLS_CA_FILE=$scratch/tls/client/ca.crt
  export FRAGUA_TLS_CERT_FILE=$scratch/tls/client/tls.crt FRAGUA_TLS_KEY_FILE=$scratch/tls/client/tls.key
  refused_without FRAGUA_TLS_CERT_FILE FRAGUA_TLS_KEY_FILE
  refused_without FRAGUA_TLS_CA_FILE FRAGUA_TLS_CERT_FILE FRAGUA_TLS_KEY_FILE
  # A job of a worker, then calls on which a service has to ask others: it shows them its own certificate.
  { fragua dataset import examples/facts/instructions.jsonl --name over-tls &&
      fragua train start --dataset over-tls --base tiny-base --validate-only &&
      fragua eval run --adapter 1 --dataset over-tls --validate-only &&
      fragua export create --adapter 1 --quant f16 --validate-only
  } >"$scratch/tls.log" 2>&1 || { cat "$scratch/tls.log"; fail "the services do not work over TLS"; }
}

refused_without() {
  local said status=0
  said=$(env "${@/#/-u}" .venv/bin/fragua --endpoint "127.0.0.1:$port" --patience 1 branch list 2>&1) || status=$?
  ((status == 4)) || fail "a client without $* is not left standing: $said"
}

download_again() {
  local name
  name=$(.venv/bin/python -c 'import json, sys; print(json.load(open(sys.argv[1]))["export"]["name"])' \
    "$scratch/.fragua/demo/report.json")
  fragua export download "$name" --to "$scratch/again" >"$scratch/again.log" 2>&1 ||
    { cat "$scratch/again.log"; fail "$name cannot be downloaded after a restart"; }
  cmp "$scratch/.fragua/demo/Modelfile" "$scratch/again/Modelfile"
  local file
  for file in "$scratch"/again/*.gguf; do cmp "$file" "$scratch/.fragua/demo/${file##*/}"; done
}

docker version >/dev/null 2>&1 || fail "no Docker engine answers: start one, and set DOCKER_HOST if it is not the default"
docker compose version >/dev/null 2>&1 || fail "docker compose is missing: install Docker's compose plugin"
[[ -x .venv/bin/fragua ]] || fail ".venv/bin/fragua is missing: run make setup"
trap tear_down EXIT
trap 'exit 130' INT TERM

write_settings
stage "checking the compose files" check_files
build_images
stage "checking the images" check_images
stage "starting the stack" start
stage "checking users, file systems and privileges" check_lockdown
stage "checking volumes" check_volumes
stage "checking published ports" check_ports
stage "checking database roles" check_roles
stage "checking the refusal of example passwords" check_example_passwords
start_demo
stage "running the demo until its training is under way, and killing the worker" kill_worker_midway
stage "finishing the demo" finish_demo
stage "restarting the whole stack as production" restart_as_production
stage "checking mutual TLS" check_tls
stage "downloading the model again" download_again
