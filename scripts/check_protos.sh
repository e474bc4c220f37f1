#!/usr/bin/env bash
# Checks that the committed code is what the protos generate, that the protos keep to buf's rules,
# and that they break nobody who was built against the last commit.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "proto-check: $*"; }
die() { echo "proto-check: $*" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

scripts/generate_protos.sh "$scratch/python"
diff --recursive --exclude=__pycache__ "$scratch/python" proto/python ||
  die "proto/python is not what the protos generate: run make proto and commit the result"
say "the generated code is up to date"

buf=node_modules/.bin/buf
if [[ ! -x $buf ]]; then
  buf=$(command -v buf || true)
  if [[ -z $buf ]]; then
    [[ ${CI:-} != true ]] || die "buf is missing: install Node.js with npm, then make node_modules"
    say "SKIPPED buf lint and buf breaking: buf is missing (install Node.js with npm, then make node_modules)"
    exit 0
  fi
fi

"$buf" lint
say "buf lint passed"

# The last commit before what is at hand: HEAD while the protos are being edited, else the one before it.
base=HEAD
[[ -n $(git status --porcelain -- proto 2>/dev/null) ]] || base=HEAD~1
if ! git rev-parse --quiet --verify "$base^{commit}" >/dev/null; then
  say "SKIPPED buf breaking: there is no commit $base to compare with"
elif [[ -z $(git ls-tree -r --name-only "$base" -- proto/fragua) ]]; then
  say "SKIPPED buf breaking: $base has no protos"
else
  mkdir "$scratch/base"
  git archive "$base" proto | tar -x -C "$scratch/base"
  cp buf.yaml "$scratch/base/"
  "$buf" breaking --against "$scratch/base"
  say "buf breaking against $(git rev-parse --short "$base") passed"
fi
