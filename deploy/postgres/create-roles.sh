#!/usr/bin/env bash
# Gives each service a role and a schema of its own in the one database. The server's image runs it once, when it
# initialises an empty volume. A role may do what it likes in its schema and can see no other.
set -euo pipefail

create_role() {
  local role=$1 password=$2
  if [[ ${FRAGUA_ENVIRONMENT:-production} != dev && $password == *change-me* ]]; then
    echo "create-roles: the password of $role is a published example; set one of your own, or FRAGUA_ENVIRONMENT=dev" >&2
    exit 1
  fi
  psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet -U "$POSTGRES_USER" -d "$POSTGRES_DB" \
    -v role="$role" -v password="$password" -v database="$POSTGRES_DB" <<'SQL'
CREATE ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE SCHEMA :"role" AUTHORIZATION :"role";
GRANT CONNECT ON DATABASE :"database" TO :"role";
-- The tables' names are not qualified in the code: this is what sends each service to its own.
ALTER ROLE :"role" IN DATABASE :"database" SET search_path = :"role";
SQL
}

# What PostgreSQL allows everybody by default.
psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet -U "$POSTGRES_USER" -d "$POSTGRES_DB" -v database="$POSTGRES_DB" <<'SQL'
REVOKE ALL ON DATABASE :"database", postgres, template1 FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
SQL

create_role dataset "$DATASET_DB_PASSWORD"
create_role trainer "$TRAINER_DB_PASSWORD"
create_role evaluator "$EVALUATOR_DB_PASSWORD"
create_role exporter "$EXPORTER_DB_PASSWORD"
