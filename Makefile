# rhesis_notify: built with PGXS.
#
#   make, make install        build and install for the PostgreSQL of PG_CONFIG
#   make debug                the same build without optimization and with assertions; make install DEBUG_BUILD=1 installs it
#   make install-volume       the files of an image that CloudNativePG mounts, below DESTDIR (doc/image-volume.md)
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

SOURCE_DIR := $(dir $(lastword $(MAKEFILE_LIST)))
include $(SOURCE_DIR)test/before-build.mk
ifeq ($(DELEGATED),)

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

# The files as extension_control_path and dynamic_library_path of PostgreSQL 18 look for them.
.PHONY: install-volume
install-volume: all
	$(MKDIR_P) '$(DESTDIR)/share/extension' '$(DESTDIR)/lib'
	$(INSTALL_DATA) $(EXTENSION).control $(DATA) $(DATA_built) '$(DESTDIR)/share/extension/'
	$(INSTALL_SHLIB) $(MODULE_big).so '$(DESTDIR)/lib/'

# The tests, the benchmark and the demo.
include test/targets.mk bench/targets.mk

endif
