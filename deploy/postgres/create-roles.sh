#!/usr/bin/env bash
# Gives each service a role and a schema of its own in the one database: it may do what it likes there, and sees no
# other. Runs on every start and may run again at any time, so a password changed in the settings takes effect.
# The usual PG… variables say where the server is; <SERVICE>_DB_PASSWORD are the passwords.
set -euo pipefail

roles=(dataset trainer evaluator exporter)

refuse_published_passwords() {
  [[ ${FRAGUA_ENVIRONMENT:-production} != dev ]] || return 0
  local variable
  for variable in PGPASSWORD "${roles[@]/%/_db_password}"; do
    variable=${variable^^}
    [[ ${!variable} != *change-me* ]] || {
      echo "create-roles: $variable is a published example password; set one of your own, or FRAGUA_ENVIRONMENT=dev" >&2
      exit 1
    }
  done
}

run_sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --single-transaction --output /dev/null "$@"; }

close_to_everybody() {
  run_sql -v database="$PGDATABASE" <<'SQL'
-- What PostgreSQL allows every role by default.
REVOKE ALL ON DATABASE :"database", postgres, template1 FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
SQL
}

create_role() {
  local password=${1^^}_DB_PASSWORD
  run_sql -v database="$PGDATABASE" -v role="$1" -v password="${!password}" <<'SQL'
SET LOCAL client_min_messages = warning;
SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE SCHEMA IF NOT EXISTS :"role" AUTHORIZATION :"role";
GRANT CONNECT ON DATABASE :"database" TO :"role";
-- Table names are not qualified in the code: this is what leads each service to its own.
ALTER ROLE :"role" IN DATABASE :"database" SET search_path = :"role";
SQL
}

refuse_published_passwords
close_to_everybody
for role in "${roles[@]}"; do create_role "$role"; done
