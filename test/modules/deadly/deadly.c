/* deadly.c - ends its session, as a library of a database's owner could do. */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(deadly_end);

Datum
deadly_end(PG_FUNCTION_ARGS)
{
	ereport(FATAL, (errcode(ERRCODE_ADMIN_SHUTDOWN), errmsg("ended by a test")));
}
