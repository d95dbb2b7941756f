/*
 * worker_database.c - see worker_database.h.
 */
#include "postgres.h"

#include "worker/worker_database.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "worker/worker_drain.h"
#include "worker/worker_error.h"
#include "worker/worker_outbox.h"
#include "worker/worker_schedule.h"
#include "worker/worker_slot.h"

static bool paused = false;
static bool in_copy = false;
static bool was_read = false; /* the state of the database was read since the start */

static void
WarnOfCopy(CopySign sign, const CopyFigures *figures)
{
	bool was_logged;

	LockSlots(LW_EXCLUSIVE);
	was_logged = my_slot->copy_logged || my_slot->number > 0;
	my_slot->copy_logged = true;
	UnlockSlots();
	if (!was_logged)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rhesis_notify mails nothing in database \"%s\": it is a copy",
						get_database_name(MyDatabaseId)),
				 errdetail("The sign: %s; %s.", CopySignText(sign), CopyWaitingText(figures)),
				 errhint(ADOPT_HINT)));
}

void
StandStillAsCopy(const DatabaseState *state, CopySign sign)
{
	CopyFigures figures;

	in_copy = true;
	SuspendClaims();
	PostponeSafetyCheck();
	PurgeAtSafetyCheck();
	ReadCopyFigures(state, &figures);
	if (sign == COPY_WITH_OLD_ROWS)
		RememberOldRows(state, &figures);
	WarnOfCopy(sign, &figures);
}

/*
 * Notes that the database is no copy. If it was one, somebody has called adopt_database(), or the
 * rows that came with the copy are gone.
 */
static void
GoOnAsItself(void)
{
	if (in_copy)
	{
		CheckSafetyNow();
		PurgeAtSafetyCheck();
	}
	in_copy = false;
	if (!my_slot->copy_logged)
		return;
	LockSlots(LW_EXCLUSIVE);
	my_slot->copy_logged = false;
	UnlockSlots();
}

void
LookAtDatabase(MonotonicTime now, DatabaseState *state)
{
	bool thorough = in_copy || SafetyCheckIsDue(now);
	CopyFigures figures = {0};

	ReadDatabaseState(state);
	if (state->is_upgraded || state->is_from_empty_template)
		RenewIdentity(state);
	if (state->copy == NO_COPY)
		MoveBirthBack(state);
	paused = state->is_paused;
	was_read = true;
	if (state->copy == NO_COPY && thorough && state->bounds.born != DT_NOBEGIN)
		ReadCopyFigures(state, &figures);
	if (state->copy != NO_COPY)
		StandStillAsCopy(state, state->copy);
	else if (figures.has_old_rows)
		StandStillAsCopy(state, COPY_WITH_OLD_ROWS);
	else
		GoOnAsItself();
	if (MailPool() == NULL)
		PostponeSafetyCheck();
}

bool
LookIsDue(MonotonicTime now)
{
	if (IsDraining() || now < ErrorWaitUntil())
		return false;
	return !was_read || (MailPool() == NULL && SafetyCheckIsDue(now));
}

bool
IsPaused(void)
{
	return paused;
}

bool
IsInCopy(void)
{
	return in_copy;
}

bool
StandsStill(void)
{
	return paused || in_copy;
}

bool
AllowsPurge(void)
{
	return was_read && !in_copy;
}
