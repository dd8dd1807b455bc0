#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build a part of what the tests on a cluster need:
#
#   build.sh OUT cluster         OUT/cluster, and OUT/crds-VERSION/ of older definitions of the Gateway API
#   build.sh OUT suite VERSION   OUT/suite-VERSION/: conformance.test, echo-basic, test2json, crds/
#   build.sh OUT helm            OUT/helm, of the version that helm/go.mod names
#   build.sh OUT protocols       OUT/protocols/: what ../protocols tries the gateway with
#
# A Go of 1.26 or newer is on PATH (toolchain.sh finds or fetches one); it fetches the one that all.work names.
set -eu
out=$(mkdir -p "${1:?usage: build.sh OUT cluster|helm|suite}" && cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
# Kubernetes is large: more compilers at once than this need more than 4 GB.
export GOFLAGS="-p=$(nproc | awk '{ print ($1 > 4) ? 4 : $1 }') -buildvcs=false"
export GOTOOLCHAIN=auto
# One list of versions for all, so that what two of them need is compiled once: half of it is Kubernetes.
export GOWORK="$here/all.work"

# Versions of the Gateway API beside those of the suites that are tried (crd_versions_test.py).
definitions="1.1.0 1.4.0 1.6.3"

# copy_definitions MODULE TO: the resource definitions of both channels.
copy_definitions() {
  for channel in standard experimental; do
    rm -rf "${2:?}/$channel"
    mkdir -p "$2/$channel"
    cp "${1:?}/config/crd/$channel"/gateway.*.yaml "$2/$channel/"
    chmod -R u+w "$2/$channel"
  done
}

case ${2-} in
  cluster)
    cd "$here"
    # Clients ask the API server for its version: helm compares it with what a chart wants.
    kubernetes=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
    minor=${kubernetes#v1.}
    about=k8s.io/component-base/version
    go build -ldflags="-s -w -X $about.gitVersion=$kubernetes -X $about.gitMajor=1 -X $about.gitMinor=${minor%%.*}" \
      -o "$out/cluster" .
    # Outside of a module, so that the go command takes any version; it checks what it gets all the same.
    cd /
    for version in $definitions; do
      copy_definitions "$(go mod download -json "sigs.k8s.io/gateway-api@v$version" |
        sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')" "$out/crds-$version"
    done
    ;;
  suite)
    version=${3:?usage: build.sh OUT suite VERSION}
    to=$out/suite-$version
    mkdir -p "$to"
    cd "$here/conformance"
    echo=sigs.k8s.io/gateway-api-conformance-images/echo-basic
    if [ -f "suite-$version.mod" ]; then
      # Our own tests are for the newest suite, and so is the list of versions.
      GOWORK=off
      GOFLAGS="$GOFLAGS -modfile=suite-$version.mod -tags=without_own"
      echo=sigs.k8s.io/gateway-api/conformance/echo-basic
    elif ! grep -q "sigs.k8s.io/gateway-api v$version\$" go.mod; then
      echo "there is no suite $version here: go.mod and suite-*.mod name those there are" >&2
      exit 1
    fi
    go build -ldflags='-s -w' -o "$to/echo-basic" "$echo"
    go test -c -ldflags='-s -w' -o "$to/conformance.test" .
    go build -ldflags='-s -w' -o "$to/test2json" cmd/test2json # of the same Go as the test
    # The resource definitions come from the module that the suite is built with: it
    # compares their version with its own.
    api=$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)
    copy_definitions "$api" "$to/crds"
    ;;
  helm)
    cd "$here/helm"
    go build -ldflags='-s -w' -o "$out/helm" helm.sh/helm/v4/cmd/helm
    ;;
  protocols)
    to=$out/protocols
    mkdir -p "$to"
    cd "$here/../protocols"
    go build -ldflags='-s -w' -o "$to/h2spec" github.com/summerwind/h2spec/cmd/h2spec
    go build -ldflags='-s -w' -o "$to/grpc_client" google.golang.org/grpc/interop/client
    go build -ldflags='-s -w' -o "$to/grpc_server" google.golang.org/grpc/interop/server
    go build -ldflags='-s -w' -o "$to/ws_server" github.com/gorilla/websocket/examples/autobahn
    # Without the tag its HTTP/2 is net/http's, which sends no extended CONNECT.
    go build -tags http2legacy -ldflags='-s -w' -o "$to/ws_bridge" ./ws_bridge
    go build -ldflags='-s -w' -o "$to/ext_authz" ./ext_authz
    go build -ldflags='-s -w' -o "$to/ws_client" ./ws_client
    rm -rf "$to/python"
    /usr/bin/python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
      --no-deps --require-hashes --target "$to/python" -r python-requirements.txt
    ;;
  *)
    echo "usage: build.sh OUT cluster|helm|protocols|suite VERSION" >&2
    exit 2
    ;;
esac
