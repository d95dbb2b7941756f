/*
 * rhesis_notify.c - load-time wiring: settings, shared memory, hooks, the launcher.
 */
#include "postgres.h"

#include "base/compat.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "queue/result_excerpt.h"
#include "server/catalog_watch.h"
#include "server/claim_journal.h"
#include "server/database_hold.h"
#include "server/launcher.h"
#include "server/prepared.h"
#include "server/shared_state.h"
#include "server/wakeup.h"
#include "settings/settings.h"
#include "template/variable_list.h"

RHESIS_MODULE_MAGIC;

/* PostgreSQL 15's headers do not declare it. */
extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	DefineSettings();
	KeepResultKeys(IsListedVariable);

	/*
	 * A session that loads the library needs only its functions. Shared memory, hooks and the
	 * launcher are set up only while the server starts.
	 */
	if (!process_shared_preload_libraries_in_progress)
		return;

	RequestSharedState();
	RequestClaimJournal();
	WatchCatalogs();
	HoldDatabases();
	WatchPreparedTransactions(PassOnCommitMessage);
	if (!IsBinaryUpgrade)
		RegisterLauncher();
}
