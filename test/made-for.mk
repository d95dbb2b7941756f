# For Makefiles that compile: an object is made anew when it was made for another PostgreSQL, libcurl, compiler or options. The times
# of a package's files say nothing about that, being those of the package's build. Objects depend on the file
# $(MADE_FOR), which the Makefile names before its rules.

PG_CONFIG ?= pg_config
CURL_CONFIG ?= curl-config

.PHONY: made-for
made-for:

$(MADE_FOR): made-for
	@mkdir -p $(@D)
	@{ $(PG_CONFIG); $(CURL_CONFIG) --version; $(CC) --version; echo '$(filter-out -Werror,$(CFLAGS) $(CPPFLAGS))'; echo '$(sort $(MADE_OF))'; } >$@.$$$$ 2>/dev/null || true; \
	if cmp -s $@.$$$$ $@; then rm $@.$$$$; else mv $@.$$$$ $@; fi
