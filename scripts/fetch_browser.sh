#!/usr/bin/env bash
# Finds the Chromium that tests look at our pages with, or installs Debian's through apt where this may be done (root).
# It has a hundred libraries, so it cannot be fetched without being installed. Not needed by anything but tests: its
# absence stops nobody, and in CI the tests that need it fail.
set -euo pipefail

say() { echo "fetch-browser: $*" >&2; }

usable() {
  local candidate
  command -v chromedriver >/dev/null || return 1
  for candidate in chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
    if command -v "$candidate" >/dev/null; then
      echo "$candidate ($(chromedriver --version | cut -d' ' -f1,2))"
      return 0
    fi
  done
  return 1
}

installable() {
  # shellcheck source=/dev/null
  [[ ! -r /etc/os-release ]] || . /etc/os-release
  # Ubuntu's packages of these names are empty: they install a snap.
  [[ ${ID:-} == debian && $(id -u) == 0 ]] && command -v apt-get >/dev/null
}

if found=$(usable); then say "browser: $found"; exit 0; fi
if installable; then
  say "installing chromium and chromium-driver"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends \
    chromium chromium-driver fonts-liberation; } >"$log" 2>&1 || { cat "$log" >&2; }
fi
if found=$(usable); then say "browser: $found"; exit 0; fi
say "Chromium and its driver are missing; the tests of the report's page are skipped, and fail in CI." \
  "Install them (Debian: apt-get install chromium chromium-driver; Arch: package chromium; Fedora: chromium and" \
  "chromedriver; macOS: brew install --cask google-chrome chromedriver) so that both are on PATH."
