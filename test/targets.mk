# The targets for tests and the demo. The Makefile describes them and includes this file.

# ---- Packages ----

# Debian packages for the tests and the demo.
TEST_PACKAGES = postgresql-$(PG_MAJOR) postgresql-$(PG_MAJOR)-pgtap libtap-parser-sourcehandler-pgtap-perl \
	python3-sqlalchemy python3-psycopg python3-psycopg2 python3-celery python3-redis redis-server \
	alembic python3-django python3-fastapi python3-uvicorn \
	libipc-run-perl perl postfix libsasl2-modules sasl2-bin openssl libssl-dev python3 iproute2 clang libclang-rt-dev valgrind \
	chromium fonts-liberation fonts-noto-core fonts-noto-color-emoji \
	prometheus prometheus-postgres-exporter debootstrap $(LINT_PACKAGES)
LINT_PACKAGES = clang-format shellcheck libperl-critic-perl pyflakes3
LOADED_PACKAGES = stress-ng
SANITIZED_PACKAGES = bzip2 libssl-dev zlib1g-dev
DEBIAN_PACKAGES = debootstrap util-linux python3-yaml
DIST_PACKAGES = git python3
DEMO_PACKAGES = postgresql-$(PG_MAJOR) openssl python3

# Node runs the template engines with which ours is compared, and validates the manifests. If nodejs
# brings npm, the package npm is not needed.
NODE_PACKAGES = $(if $(shell command -v npm),,nodejs npm)

# kubectl may be installed in another way.
KUBECTL_PACKAGES = $(if $(shell command -v kubectl),,kubernetes-client)

# ---- PostgreSQL with the extension in it ----

# A private copy of PostgreSQL with the extension. So tests and demo never change the installation
# of the system. PostgreSQL finds its files relative to its programs, so a copy of both trees works
# at any place.
STAGE = $(CURDIR)/build/stage
# Uses all processors, unless make has its own option.
AT_ONCE = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: stage
stage:
	test/stage-postgresql "$(PG_CONFIG)" "$(STAGE)"
	$(MAKE) $(AT_ONCE) all with_llvm=no
	$(MAKE) install DESTDIR="$(STAGE)" with_llvm=no
	for module in test/modules/*/; do $(MAKE) -C $$module install DESTDIR="$(STAGE)" with_llvm=no || exit 1; done

# ---- Tests ----

# See test/lint.
.PHONY: lint
lint:
	@test/install-packages $(LINT_PACKAGES)
	@test/lint

# See test/run.
.PHONY: test
test:
	test/install-packages $(TEST_PACKAGES) $(NODE_PACKAGES) $(KUBECTL_PACKAGES)
	@mkdir -p build/test
	@echo 'Building (build/test/stage.log, npm.log)'
	@$(MAKE) stage WERROR=1 >build/test/stage.log 2>&1 || { cat build/test/stage.log; exit 1; }
	@$(MAKE) --no-print-directory $(patsubst %,%/node_modules/.package-lock.json,test/differential test/manifests) >build/test/npm.log 2>&1 || { cat build/test/npm.log; exit 1; }
	@PG_CONFIG=$(PG_CONFIG) test/run $(SUITES)

# Runs SQL tests and complete servers once more, in a PostgreSQL with sanitizers. It keeps that
# PostgreSQL. It compiles a copy of the sources, so the objects of the checkout do not change.
# Memory that pg_config does not free before exit is no leak.
SANITIZED = $(CURDIR)/build/sanitized
SANITIZED_PG_CONFIG = $(SANITIZED)/postgresql-$(PG_MAJOR)/bin/pg_config

.PHONY: test-sanitized
test-sanitized:
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

# Installs the packages of the package-lock.json. npm writes this file when the installation is
# complete.
%/node_modules/.package-lock.json: %/package-lock.json
	npm ci --no-audit --no-fund --prefix $*
	touch $@

# See test/loaded.
ROUNDS ?= 3

.PHONY: test-loaded
test-loaded:
	test/install-packages $(TEST_PACKAGES) $(LOADED_PACKAGES) $(NODE_PACKAGES) $(KUBECTL_PACKAGES)
	@mkdir -p build/test
	@echo 'Building (build/test/stage.log)'
	@$(MAKE) stage WERROR=1 >build/test/stage.log 2>&1 || { cat build/test/stage.log; exit 1; }
	@$(MAKE) --no-print-directory $(patsubst %,%/node_modules/.package-lock.json,test/differential test/manifests) >build/test/npm.log 2>&1 || { cat build/test/npm.log; exit 1; }
	@PG_CONFIG=$(PG_CONFIG) TESTS="$(TESTS)" ROUNDS=$(ROUNDS) test/loaded $(SUITES)

# See test/versions. The Debians are kept outside the checkout.
VERSIONS = 15 17 18 19
ROOTS = /var/cache/rhesis_notify

.PHONY: test-versions
test-versions:
	test/install-packages $(DEBIAN_PACKAGES)
	@SUITES="$(SUITES)" TESTS="$(TESTS)" test/versions $(ROOTS) $(VERSIONS)

# Runs only the tests of the Celery example, in the same Debians. bookworm has Celery 5.2,
# SQLAlchemy 1.4 and psycopg2; trixie has Celery 5.5, SQLAlchemy 2 and psycopg 3.
.PHONY: test-celery
test-celery:
	@$(MAKE) --no-print-directory test-versions SUITES=servers TESTS=celery

# Follows the installation pages, as written, on a new Debian.
.PHONY: test-guide
test-guide:
	test/install-packages $(DEBIAN_PACKAGES)
	test/guide/run $(ROOTS) $(PG)

# Tests that take too long for each run.
.PHONY: soak
soak: stage
	test/install-packages $(TEST_PACKAGES)
	@PG_CONFIG=$(PG_CONFIG) RHESIS_SOAK=1 TESTS=kill_loop test/run servers && grep "^# " build/test/servers.log

# Runs each fuzz target for a given time: make fuzz SECONDS=3600
.PHONY: fuzz
fuzz:
	$(MAKE) -C test/fuzz run $(if $(SECONDS),SECONDS=$(SECONDS))

# ---- The archive ----

# test/dist says what it does.
.PHONY: dist
dist:
	@test/install-packages $(DIST_PACKAGES)
	@test/dist build/dist $(REPOSITORY)

# ---- The demo ----

# See demo/run.
.PHONY: demo
demo:
	@test/install-packages $(DEMO_PACKAGES)
	@PG_CONFIG=$(PG_CONFIG) demo/run $(if $(KEEP),--keep)

.PHONY: demo-stop
demo-stop:
	@demo/run --stop
