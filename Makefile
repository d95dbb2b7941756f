# rhesis_notify: built with PGXS.
#
#   make, make install        build and install for the PostgreSQL of PG_CONFIG
#   make test                 build and run every test (installs what is missing through apt)
#   make demo                 see it work (KEEP=1 leaves it running)
#   make installcheck         SQL tests against an installed, running server
#   make stage                a private copy of PostgreSQL with the extension, under build/stage

EXTENSION = rhesis_notify
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" rhesis_notify.control)
MODULE_big = rhesis_notify
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
DATA_built = sql/rhesis_notify--$(EXTVERSION).sql
DATA = $(wildcard sql/rhesis_notify--*--*.sql)
DOCS = README.md

# Debian packages: to build, and to run the tests and the demo.
BUILD_PACKAGES = gcc make pkg-config postgresql-server-dev-all libcurl4-openssl-dev
TEST_PACKAGES = postgresql postgresql-15-pgtap libtap-parser-sourcehandler-pgtap-perl libipc-run-perl \
	postfix libsasl2-modules sasl2-bin openssl python3 clang clang-format libclang-rt-14-dev

PG_CONFIG ?= pg_config
CURL_CONFIG ?= curl-config

# System headers: warnings in them are not ours to mend.
PG_CPPFLAGS = -DRHESIS_NOTIFY_VERSION=\"$(EXTVERSION)\" -isystem $(shell $(PG_CONFIG) --includedir-server) $(shell $(CURL_CONFIG) --cflags)
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter $(if $(WERROR),-Werror)
SHLIB_LINK = $(shell $(CURL_CONFIG) --libs)

REGRESS_OPTS = --inputdir=test --outputdir=build --load-extension=rhesis_notify
REGRESS_PREP = build/results
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
EXTRA_CLEAN = build

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

sql/rhesis_notify--$(EXTVERSION).sql: sql/rhesis_notify.sql $(wildcard templates/*) sql/build-install-script
	sql/build-install-script $< templates > $@

$(OBJS): $(wildcard src/*.h)

build/results:
	mkdir -p $@

# A private copy of PostgreSQL with the extension in it: tests and demo never touch the system's installation.
# PostgreSQL finds its files relative to its programs, so a copy of both trees works from anywhere.
STAGE = $(CURDIR)/build/stage
STAGE_BINDIR = $(STAGE)$(shell $(PG_CONFIG) --bindir)

.PHONY: stage
stage:
	test -x $(STAGE_BINDIR)/postgres || test/stage-postgresql "$(PG_CONFIG)" "$(STAGE)"
	$(MAKE) all install DESTDIR=$(STAGE) with_llvm=no
	for module in test/modules/*/; do $(MAKE) -C $$module install DESTDIR=$(STAGE) with_llvm=no || exit 1; done
