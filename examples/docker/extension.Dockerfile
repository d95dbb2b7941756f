# The files of rhesis_notify alone, in an image that CloudNativePG mounts beside its own image of
# PostgreSQL 18 or later. Build it in the top directory of a checkout:
#
#   docker build -f examples/docker/extension.Dockerfile -t registry.example.com/rhesis-notify:18-trixie .
#
# It is built in the image that the cluster runs (BASE), with its PostgreSQL, Debian and processor.

ARG PG_MAJOR=18
ARG DEBIAN=trixie
ARG BASE=ghcr.io/cloudnative-pg/postgresql:${PG_MAJOR}-minimal-${DEBIAN}

FROM ${BASE} AS build
ARG PG_MAJOR
USER root
# The libraries that the cluster has anyway.
RUN ldconfig -p | sed -n 's/.* => //p' | sort -u >/tmp/present
RUN apt-get update \
	&& apt-get install -y --no-install-recommends gcc libc6-dev libcurl4-openssl-dev make pkg-config postgresql-server-dev-${PG_MAJOR}
WORKDIR /usr/src/rhesis_notify
COPY . .
ENV PG_CONFIG=/usr/lib/postgresql/${PG_MAJOR}/bin/pg_config
# The library looks for libcurl beside itself, and so does libcurl for what it needs.
RUN make with_llvm=no PG_LDFLAGS="-Wl,--disable-new-dtags,-rpath,'\$\$ORIGIN'" && make install-volume DESTDIR=/volume with_llvm=no
RUN ldd rhesis_notify.so | sed -n 's/.* => \(\/.*\) (.*/\1/p' | sort -u >/tmp/needed \
	&& comm -13 /tmp/present /tmp/needed | xargs -I '{}' cp -L '{}' /volume/lib/

FROM scratch
COPY --from=build /volume/ /
