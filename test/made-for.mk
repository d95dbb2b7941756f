# Makefiles that compile include this file. An object is compiled again if it was made for another
# PostgreSQL, libcurl, compiler or other options. The times of the installed files do not show that,
# because they are the times when the package was built. Objects depend on the file $(MADE_FOR),
# which the Makefile names before its rules.

PG_CONFIG ?= pg_config
CURL_CONFIG ?= curl-config

.PHONY: made-for
made-for:

$(MADE_FOR): made-for
	@mkdir -p $(@D)
	@{ $(PG_CONFIG); $(CURL_CONFIG) --version; $(CC) --version; echo '$(filter-out -Werror,$(CFLAGS) $(CPPFLAGS))'; echo '$(sort $(MADE_OF))'; } >$@.$$$$ 2>/dev/null || true; \
	if cmp -s $@.$$$$ $@; then rm $@.$$$$; else mv $@.$$$$ $@; fi
