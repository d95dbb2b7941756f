# The targets that test, and the demo. The Makefile says what each is for, and includes this.

# ---- Packages ----

# Debian's, to run the tests and the demo.
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

# Node runs the template engines that ours is tested and measured beside, and the validation of the manifests. What brings npm along with it needs no package npm.
NODE_PACKAGES = $(if $(shell command -v npm),,nodejs npm)

# kubectl may come from elsewhere, too.
KUBECTL_PACKAGES = $(if $(shell command -v kubectl),,kubernetes-client)

# ---- PostgreSQL with the extension in it ----

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

# ---- Tests ----

# test/lint says what it checks.
.PHONY: lint
lint:
	@test/install-packages $(LINT_PACKAGES)
	@test/lint

# test/run says what it needs and how to run a part of it.
.PHONY: test
test:
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
	test/install-packages $(TEST_PACKAGES) $(LOADED_PACKAGES) $(NODE_PACKAGES) $(KUBECTL_PACKAGES)
	@mkdir -p build/test
	@echo 'Building (build/test/stage.log)'
	@$(MAKE) stage WERROR=1 >build/test/stage.log 2>&1 || { cat build/test/stage.log; exit 1; }
	@$(MAKE) --no-print-directory $(patsubst %,%/node_modules/.package-lock.json,test/differential test/manifests) >build/test/npm.log 2>&1 || { cat build/test/npm.log; exit 1; }
	@PG_CONFIG=$(PG_CONFIG) TESTS="$(TESTS)" ROUNDS=$(ROUNDS) test/loaded $(SUITES)

# test/versions says what it does. The Debians are kept outside the checkout.
VERSIONS = 15 17 18 19
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

# Each fuzz target for as long as one likes: make fuzz SECONDS=3600
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

# demo/run says what it does.
.PHONY: demo
demo:
	@test/install-packages $(DEMO_PACKAGES)
	@PG_CONFIG=$(PG_CONFIG) demo/run $(if $(KEEP),--keep)

.PHONY: demo-stop
demo-stop:
	@demo/run --stop
