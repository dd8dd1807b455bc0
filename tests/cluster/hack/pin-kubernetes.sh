#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Pin the Kubernetes control plane to one release.
#
#   hack/pin-kubernetes.sh v1.37.2
#
# k8s.io/kubernetes refers to its staging modules as v0.0.0 and replaces them
# with folders of its own tree, and Go ignores replacements made by a
# dependency.  This script repeats them in our go.mod, each pointing at the
# published module of the same release (v1.37.2 -> v0.37.2).
set -eu
version=${1:?usage: pin-kubernetes.sh vMAJOR.MINOR.PATCH}
staging="v0.${version#v1.}"
cd "$(dirname "$0")/.."

tree=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
sed -n 's|^[[:space:]]*\(k8s.io/[a-z-]*\) => ./staging/.*|\1|p' "$tree" | while read -r module; do
	go mod edit -replace "$module=$module@$staging"
done
go mod edit -require "k8s.io/kubernetes@$version"
go mod tidy
