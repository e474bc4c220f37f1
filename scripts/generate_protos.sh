#!/usr/bin/env bash
# Generates the Python code of every proto into the folder named, by default proto/python, which is committed.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-proto/python}

# Names relative to proto/ are what the generated modules import each other by.
messages=$(cd proto && find fragua -name '*.proto' | sort)
services=$(grep '_service\.proto$' <<<"$messages")
protoc=(.venv/bin/python -m grpc_tools.protoc --proto_path=proto/third_party --proto_path=proto)

# Beside the old code, which stays if a proto does not compile.
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT

# protovalidate ships no buf.validate for google.protobuf, so we carry it; google.rpc comes with googleapis-common-protos.
# shellcheck disable=SC2086
"${protoc[@]}" --python_out="$new" --pyi_out="$new" $messages buf/validate/validate.proto
# shellcheck disable=SC2086
"${protoc[@]}" --plugin=protoc-gen-mypy_grpc=.venv/bin/protoc-gen-mypy_grpc \
  --grpc_python_out="$new" --mypy_grpc_out=quiet:"$new" $services

mkdir -p "$out"
rm -rf "${out:?}/fragua" "$out/buf"
cp -r "$new/fragua" "$new/buf" "$out"
