/*
 * worker_error.c - see worker_error.h.
 */
#include "postgres.h"

#include "worker/worker_error.h"

#include "policy/disposition.h"
#include "queue/queue_rules.h"
#include "worker/worker_schedule.h"
#include "worker/worker_slot.h"

#define LONGEST_ERROR_WAIT_MS 10000
#define PATIENT_ERRORS 5

static WorkerStep step = STEP_OTHER;
static char logged_error[256];
static int consecutive_errors = 0;
static MonotonicTime error_wait_until = 0;

static int recipients_failures = 0; /* since a look-up succeeded */
static int recipients_sqlstate;		/* of the last of them */
static MonotonicTime recipients_wait_until = 0;

void
EnterStep(WorkerStep next)
{
	step = next;
}

WorkerStep
CurrentStep(void)
{
	return step;
}

bool
ShouldLogError(const char *text)
{
	ShowError(text);
	if (strncmp(logged_error, text, sizeof(logged_error) - 1) == 0)
		return false;
	strlcpy(logged_error, text, sizeof(logged_error));
	return true;
}

static void
ResetLoggedError(void)
{
	logged_error[0] = '\0';
}

void
WaitAfterError(void)
{
	consecutive_errors++;
	error_wait_until =
		DeadlineAfter(Min(100 << Min(consecutive_errors, 10), LONGEST_ERROR_WAIT_MS));
}

MonotonicTime
ErrorWaitUntil(void)
{
	return error_wait_until;
}

bool
MayBeServerError(void)
{
	return consecutive_errors < PATIENT_ERRORS;
}

void
ResetConsecutiveErrors(void)
{
	consecutive_errors = 0;
}

/* Compares codes, not messages: a message may contain the values of another row each time. */
void
WaitForRecipients(const RecipientsProblem *problem)
{
	bool is_known = recipients_failures > 0 && recipients_sqlstate == problem->sqlstate;

	recipients_wait_until = DeadlineAfter(BackoffDelayMs(++recipients_failures, 0));
	ClaimAt(recipients_wait_until);
	recipients_sqlstate = problem->sqlstate;
	if (is_known)
		ShowError(problem->message);
	else if (ShouldLogError(problem->message))
		ereport(WARNING,
				(errcode(problem->sqlstate),
				 errmsg("notifications wait: recipients cannot be read: %s", problem->message),
				 problem->detail ? errdetail("%s", problem->detail) : 0,
				 problem->hint ? errhint("%s", problem->hint) : 0));
}

MonotonicTime
RecipientsWaitUntil(void)
{
	return recipients_wait_until;
}

bool
RecipientsFail(void)
{
	return recipients_failures > 0;
}

void
NoteRecipientsAreReadable(void)
{
	if (recipients_failures == 0)
		return;
	recipients_failures = 0;
	ResetLoggedError();
}

/* PostgreSQL's message does not name the rule that was applied, so the warning does. */
void
ReportRowProblems(const char *what, RowProblems *problems)
{
	QueueProblem *problem = &problems->problem;
	QueueRules rules;
	bool is_rule = MayBeRules(problem->sqlstate) && ReadQueueRules(&rules);

	if (is_rule)
		problem->message = psprintf("%s: %s", rules.names, problem->message);
	if (ShouldLogError(problem->message))
		ereport(WARNING,
				(errcode(problem->sqlstate), errmsg("%s: %s", what, problem->message),
				 problem->source ? errdetail("Notification %lld; %s.", (long long) problems->id,
											 problem->source)
								 : errdetail("Notification %lld.", (long long) problems->id),
				 is_rule ? errhint("%s", rules.advice)
						 : errhint("Look for triggers, rules and constraints that were added "
								   "to rhesis_notify.task_notifications or "
								   "rhesis_notify.delivery_events. The worker tries again "
								   "automatically. Other mail goes on.")));
}

void
NoteRefused(RefusalKind kind, int count, int64 id, const char *text)
{
	if (my_slot->refusals[kind].count > 0 && count == 0)
		ResetLoggedError();
	ShowRefusal(kind, count, id, text);
}

static bool
Shorten(MonotonicTime *wait_until, MonotonicTime until)
{
	bool shortened = *wait_until > until;

	*wait_until = Min(*wait_until, until);
	return shortened;
}

bool
ShortenErrorWaits(MonotonicTime until)
{
	bool shortened = Shorten(&recipients_wait_until, until);

	return Shorten(&error_wait_until, until) || shortened;
}
