/*
 * versions.c - which versions of the SQL objects this library works with.
 *
 * A new library is there after a restart, new objects after ALTER EXTENSION in each database: in between, mail goes on as long
 * as the queue is one that the library knows. The other way round there is nothing to serve: newer objects call what an older
 * library does not have, so their script asks first.
 */
#include "postgres.h"

#include "server/versions.h"

#include "base/call_check.h"
#include "fmgr.h"
#include "server/shared_state.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(rhesis_notify_require_preload);
PG_FUNCTION_INFO_V1(rhesis_notify_require_library);

/* One that the worker's statements don't work with any more, or whose functions in C have changed their arguments, leaves. */
static const char *const served_versions[] = {RHESIS_NOTIFY_VERSION, "1.1", "1.0"};

bool
ServesObjects(const char *version)
{
	for (int i = 0; i < (int) lengthof(served_versions); i++)
	{
		if (strcmp(version, served_versions[i]) == 0)
			return true;
	}
	return false;
}

/* rhesis_notify.require_preload(): the first question of version 1.0's install script. */
Datum
rhesis_notify_require_preload(PG_FUNCTION_ARGS)
{
	RequireStrictArguments(fcinfo, 0);
	RequirePreload();
	PG_RETURN_VOID();
}

/* rhesis_notify.require_library(version): the first question of every script since. */
Datum
rhesis_notify_require_library(PG_FUNCTION_ARGS)
{
	char *version;

	RequireStrictArguments(fcinfo, 1);
	version = text_to_cstring(PG_GETARG_TEXT_PP(0));
	RequirePreload();
	if (!ServesObjects(version))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the library of rhesis_notify that the server has loaded is older "
							   "than version %s of its objects",
							   version),
						errdetail("The library is version %s.", RHESIS_NOTIFY_VERSION),
						errhint("Restart the server, so that it loads the installed library.")));
	PG_RETURN_VOID();
}
