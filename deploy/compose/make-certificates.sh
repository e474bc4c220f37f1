#!/usr/bin/env bash
# Makes what production.yml asks for: an authority of your own, a certificate for each service, and one for clients.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: make-certificates.sh FOLDER [NAME...]

FOLDER gets, and only its owner may enter it:
  ca.crt ca.key                             the authority, made once and then kept; keep ca.key somewhere safe
  services/<service>/{ca.crt,tls.crt,tls.key}
                                            for dataset, trainer, evaluator and exporter: FRAGUA_TLS_DIR is FOLDER/services
  client/{ca.crt,tls.crt,tls.key}           for the fragua command and other clients

Each service's certificate holds for the service's name, localhost, 127.0.0.1, and each NAME: the host names or IP
addresses by which clients call. Run it again for other names, or before the certificates end (after a year), and
recreate the containers.
HELP
}

services=(dataset trainer evaluator exporter)
authority_days=3650
certificate_days=365

die() { echo "make-certificates: $*" >&2; exit 1; }

# The version 3 extensions decide what a certificate is good for.
write_extensions() {
  local purposes=$1 name
  shift
  echo "basicConstraints = critical, CA:false"
  echo "keyUsage = critical, digitalSignature"
  echo "extendedKeyUsage = $purposes"
  for name in "$@"; do
    if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then echo "IP:$name"; else echo "DNS:$name"; fi
  done | paste -sd, | sed -n 's/^./subjectAltName = &/p'
}

make_authority() {
  [[ -e ca.key ]] && return 0
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "$authority_days" \
    -subj "/CN=Fragua authority" -addext "keyUsage = critical, keyCertSign, cRLSign" \
    -keyout ca.key -out ca.crt 2>"$log" || die "openssl cannot make the authority: $(<"$log")"
  chmod 600 ca.key
}

# make_certificate FOLDER COMMON_NAME PURPOSES [NAME...]
make_certificate() {
  local folder=$1 common_name=$2
  shift 2
  mkdir -p "$folder"
  write_extensions "$@" >"$scratch/extensions"
  { openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$common_name" \
      -keyout "$scratch/tls.key" -out "$scratch/request" &&
    openssl x509 -req -in "$scratch/request" -CA ca.crt -CAkey ca.key -days "$certificate_days" \
      -extfile "$scratch/extensions" -out "$scratch/tls.crt"
  } 2>"$log" || die "openssl cannot make the certificate of $common_name: $(<"$log")"
  cp ca.crt "$folder/ca.crt"
  mv "$scratch/tls.key" "$scratch/tls.crt" "$folder/"
}

case ${1:-} in '') usage >&2; exit 2 ;; -h | --help) usage; exit 0 ;; esac
command -v openssl >/dev/null || die "openssl is missing: install the package openssl"
umask 077
mkdir -p "$1"
cd "$1"
shift
scratch=$(mktemp -d .new.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
log=$scratch/log

make_authority
for service in "${services[@]}"; do
  make_certificate "services/$service" "$service" "serverAuth, clientAuth" "$service" localhost 127.0.0.1 "$@"
done
make_certificate client fragua-client clientAuth
# The containers' user 10001 reads the services' keys. On this machine the folder above lets nobody but its owner in.
chmod 700 .
chmod -R a+rX services
