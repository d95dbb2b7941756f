/*
 * prepared.c - see prepared.h.
 *
 * Another session may commit the transaction, after a crash or a failover. So the messages are kept
 * where PostgreSQL keeps what belongs to a prepared transaction: among its locks, which are on
 * disk. Each kind of message is a shared lock. No SQL function can name its tag, and no session
 * waits for it. COMMIT PREPARED compares the holders before and after: if one of them is gone, its
 * message is passed on. If another session has rolled that transaction back meanwhile, the message
 * is passed on without need, which costs one look.
 */
#include "postgres.h"

#include "server/prepared.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "server/shared_state.h"
#include "storage/lock.h"
#include "tcop/utility.h"

#define LOCK_KEY 0x72686573 /* "rhes" */
#define LOCK_CLASS 3		/* the SQL functions for advisory locks use 1 and 2 */

static ProcessUtility_hook_type previous_utility_hook = NULL;
static void (*pass_on)(CommitMessage message);

static void
SetTag(LOCKTAG *tag, CommitMessage message)
{
	/* A transaction is committed in the database where it was prepared. */
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, LOCK_KEY, message, LOCK_CLASS);
}

void
KeepForCommitPrepared(CommitMessage message)
{
	LOCKTAG tag;

	SetTag(&tag, message);
	(void) LockAcquire(&tag, ShareLock, false, false);
}

/* Returns the transactions that hold the message. After the last one is an invalid id. */
static VirtualTransactionId *
FindHolders(CommitMessage message)
{
	LOCKTAG tag;

	SetTag(&tag, message);
	return GetLockConflicts(&tag, ExclusiveLock, NULL);
}

static bool
IsAmong(const VirtualTransactionId *holders, const VirtualTransactionId *one)
{
	for (; VirtualTransactionIdIsValid(*holders); holders++)
	{
		if (VirtualTransactionIdEquals(*holders, *one))
			return true;
	}
	return false;
}

/* Returns true if one of these holders does not hold the message any more. */
static bool
OneIsGone(const VirtualTransactionId *holders, CommitMessage message)
{
	const VirtualTransactionId *now = NULL;

	for (; VirtualTransactionIdIsValid(*holders); holders++)
	{
		if (now == NULL)
			now = FindHolders(message);
		if (!IsAmong(now, holders))
			return true;
	}
	return false;
}

static bool
CommitsPrepared(Node *statement)
{
	return IsA(statement, TransactionStmt) &&
		   ((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED &&
		   rhesis_shared != NULL && !IsAbortedTransactionBlockState();
}

static void
RunUtility(PlannedStmt *statement, const char *query, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo parameters, QueryEnvironment *environment,
		   DestReceiver *receiver, QueryCompletion *completion)
{
	bool commits = CommitsPrepared(statement->utilityStmt);
	VirtualTransactionId *holders[COMMIT_MESSAGES];

	for (int message = 0; message < COMMIT_MESSAGES && commits; message++)
		holders[message] = FindHolders(message);

	if (previous_utility_hook)
		previous_utility_hook(statement, query, read_only_tree, context, parameters, environment,
							  receiver, completion);
	else
		standard_ProcessUtility(statement, query, read_only_tree, context, parameters, environment,
								receiver, completion);

	for (int message = 0; message < COMMIT_MESSAGES && commits; message++)
	{
		if (OneIsGone(holders[message], message))
			pass_on(message);
	}
}

void
WatchPreparedTransactions(void (*pass_on_message)(CommitMessage message))
{
	pass_on = pass_on_message;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = RunUtility;
}
