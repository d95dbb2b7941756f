# What comes before a build; the Makefile includes this file. A build that cannot work ends in a sentence that says what to do.
# Where root builds in somebody's checkout, or packages have to be installed first, a make below this one does the work: then
# DELEGATED is set, and the Makefile has no rules of its own.
DELEGATED =

# ---- Where this cannot be built ----

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
DELEGATED = yes

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
