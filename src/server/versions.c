/*
 * versions.c - see versions.h.
 *
 * A new library is in use after a restart. New SQL objects are there after ALTER EXTENSION, in each
 * database. In between, mail goes on as long as the library knows the queue of the older objects.
 * Objects that are newer than the library could call functions that it lacks. So their script asks
 * the library first.
 */
#include "postgres.h"

#include "server/versions.h"

#include "base/call_check.h"
#include "fmgr.h"
#include "server/shared_state.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(rhesis_notify_require_preload);
PG_FUNCTION_INFO_V1(rhesis_notify_require_library);

/*
 * A version leaves this list when the worker's statements do not work with it any more, or when a
 * function in C changes its arguments.
 */
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

/* rhesis_notify.require_preload(): called first by the install script of version 1.0. */
Datum
rhesis_notify_require_preload(PG_FUNCTION_ARGS)
{
	RequireStrictArguments(fcinfo, 0);
	RequirePreload();
	PG_RETURN_VOID();
}

/* rhesis_notify.require_library(version): called first by every later script. */
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
