# rhesis_notify: built with PGXS.
#
#   make, make install        build and install for the PostgreSQL of PG_CONFIG
#   make test                 build and run every test (installs what is missing through apt)
#   make test-versions        the same on PostgreSQL 15, 17 and 18, each in a Debian of its own (VERSIONS="17" picks some)
#   make test-celery          the Celery example alone, with the Celery, SQLAlchemy and driver of each of these Debians
#   make test-sanitized       the tests with servers once more, all under AddressSanitizer and UndefinedBehaviorSanitizer
#   make test-loaded          each suite of SUITES while both cores are busy, until it has passed three times in a row
#   make test-guide           do what the installing pages say, as written, on a fresh Debian, and the demo (PG=17: on a newer one)
#   make soak                 the long loops: kills over a large backlog
#   make fuzz SECONDS=3600    the fuzz targets for longer
#   make demo                 see it work (KEEP=1 leaves it running, until make demo-stop)
#   make bench                how fast it is, beside its peers (QUICK=1: a short look; SCENARIOS="throughput ...": those alone)
#   make bench-profile        what a mail costs the worker, by function (COMPARE="before=STAGE now=build/stage": several, by turns)
#   make bench-versions       throughput, latency and a task's cost of several versions, by turns (COMPARE="before=STAGE now=build/stage")
#   make bench-render         how long a mail takes to render, beside other template engines
#   make installcheck         SQL tests against an installed, running server
#   make stage                a private copy of PostgreSQL with the extension, under build/stage

EXTENSION = rhesis_notify
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" rhesis_notify.control 2>/dev/null)
MODULE_big = rhesis_notify
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
DATA_built = sql/rhesis_notify--$(EXTVERSION).sql
# The scripts of released versions are kept, and those that update to the next one.
DATA = $(filter-out $(DATA_built),$(wildcard sql/rhesis_notify--*.sql))
DOCS = README.md

PG_CONFIG ?= pg_config
CURL_CONFIG ?= curl-config

# ---- Where this cannot be built ----

lparen := (
rparen := )
UNFIT := $(strip $(if $(filter-out 1,$(words x$(CURDIR)x)),blanks) \
	$(foreach character,' " ` $$ & ; | < > * ? [ ] { } ! \ : = % \#,$(findstring $(character),$(CURDIR))) \
	$(if $(findstring $(lparen),$(CURDIR))$(findstring $(rparen),$(CURDIR)),parentheses))
ifneq ($(UNFIT),)
$(error the name of the directory $(CURDIR) has $(UNFIT) in it, which make and the tests cannot cope with: use a directory of another name)
endif
ifneq ($(realpath $(lastword $(MAKEFILE_LIST))),$(realpath $(CURDIR)/Makefile))
$(error this builds in the directory of its sources: run make -C $(dir $(lastword $(MAKEFILE_LIST))))
endif
ifneq ($(USE_VPATH)$(VPATH),)
$(error this builds in the directory of its sources: VPATH and USE_VPATH are not supported)
endif

# What comes without building.
NOT_BUILDING = clean distclean maintainer-clean demo-stop
# Where nothing is installed yet, these begin with the packages.
INSTALLING = test test-versions test-celery test-sanitized test-loaded test-guide demo bench bench-profile bench-versions bench-render
BUILDING := $(filter-out $(NOT_BUILDING),$(or $(MAKECMDGOALS),all))

PG_VERSION := $(shell $(PG_CONFIG) --version 2>/dev/null)
PG_MAJOR := $(shell echo '$(PG_VERSION)' | sed -n 's/[^0-9]*\([0-9]*\).*/\1/p')
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
# 7.87.0, as a hexadecimal number has it.
CURL_VERSION := $(shell $(CURL_CONFIG) --version 2>/dev/null)
CURL_IS_OLD := $(shell v=`$(CURL_CONFIG) --vernum 2>/dev/null` && test $$((0x0$$v)) -lt $$((0x075700)) && echo yes)

ifneq ($(BUILDING),)
ifneq ($(PG_MAJOR),)
ifeq ($(shell test $(PG_MAJOR) -lt 15 && echo yes),yes)
$(error $(PG_VERSION) is too old, it has to be 15 or newer: set PG_CONFIG to the pg_config of a newer one)
endif
endif
ifeq ($(CURL_IS_OLD),yes)
$(error $(CURL_VERSION) is too old, it has to be 7.87.0 or newer: set CURL_CONFIG to the curl-config of a newer one)
endif
endif

ifneq ($(filter-out $(INSTALLING),$(BUILDING)),)
ifeq ($(PGXS),)
$(error PostgreSQL's headers are missing: install the package $(if $(PG_MAJOR),postgresql-server-dev-$(PG_MAJOR),postgresql-server-dev-all), or set PG_CONFIG)
endif
ifeq ($(CURL_VERSION),)
$(error libcurl's headers are missing: install the package libcurl4-openssl-dev, or set CURL_CONFIG)
endif
endif

# ---- Whose files these are ----

OWNERSHIP := $(shell test/ownership check)
ifneq ($(filter ERROR:,$(OWNERSHIP)),)
$(error $(wordlist 2,99,$(OWNERSHIP)))
endif
ifeq ($(OWNERSHIP),root)

# Root in somebody's checkout: all that follows is done by a make below this one, and its files are given to the owner in the end.
.PHONY: hand-back $(or $(MAKECMDGOALS),all)
$(or $(MAKECMDGOALS),all): hand-back
	@:

hand-back:
	@+test/ownership run $(MAKE) --no-print-directory $(MAKECMDGOALS)

else

# ---- Packages ----

# Debian packages: to build, and to run the tests and the demo. Of PostgreSQL the version that PG_CONFIG belongs to, else Debian's own.
INCLUDEDIR_SERVER := $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)
SERVER_HEADERS = $(wildcard $(INCLUDEDIR_SERVER)/postgres.h)
BUILD_PACKAGES = gcc make pkg-config libcurl4-openssl-dev $(if $(SERVER_HEADERS),,postgresql-server-dev-all)
TEST_PACKAGES = postgresql-$(PG_MAJOR) postgresql-$(PG_MAJOR)-pgtap libtap-parser-sourcehandler-pgtap-perl \
	python3-sqlalchemy python3-psycopg python3-psycopg2 python3-celery python3-redis redis-server \
	alembic python3-django python3-fastapi python3-uvicorn \
	libipc-run-perl perl postfix libsasl2-modules sasl2-bin openssl libssl-dev python3 iproute2 clang clang-format libclang-rt-dev valgrind \
	chromium fonts-liberation fonts-noto-core fonts-noto-color-emoji \
	prometheus prometheus-postgres-exporter debootstrap
BENCH_RENDER_PACKAGES = postgresql-$(PG_MAJOR) python3 python3-jinja2
# smtp-source is Postfix's.
BENCH_PACKAGES = postgresql-$(PG_MAJOR) postfix openssl libssl-dev python3 python3-psycopg2 python3-matplotlib
BENCH_PROFILE_PACKAGES = postgresql-$(PG_MAJOR) libssl-dev python3 python3-psycopg2 linux-perf
LOADED_PACKAGES = stress-ng
SANITIZED_PACKAGES = bzip2 libssl-dev zlib1g-dev
DEBIAN_PACKAGES = debootstrap util-linux python3-yaml
DEMO_PACKAGES = postgresql-$(PG_MAJOR) openssl python3

# Node runs the template engines that ours is tested and measured beside, and the validation of the manifests. What brings npm along with it needs no package npm.
NODE_PACKAGES = $(if $(shell command -v npm),,nodejs npm)

# kubectl may come from elsewhere, too.
KUBECTL_PACKAGES = $(if $(shell command -v kubectl),,kubernetes-client)

# System headers: warnings in them are not ours to mend.
PG_CPPFLAGS = -DRHESIS_NOTIFY_VERSION=\"$(EXTVERSION)\" -iquote $(or $(srcdir),.)/src -isystem $(INCLUDEDIR_SERVER) $(shell $(CURL_CONFIG) --cflags 2>/dev/null)
# PGXS hands on options of the compiler that PostgreSQL was built with; clang does not know all of gcc's.
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter $(if $(WERROR),-Werror) \
	$(if $(findstring clang,$(CC)),-Wno-ignored-optimization-argument -Wno-unknown-warning-option)
SHLIB_LINK = $(shell $(CURL_CONFIG) --libs 2>/dev/null) -Wl,--version-script=$(or $(srcdir),.)/src/exports.map

REGRESS_OPTS = --inputdir=test --outputdir=build --load-extension=rhesis_notify
REGRESS_PREP = build/results
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
EXTRA_CLEAN = build

ifneq ($(PGXS),)
include $(PGXS)
else
# Without PGXS this is all there is to remove.
.PHONY: clean
clean:
	rm -rf build rhesis_notify.so src/*.o src/*.bc src/*/*.o src/*/*.bc $(DATA_built)
endif

# The directory's own time says that a file was removed.
sql/rhesis_notify--$(EXTVERSION).sql: sql/rhesis_notify.sql templates $(wildcard templates/*) sql/build-install-script
	sql/build-install-script $< templates > $@

MADE_FOR = build/made-for
MADE_OF = $(OBJS)
DEPENDENCIES = build/dependencies
include test/made-for.mk

# The version is compiled in.
$(OBJS): rhesis_notify.control $(MADE_FOR)
rhesis_notify.so: src/exports.map

# An object is there as a whole or not at all: a make that was killed, or that runs beside this one, leaves none to be linked that
# is half written ("file too short").
src/%.o: src/%.c
	@mkdir -p $(dir $(DEPENDENCIES)/$*)
	$(CC) $(CFLAGS) $(CPPFLAGS) -MMD -MP -MT $@ -MT $(@:.o=.bc) -MF $(DEPENDENCIES)/$*.d -c $< -o $@.$$$$ && mv $@.$$$$ $@

# The headers that each object was compiled with, as the compiler has noted them. Where that is not known, the object is made anew.
.PHONY: unknown-headers
$(foreach object,$(OBJS),$(if $(wildcard $(object:src/%.o=$(DEPENDENCIES)/%.d)),,$(object))): unknown-headers
-include $(wildcard $(OBJS:src/%.o=$(DEPENDENCIES)/%.d))

build/results:
	mkdir -p $@

# A private copy of PostgreSQL with the extension in it: tests and demo never touch the system's installation.
# PostgreSQL finds its files relative to its programs, so a copy of both trees works from anywhere.
STAGE = $(CURDIR)/build/stage
# All processors, unless make was told otherwise.
AT_ONCE = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: stage
stage:
	test/stage-postgresql "$(PG_CONFIG)" "$(STAGE)"
	$(MAKE) $(AT_ONCE) all with_llvm=no
	$(MAKE) install DESTDIR="$(STAGE)" with_llvm=no
	for module in test/modules/*/; do $(MAKE) -C $$module install DESTDIR="$(STAGE)" with_llvm=no || exit 1; done

# test/run says what it needs and how to run a part of it. The second make sees the packages that the first has installed.
.PHONY: test
test:
	test/install-packages $(BUILD_PACKAGES)
	$(MAKE) --no-print-directory test-installed

.PHONY: test-installed
test-installed:
	test/install-packages $(TEST_PACKAGES) $(NODE_PACKAGES) $(KUBECTL_PACKAGES)
	@mkdir -p build/test
	@echo 'Building (build/test/stage.log, npm.log)'
	@$(MAKE) stage WERROR=1 >build/test/stage.log 2>&1 || { cat build/test/stage.log; exit 1; }
	@$(MAKE) --no-print-directory $(patsubst %,%/node_modules/.package-lock.json,test/differential test/manifests) >build/test/npm.log 2>&1 || { cat build/test/npm.log; exit 1; }
	@PG_CONFIG=$(PG_CONFIG) test/run $(SUITES)

# SQL tests and whole servers once more, in a PostgreSQL that is built with sanitizers, as is then all that it loads. The build of
# it is kept; a copy of the sources is compiled, so that the objects here stay as they are. What pg_config has allocated when it
# ends is no leak.
SANITIZED = $(CURDIR)/build/sanitized
SANITIZED_PG_CONFIG = $(SANITIZED)/postgresql-$(PG_MAJOR)/bin/pg_config

.PHONY: test-sanitized
test-sanitized:
	test/install-packages $(BUILD_PACKAGES)
	$(MAKE) --no-print-directory test-sanitized-installed

.PHONY: test-sanitized-installed
test-sanitized-installed:
	test/install-packages $(TEST_PACKAGES) $(SANITIZED_PACKAGES)
	@mkdir -p $(SANITIZED)
	@echo 'Building (build/sanitized/build.log)'
	@export ASAN_OPTIONS=detect_leaks=0; \
	{ test/build-sanitized-postgresql $(PG_MAJOR) $(SANITIZED)/postgresql-$(PG_MAJOR) && \
		test/copy-sources . $(SANITIZED)/source && \
		$(MAKE) -C $(SANITIZED)/source stage WERROR=1 PG_CONFIG=$(SANITIZED_PG_CONFIG) STAGE=$(SANITIZED)/stage && \
		cp $(shell $(PG_CONFIG) --sharedir)/extension/pgtap* "$(SANITIZED)/stage$$($(SANITIZED_PG_CONFIG) --sharedir)/extension/"; \
	} >$(SANITIZED)/build.log 2>&1 || { tail -n 50 $(SANITIZED)/build.log; exit 1; }
	@PG_CONFIG=$(SANITIZED_PG_CONFIG) test/run --sanitized $(SUITES)

# What the package-lock.json beside it names. npm writes this file when all of it is there.
%/node_modules/.package-lock.json: %/package-lock.json
	npm ci --no-audit --no-fund --prefix $*
	touch $@

# test/loaded says what it does.
ROUNDS ?= 3

.PHONY: test-loaded
test-loaded:
	test/install-packages $(BUILD_PACKAGES)
	$(MAKE) --no-print-directory test-loaded-installed

.PHONY: test-loaded-installed
test-loaded-installed:
	test/install-packages $(TEST_PACKAGES) $(LOADED_PACKAGES) $(NODE_PACKAGES) $(KUBECTL_PACKAGES)
	@mkdir -p build/test
	@echo 'Building (build/test/stage.log)'
	@$(MAKE) stage WERROR=1 >build/test/stage.log 2>&1 || { cat build/test/stage.log; exit 1; }
	@$(MAKE) --no-print-directory $(patsubst %,%/node_modules/.package-lock.json,test/differential test/manifests) >build/test/npm.log 2>&1 || { cat build/test/npm.log; exit 1; }
	@PG_CONFIG=$(PG_CONFIG) TESTS="$(TESTS)" ROUNDS=$(ROUNDS) test/loaded $(SUITES)

# test/versions says what it does. The Debians are kept outside the checkout.
VERSIONS = 15 17 18
ROOTS = /var/cache/rhesis_notify

.PHONY: test-versions
test-versions:
	test/install-packages $(DEBIAN_PACKAGES)
	@SUITES="$(SUITES)" TESTS="$(TESTS)" test/versions $(ROOTS) $(VERSIONS)

# Of these tests the Celery example's: bookworm has Celery 5.2, SQLAlchemy 1.4 and psycopg2, trixie Celery 5.5, SQLAlchemy 2 and psycopg 3.
.PHONY: test-celery
test-celery:
	@$(MAKE) --no-print-directory test-versions SUITES=servers TESTS=celery

# What the installing pages say, as written, on a Debian that is made for it.
.PHONY: test-guide
test-guide:
	test/install-packages $(DEBIAN_PACKAGES)
	test/guide/run $(ROOTS) $(PG)

# What takes too long to be done each time.
.PHONY: soak
soak: stage
	test/install-packages $(TEST_PACKAGES)
	@PG_CONFIG=$(PG_CONFIG) RHESIS_SOAK=1 TESTS=kill_loop test/run servers && grep "^# " build/test/servers.log

# bench/run says what it does.
.PHONY: bench
bench:
	@test/install-packages $(BUILD_PACKAGES)
	@$(MAKE) --no-print-directory bench-installed

.PHONY: bench-installed
bench-installed:
	@test/install-packages $(BENCH_PACKAGES) $(NODE_PACKAGES)
	@mkdir -p build/bench
	@echo 'Building (build/bench/build.log)'
	@{ $(MAKE) stage && $(MAKE) bench/peers/node_modules/.package-lock.json && $(MAKE) -C bench/sink && $(MAKE) -C bench/peers; } >build/bench/build.log 2>&1 || \
		{ cat build/bench/build.log; exit 1; }
	@PG_CONFIG=$(PG_CONFIG) QUICK=$(QUICK) bench/run $(SCENARIOS)

# bench/profile says what it does.
.PHONY: bench-profile
bench-profile:
	@test/install-packages $(BUILD_PACKAGES)
	@$(MAKE) --no-print-directory bench-profile-installed

.PHONY: bench-profile-installed
bench-profile-installed:
	@test/install-packages $(BENCH_PROFILE_PACKAGES)
	@mkdir -p build/bench
	@echo 'Building (build/bench/build.log)'
	@{ $(MAKE) stage && $(MAKE) -C bench/sink; } >build/bench/build.log 2>&1 || { cat build/bench/build.log; exit 1; }
	@PG_CONFIG=$(PG_CONFIG) bench/profile $(COMPARE)

# bench/versions says what it does.
.PHONY: bench-versions
bench-versions:
	@test/install-packages $(BUILD_PACKAGES)
	@$(MAKE) --no-print-directory bench-versions-installed

.PHONY: bench-versions-installed
bench-versions-installed:
	@test/install-packages $(BENCH_PACKAGES)
	@mkdir -p build/bench
	@echo 'Building (build/bench/build.log)'
	@{ $(MAKE) stage && $(MAKE) -C bench/sink; } >build/bench/build.log 2>&1 || { cat build/bench/build.log; exit 1; }
	@PG_CONFIG=$(PG_CONFIG) bench/versions $(COMPARE)

# bench/render/run says what it does.
.PHONY: bench-render
bench-render:
	@test/install-packages $(BUILD_PACKAGES)
	@$(MAKE) --no-print-directory bench-render-installed

.PHONY: bench-render-installed
bench-render-installed:
	@test/install-packages $(BENCH_RENDER_PACKAGES) $(NODE_PACKAGES)
	@mkdir -p build/bench
	@echo 'Building (build/bench/build.log)'
	@{ $(MAKE) stage && $(MAKE) bench/render/node_modules/.package-lock.json && $(MAKE) -C bench/render; } >build/bench/build.log 2>&1 || \
		{ cat build/bench/build.log; exit 1; }
	@PG_CONFIG=$(PG_CONFIG) bench/render/run

# Each fuzz target for as long as one likes: make fuzz SECONDS=3600
.PHONY: fuzz
fuzz:
	$(MAKE) -C test/fuzz run $(if $(SECONDS),SECONDS=$(SECONDS))

# demo/run says what it does.
.PHONY: demo
demo:
	@test/install-packages $(BUILD_PACKAGES)
	@$(MAKE) --no-print-directory demo-installed

.PHONY: demo-installed
demo-installed:
	@test/install-packages $(DEMO_PACKAGES)
	@PG_CONFIG=$(PG_CONFIG) demo/run $(if $(KEEP),--keep)

.PHONY: demo-stop
demo-stop:
	@demo/run --stop

endif
