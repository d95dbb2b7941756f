/*
 * copy_sign.c - tells by which sign this database is taken for a copy: rhesis_notify.copy_sign(),
 * which adopt_database() calls.
 */
#include "postgres.h"

#include "base/call_check.h"
#include "fmgr.h"
#include "queue/queue_copy.h"
#include "server/shared_state.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(rhesis_notify_copy_sign);

/* rhesis_notify.copy_sign() returns text: null if the database is itself. */
Datum
rhesis_notify_copy_sign(PG_FUNCTION_ARGS)
{
	CopySign sign;

	RequireArguments(fcinfo, 0);
	RequirePreload();
	sign = FindCopySign(NULL);
	if (sign == NO_COPY)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(CopySignText(sign)));
}
