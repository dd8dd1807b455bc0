# SPDX-License-Identifier: Apache-2.0
# The image hyperway:VERSION by a container engine:
#
#   docker build -t hyperway:$(cat VERSION) .
#
# `./dev image` makes one without an engine. Both have the same files in the same places.
FROM debian:bookworm AS build
RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
      g++ cmake ninja-build pkg-config python3 ca-certificates \
      libssl-dev libfmt-dev libspdlog-dev libpoco-dev libre2-dev libsimdjson-dev libyaml-cpp-dev \
      libyaml-dev libnghttp2-dev prometheus-cpp-dev libcurl4-openssl-dev zlib1g-dev
COPY . /source
RUN cmake -S /source -B /build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DHYPERWAY_TESTS=OFF -DCMAKE_INSTALL_PREFIX=/usr && \
    cmake --build /build && DESTDIR=/installed cmake --install /build --strip && \
    # What the image is made of: our files, and the packages that their libraries come from.
    python3 /source/packaging/image.py root --installed /installed --root /root-of-image

FROM scratch
COPY --from=build /root-of-image/ /
USER 65532:65532
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
EXPOSE 9180
ENTRYPOINT ["/hyperway"]
