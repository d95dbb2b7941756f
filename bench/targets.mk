# The targets that measure. The Makefile describes them and includes this file.

# Packages of Debian.
BENCH_RENDER_PACKAGES = postgresql-$(PG_MAJOR) python3 python3-jinja2
# smtp-source belongs to Postfix.
BENCH_PACKAGES = postgresql-$(PG_MAJOR) postfix openssl libssl-dev python3 python3-psycopg2 python3-matplotlib
BENCH_PROFILE_PACKAGES = postgresql-$(PG_MAJOR) libssl-dev python3 python3-psycopg2 linux-perf
# See bench/run.
.PHONY: bench
bench:
	@test/install-packages $(BENCH_PACKAGES) $(NODE_PACKAGES)
	@mkdir -p build/bench
	@echo 'Building (build/bench/build.log)'
	@{ $(MAKE) stage && $(MAKE) bench/peers/node_modules/.package-lock.json && $(MAKE) -C bench/sink && $(MAKE) -C bench/peers; } >build/bench/build.log 2>&1 || \
		{ cat build/bench/build.log; exit 1; }
	@PG_CONFIG=$(PG_CONFIG) QUICK=$(QUICK) bench/run $(SCENARIOS)

# See bench/profile.
.PHONY: bench-profile
bench-profile:
	@test/install-packages $(BENCH_PROFILE_PACKAGES)
	@mkdir -p build/bench
	@echo 'Building (build/bench/build.log)'
	@{ $(MAKE) stage && $(MAKE) -C bench/sink; } >build/bench/build.log 2>&1 || { cat build/bench/build.log; exit 1; }
	@PG_CONFIG=$(PG_CONFIG) bench/profile $(COMPARE)

# See bench/versions.
.PHONY: bench-versions
bench-versions:
	@test/install-packages $(BENCH_PACKAGES)
	@mkdir -p build/bench
	@echo 'Building (build/bench/build.log)'
	@{ $(MAKE) stage && $(MAKE) -C bench/sink; } >build/bench/build.log 2>&1 || { cat build/bench/build.log; exit 1; }
	@PG_CONFIG=$(PG_CONFIG) bench/versions $(COMPARE)

# See bench/render/run.
.PHONY: bench-render
bench-render:
	@test/install-packages $(BENCH_RENDER_PACKAGES) $(NODE_PACKAGES)
	@mkdir -p build/bench
	@echo 'Building (build/bench/build.log)'
	@{ $(MAKE) stage && $(MAKE) bench/render/node_modules/.package-lock.json && $(MAKE) -C bench/render; } >build/bench/build.log 2>&1 || \
		{ cat build/bench/build.log; exit 1; }
	@PG_CONFIG=$(PG_CONFIG) bench/render/run
