/*
 * worker_limit.c - see worker_limit.h.
 *
 * A claimed row is in doubt after a crash, so claims are only a little ahead of the connections.
 */
#include "postgres.h"

#include "worker/worker_limit.h"

#include "base/monotonic.h"
#include "settings/settings.h"
#include "worker/worker_backoff.h"
#include "worker/worker_error.h"
#include "worker/worker_outbox.h"
#include "worker/worker_record.h"

/* No limit: more rows than are ever claimed together. */
#define MOST_FITTING 1000000

/*
 * While a mail is ready and claimed rows take more memory than this, no more rows are claimed.
 * While no mail is ready, the limit is three times as high.
 */
#define ENOUGH_BYTES (8 * 1024 * 1024)
#define ENOUGH_BYTES_PER_CONNECTION (128 * 1024)

/*
 * How many rows are claimed to find out whether recipients can be read again. (One row alone may
 * have an error of its own.)
 */
#define ROWS_TRIED 8

#define CAREFUL_MS (10 * 60 * 1000)

static int single_row_claims = 0;
static MonotonicTime careful_until = 0;
static int most_fitting = MOST_FITTING;

void
ClaimSingleRows(int count)
{
	single_row_claims = Max(single_row_claims, count);
}

int
SingleRowClaims(void)
{
	return single_row_claims;
}

void
CountClaim(void)
{
	single_row_claims = Max(single_row_claims - 1, 0);
}

void
BeCareful(void)
{
	careful_until = DeadlineAfter(CAREFUL_MS);
}

/* If no row was left out, the next claim may take some more rows. */
void
NoteFitting(int count, bool cut)
{
	if (cut)
		most_fitting = Max(count, 1);
	else if (most_fitting < MOST_FITTING)
		most_fitting += most_fitting / 8 + 1;
}

static int
RowsWanted(void)
{
	/* Do not wait for all other mails: one of them may hang for a long time. */
	if (IsProbing())
		return ProbeIsOut() || ReadyCount() > 0 ? 0 : 1;
	if (TooMuchIsRefused())
		return 0;
	if (single_row_claims > 0)
		return 1 - Outstanding();
	if (careful_until != 0 && MonotonicNow() < careful_until)
		return Outstanding() > 0 ? 0 : BatchSize();
	if (RecipientsFail())
		return Min(ROWS_TRIED, BatchSize()) - Outstanding();
	return Min(BATCH_PER_CONNECTION * rhesis_smtp_connections + BatchSize() - ReadyCount() -
				   InFlightCount(),
			   2 * BatchSize());
}

int
ClaimLimit(void)
{
	return Min(RowsWanted(), most_fitting);
}

static bool
IsHeavilyLoaded(void)
{
	Size enough = ENOUGH_BYTES + (Size) ENOUGH_BYTES_PER_CONNECTION * rhesis_smtp_connections;

	return Outstanding() > 0 && DeliveriesWeight() > (ReadyCount() > 0 ? enough : 3 * enough);
}

bool
HasSpaceForClaim(void)
{
	int wanted = RowsWanted();

	if (IsHeavilyLoaded())
		return false;
	return wanted >= BatchSize() || (wanted > 0 && (IsProbing() || Outstanding() == 0));
}
