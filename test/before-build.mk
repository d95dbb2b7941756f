# The Makefile includes this file first. If a build cannot work, it stops with a sentence that says
# what to do. If root builds in the checkout of another user, or if packages must be installed
# first, a second make does the work. Then DELEGATED is set, and the Makefile has no rules of its
# own.
DELEGATED =

# ---- What cannot be built ----

lparen := (
rparen := )
UNFIT := $(strip $(if $(filter-out 1,$(words x$(CURDIR)x)),blanks) \
	$(foreach character,' " ` $$ & ; | < > * ? [ ] { } ! \ : = % \#,$(findstring $(character),$(CURDIR))) \
	$(if $(findstring $(lparen),$(CURDIR))$(findstring $(rparen),$(CURDIR)),parentheses))
ifneq ($(UNFIT),)
$(error the name of the directory $(CURDIR) has $(UNFIT) in it, which make and the tests cannot cope with: use a directory of another name)
endif
ifneq ($(realpath $(SOURCE_DIR)Makefile),$(realpath $(CURDIR)/Makefile))
$(error this builds in the directory of its sources: run make -C $(SOURCE_DIR))
endif
ifneq ($(USE_VPATH)$(VPATH),)
$(error this builds in the directory of its sources: VPATH and USE_VPATH are not supported)
endif

# Targets that build nothing.
NOT_BUILDING = clean distclean maintainer-clean demo-stop lint dist
# If nothing is installed yet, these targets begin with the packages: the first make installs what
# building needs, and a second make finds it.
INSTALLING_FIRST = test test-sanitized test-loaded demo bench bench-profile bench-versions bench-render
INSTALLING = $(INSTALLING_FIRST) test-versions test-celery test-guide
BUILDING := $(filter-out $(NOT_BUILDING),$(or $(MAKECMDGOALS),all))

PG_VERSION := $(shell $(PG_CONFIG) --version 2>/dev/null)
PG_MAJOR := $(shell echo '$(PG_VERSION)' | sed -n 's/[^0-9]*\([0-9]*\).*/\1/p')
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
# 7.87.0 is 0x075700.
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

# ---- The owner of the files ----

OWNERSHIP := $(shell test/ownership check)
ifneq ($(filter ERROR:,$(OWNERSHIP)),)
$(error $(wordlist 2,99,$(OWNERSHIP)))
endif
ifeq ($(OWNERSHIP),root)
DELEGATED = yes

# Root builds in the checkout of another user. A second make does everything. At the end the new
# files are given to the owner.
.PHONY: hand-back $(or $(MAKECMDGOALS),all)
$(or $(MAKECMDGOALS),all): hand-back
	@:

hand-back:
	@+test/ownership run $(MAKE) --no-print-directory $(MAKECMDGOALS)

else

# ---- Packages ----

# Debian packages for building. If PG_CONFIG has no headers, the headers are those of Debian's own
# PostgreSQL.
INCLUDEDIR_SERVER := $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)
SERVER_HEADERS = $(wildcard $(INCLUDEDIR_SERVER)/postgres.h)
BUILD_PACKAGES = gcc make pkg-config libcurl4-openssl-dev $(if $(SERVER_HEADERS),,postgresql-server-dev-all)

ifneq ($(and $(filter $(INSTALLING_FIRST),$(BUILDING)),$(if $(RHESIS_PACKAGES),,first)),)
DELEGATED = yes

.PHONY: with-packages $(MAKECMDGOALS)
$(MAKECMDGOALS): with-packages
	@:

with-packages:
	@test/install-packages $(BUILD_PACKAGES)
	@+RHESIS_PACKAGES=installed $(MAKE) --no-print-directory $(MAKECMDGOALS)

else
unexport RHESIS_PACKAGES
endif
endif
