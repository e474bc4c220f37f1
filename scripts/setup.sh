#!/usr/bin/env bash
# Builds .venv with the pinned dependencies and the suite's own packages, editable. `make setup` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3.11}
processor=$({ grep -m1 '^flags' /proc/cpuinfo || sysctl -n machdep.cpu.brand_string || uname -m; } 2>/dev/null | cksum)
llama_wheels=${XDG_CACHE_HOME:-$HOME/.cache}/fragua/wheels/$(uname -m)-${processor%% *}
packages=(proto libs/platform services/dataset services/trainer services/evaluator services/exporter)

die() { echo "setup: $*" >&2; exit 1; }
pinned() { sed -n "s/^\($1==[^ ]*\).*/\1/p" constraints.txt; }
live() { "$python" scripts/live.py "$@"; }

require_python() {
  command -v "$python" >/dev/null || die "$python is missing. Install Python 3.11 (Debian: python3.11 and" \
    "python3.11-venv; macOS: brew install python@3.11), or name it: make setup PYTHON=/path/to/python3.11"
  "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || die "$python is not Python 3.11"
}

make_environment() {
  if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    "$python" -m venv --clear .venv || die "$python cannot make a virtual environment (Debian: apt-get install python3.11-venv)"
  fi
  # Dependency groups came with pip 25.1.
  live "updating pip" -- .venv/bin/python -m pip install "$(pinned pip)"
}

# First and by itself, so that nothing that asks for "torch" brings another version. Where pip can reach PyTorch's
# CPU build (by PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL) it takes that one; the ordinary one works, too, and is larger.
install_torch() {
  live "installing PyTorch" -- .venv/bin/python -m pip install -c constraints.txt "$(pinned torch)"
}

# llama-cpp-python comes as source only: compiled once for this processor, with every core, and kept.
build_llama() {
  [[ -z $(llama_wheel) ]] || return 0
  mkdir -p "$llama_wheels"
  CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(getconf _NPROCESSORS_ONLN)} \
    live "compiling llama.cpp, once, some minutes" -- .venv/bin/python -m pip wheel --verbose --no-deps \
    --wheel-dir "$llama_wheels" "$(pinned llama-cpp-python)"
}

llama_wheel() {
  local requirement
  requirement=$(pinned llama-cpp-python)
  find "$llama_wheels" -name "llama_cpp_python-${requirement#*==}-*.whl" 2>/dev/null | head -1
}

has_compiler() {
  local c=${CC:-} cxx=${CXX:-}
  c=${c:-$(command -v cc || command -v gcc || command -v clang || true)}
  cxx=${cxx:-$(command -v c++ || command -v g++ || command -v clang++ || true)}
  [[ -n $c && -n $cxx ]]
}

require_compiler() {
  has_compiler && return 0
  if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    live "installing a C and C++ compiler" -- sh -c \
      "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends gcc g++ libc6-dev"
  fi
  has_compiler || die "llama.cpp needs a C and a C++ compiler. Install one (Debian, Ubuntu:" \
    "apt-get install build-essential; Fedora: dnf install gcc gcc-c++; macOS: xcode-select --install) and try again."
}

install_packages() {
  local editable=() package
  for package in "${packages[@]}"; do editable+=(--editable "$package"); done
  # The build backend first: with it at hand the seven packages need no build environment each.
  live "installing build tools" -- .venv/bin/python -m pip install -c constraints.txt hatchling editables
  live "installing Fragua and its dependencies" -- .venv/bin/python -m pip install -c constraints.txt \
    --no-build-isolation --find-links "$llama_wheels" --group dev "${editable[@]}" --editable "cli[up]"
}

# What a person has to install is told before anything large is downloaded.
require_python
[[ -n $(llama_wheel) ]] || require_compiler
make_environment
install_torch
build_llama
install_packages
.venv/bin/python -m pip check
