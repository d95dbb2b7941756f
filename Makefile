# rhesis_notify: built with PGXS.
#
#   make, make install        build and install for the PostgreSQL of PG_CONFIG
#   make debug                the same build without optimization and with assertions; make install DEBUG_BUILD=1 installs it
#   make test                 build and run every test (installs what is missing through apt)
#   make test-versions        the same on PostgreSQL 15, 17, 18 and 19, each in a Debian of its own (VERSIONS="17" picks some)
#   make test-celery          the Celery example alone, with the Celery, SQLAlchemy and driver of each of these Debians
#   make test-sanitized       the tests with servers once more, all under AddressSanitizer and UndefinedBehaviorSanitizer
#   make test-loaded          each suite of SUITES while both cores are busy, until it has passed three times in a row
#   make test-guide           do what the installing pages say, as written, on a fresh Debian, and the demo (PG=17: on a newer one)
#   make soak                 the long loops: kills over a large backlog
#   make lint                 check the layout of src/, and every source with clang-format, shellcheck, perlcritic and pyflakes3
#   make fuzz SECONDS=3600    the fuzz targets for longer
#   make demo                 see it work (KEEP=1 leaves it running, until make demo-stop)
#   make bench                how fast it is, beside its peers (QUICK=1: a short look; SCENARIOS="throughput ...": those alone)
#   make bench-profile        what a mail costs the worker, by function (COMPARE="before=STAGE now=build/stage": several, by turns)
#   make bench-versions       throughput, latency and a task's cost of several versions, by turns (COMPARE="before=STAGE now=build/stage")
#   make bench-render         how long a mail takes to render, beside other template engines
#   make installcheck         SQL tests against an installed, running server
#   make stage                a private copy of PostgreSQL with the extension, under build/stage
#   make dist                 what PGXN takes: build/dist/rhesis_notify-VERSION.zip of the last commit (REPOSITORY=https://... names its home)

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
NOT_BUILDING = clean distclean maintainer-clean demo-stop lint dist
# Where nothing is installed yet, these begin with the packages: a first make installs what building needs, a second one sees it.
INSTALLING_FIRST = test test-sanitized test-loaded demo bench bench-profile bench-versions bench-render
INSTALLING = $(INSTALLING_FIRST) test-versions test-celery test-guide
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

ifneq ($(filter-out $(if $(RHESIS_PACKAGES),,$(INSTALLING)),$(BUILDING)),)
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

# Debian packages to build. Of PostgreSQL the version that PG_CONFIG belongs to, else Debian's own.
INCLUDEDIR_SERVER := $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)
SERVER_HEADERS = $(wildcard $(INCLUDEDIR_SERVER)/postgres.h)
BUILD_PACKAGES = gcc make pkg-config libcurl4-openssl-dev $(if $(SERVER_HEADERS),,postgresql-server-dev-all)

ifneq ($(and $(filter $(INSTALLING_FIRST),$(BUILDING)),$(if $(RHESIS_PACKAGES),,first)),)

.PHONY: with-packages $(MAKECMDGOALS)
$(MAKECMDGOALS): with-packages
	@:

with-packages:
	@test/install-packages $(BUILD_PACKAGES)
	@+RHESIS_PACKAGES=installed $(MAKE) --no-print-directory $(MAKECMDGOALS)

else
unexport RHESIS_PACKAGES

# ---- Build and install ----

# System headers: warnings in them are not ours to mend.
PG_CPPFLAGS = -DRHESIS_NOTIFY_VERSION=\"$(EXTVERSION)\" -iquote $(or $(srcdir),.)/src -isystem $(INCLUDEDIR_SERVER) $(shell $(CURL_CONFIG) --cflags 2>/dev/null)
# PGXS hands on options of the compiler that PostgreSQL was built with; clang does not know all of gcc's.
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter $(if $(WERROR),-Werror) $(if $(DEBUG_BUILD),-O0 -g3) \
	$(if $(findstring clang,$(CC)),-Wno-ignored-optimization-argument -Wno-unknown-warning-option)
SHLIB_LINK = $(shell $(CURL_CONFIG) --libs 2>/dev/null) -Wl,--version-script=$(or $(srcdir),.)/src/exports.map

REGRESS_OPTS = --inputdir=test --outputdir=build --load-extension=rhesis_notify
REGRESS_PREP = build/results
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
EXTRA_CLEAN = build

ifneq ($(PGXS),)
include $(PGXS)

# Assertions work in a server that was built without them, too: it has the function that reports one that fails. What PostgreSQL was
# built with may fortify, which needs optimization.
ifneq ($(DEBUG_BUILD),)
override CPPFLAGS += -DUSE_ASSERT_CHECKING -U_FORTIFY_SOURCE
endif
else
# Without PGXS this is all there is to remove.
.PHONY: clean
clean:
	rm -rf build rhesis_notify.so src/*.o src/*.bc src/*/*.o src/*/*.bc $(DATA_built)
endif

# A directory's own time says that a file was removed.
sql/rhesis_notify--$(EXTVERSION).sql: sql/parts $(wildcard sql/parts/*.sql) templates $(wildcard templates/*) sql/build-install-script
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

.PHONY: debug
debug:
	@+$(MAKE) --no-print-directory all DEBUG_BUILD=1

# The tests, the benchmark and the demo.
include test/targets.mk bench/targets.mk

endif
endif
