/*
 * compat.h - the differences between the versions of PostgreSQL and of libcurl that we build with.
 * No other file asks for a version.
 */
#ifndef RHESIS_COMPAT_H
#define RHESIS_COMPAT_H

/* ---- PostgreSQL 18: the attribute stands before the declaration ---- */
#if PG_VERSION_NUM >= 180000
#define RHESIS_NORETURN pg_noreturn
#else
#define RHESIS_NORETURN pg_attribute_noreturn()
#endif

#ifndef FRONTEND

#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/wait_event.h"

/* ---- PostgreSQL 16: settings live in a memory context of their own ---- */
#if PG_VERSION_NUM >= 160000
#define RhesisGucMalloc(size) guc_malloc(LOG, size)
#define RhesisGucFree(pointer) guc_free(pointer)
#else
#define RhesisGucMalloc(size) malloc(size)
#define RhesisGucFree(pointer) free(pointer)
#endif

/* ---- PostgreSQL 16: the settings are in a hash table ---- */
#if PG_VERSION_NUM >= 160000
#define RhesisGucVariables(count) get_guc_variables(count)
#else
#define RhesisGucVariables(count) (*(count) = GetNumConfigOptions(), get_guc_variables())
#endif

/* ---- PostgreSQL 16: the parser of names reports soft errors on request ---- */
#if PG_VERSION_NUM >= 160000
#define RhesisParseQualifiedName(string) stringToQualifiedNameList(string, NULL)
#else
#define RhesisParseQualifiedName(string) stringToQualifiedNameList(string)
#endif

/* ---- PostgreSQL 16: one function checks privileges on all kinds of objects ---- */
#if PG_VERSION_NUM >= 160000
#define RhesisOwnsDatabase(oid) object_ownercheck(DatabaseRelationId, oid, GetUserId())
#define RhesisMayCreateInTablespace(oid) \
	(object_aclcheck(TableSpaceRelationId, oid, GetUserId(), ACL_CREATE) == ACLCHECK_OK)
#define RhesisMayExecute(oid) \
	(object_aclcheck(ProcedureRelationId, oid, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK)
#else
#define RhesisOwnsDatabase(oid) pg_database_ownercheck(oid, GetUserId())
#define RhesisMayCreateInTablespace(oid) \
	(pg_tablespace_aclcheck(oid, GetUserId(), ACL_CREATE) == ACLCHECK_OK)
#define RhesisMayExecute(oid) (pg_proc_aclcheck(oid, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK)
#endif

/* ---- PostgreSQL 17: process numbers, owned wait event sets, named wait events ---- */
#if PG_VERSION_NUM >= 170000
#define RhesisMyProcNumber() ((uint32) MyProcNumber)
#define RhesisCreateWaitEventSet(count) CreateWaitEventSet(NULL, count)
#define RhesisWaitEvent(name) WaitEventExtensionNew(name)
#else
#define RhesisMyProcNumber() ((uint32) MyProc->pgprocno)
#define RhesisCreateWaitEventSet(count) CreateWaitEventSet(TopMemoryContext, count)
#define RhesisWaitEvent(name) PG_WAIT_EXTENSION
#endif

/* ---- PostgreSQL 19: signal handlers are told who has sent the signal ---- */
#if PG_VERSION_NUM >= 190000
#define RHESIS_SIGNAL_ARGUMENTS postgres_signal_arg, pg_siginfo
#else
#define RHESIS_SIGNAL_ARGUMENTS postgres_signal_arg
#endif

/* ---- PostgreSQL 19: one struct has the state and the result of a jsonb; begin with {0} ---- */
#if PG_VERSION_NUM >= 190000
typedef JsonbInState RhesisJsonbState;
#define RhesisPushJsonb(state, token, value) pushJsonbValue(state, token, value)
#else
typedef struct RhesisJsonbState
{
	JsonbParseState *parser;
	JsonbValue *result;
} RhesisJsonbState;

static inline void
RhesisPushJsonb(RhesisJsonbState *state, JsonbIteratorToken token, JsonbValue *value)
{
	state->result = pushJsonbValue(&state->parser, token, value);
}
#endif

/* ---- PostgreSQL 18: pg_get_loaded_modules() shows the name and version of a library ---- */
#if PG_VERSION_NUM >= 180000
#define RHESIS_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "rhesis_notify", .version = RHESIS_NOTIFY_VERSION)
#else
#define RHESIS_MODULE_MAGIC PG_MODULE_MAGIC
#endif

#endif /* FRONTEND */

/* ---- libcurl, for files that have included <curl/curl.h> before ---- */
#ifdef LIBCURL_VERSION_NUM

/*
 * libcurl 7.87 has CURLOPT_QUICK_EXIT. Without that option, removing a handle waits for a name
 * lookup that gets no answer.
 */
#define OLDEST_LIBCURL_NUM 0x075700
#define OLDEST_LIBCURL "7.87"

#if LIBCURL_VERSION_NUM < OLDEST_LIBCURL_NUM
#error "rhesis_notify needs libcurl 7.87 or later"
#endif

/*
 * Lets the multi handle do up to threads name lookups at once, and never wait for their threads at
 * its end. Before libcurl 8.20 each lookup had a thread of its own, and there is nothing to set.
 * Since 8.20 the multi handle owns the threads, and by default there are few.
 */
static inline void
SetResolverThreads(CURLM *multi, long threads)
{
#if LIBCURL_VERSION_NUM >= 0x081400
	curl_multi_setopt(multi, CURLMOPT_QUICK_EXIT, 1L);
	curl_multi_setopt(multi, CURLMOPT_RESOLVE_THREADS_MAX, threads);
#else
	(void) multi;
	(void) threads;
#endif
}

#endif /* LIBCURL_VERSION_NUM */

#endif /* RHESIS_COMPAT_H */
