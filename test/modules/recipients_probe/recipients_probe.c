/* recipients_probe.c - LookUpRecipients() as an SQL function. */
#include "postgres.h"

#include <limits.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "recipients/recipients.h"
#include "settings/settings.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/tuplestore.h"

PG_MODULE_MAGIC;

void _PG_init(void);
PG_FUNCTION_INFO_V1(recipients_probe_look_up);

/* The settings that src/recipients reads. */
char *rhesis_recipients = NULL;
char *rhesis_placeholder_domains = NULL;
int recipients_probe_look_up_limit;

void
_PG_init(void)
{
	DefineCustomStringVariable("recipients_probe.recipients", "As rhesis_notify.recipients.", NULL,
							   &rhesis_recipients, "", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable(
		"recipients_probe.placeholder_domains", "As rhesis_notify.placeholder_domains.", NULL,
		&rhesis_placeholder_domains, "placeholder.rhesis.ai", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("recipients_probe.look_up_limit", "The time that a look-up may take.",
							NULL, &recipients_probe_look_up_limit, 60000, 1, INT_MAX, PGC_USERSET,
							GUC_UNIT_MS, NULL, NULL, NULL);
}

static char **
TextsOf(ArrayType *array, int *count)
{
	Datum *datums;
	bool *nulls;
	char **texts;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &datums, &nulls, count);
	texts = palloc(*count * sizeof(char *));
	for (int i = 0; i < *count; i++)
		texts[i] = nulls[i] ? NULL : TextDatumGetCString(datums[i]);
	return texts;
}

static void
PutText(Datum *value, bool *is_null, const char *text)
{
	*is_null = text == NULL;
	*value = text != NULL ? CStringGetTextDatum(text) : (Datum) 0;
}

static void
PutRecipient(ReturnSetInfo *result, int number, const Recipient *recipient)
{
	Datum values[8];
	bool nulls[8] = {false};

	values[0] = Int32GetDatum(number);
	PutText(&values[1], &nulls[1], recipient->skip_reason);
	PutText(&values[2], &nulls[2], recipient->error);
	PutText(&values[3], &nulls[3], recipient->email);
	PutText(&values[4], &nulls[4], recipient->name);
	PutText(&values[5], &nulls[5], recipient->organization_id);
	PutText(&values[6], &nulls[6], recipient->organization_name);
	PutText(&values[7], &nulls[7], recipient->timezone);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
recipients_probe_look_up(PG_FUNCTION_ARGS)
{
	int count = 0;
	int organization_count = 0;
	char **user_ids;
	char **organization_ids = NULL;
	Notification **notifications;
	Recipient *recipients;
	RecipientsProblem problem = {0};

	InitMaterializedSRF(fcinfo, 0);
	user_ids = TextsOf(PG_GETARG_ARRAYTYPE_P(0), &count);
	if (!PG_ARGISNULL(1))
		organization_ids = TextsOf(PG_GETARG_ARRAYTYPE_P(1), &organization_count);

	notifications = palloc(count * sizeof(Notification *));
	recipients = palloc(count * sizeof(Recipient));
	for (int i = 0; i < count; i++)
	{
		notifications[i] = palloc0(sizeof(Notification));
		notifications[i]->user_id = user_ids[i];
		notifications[i]->organization_id = i < organization_count ? organization_ids[i] : NULL;
	}

	if (!LookUpRecipients(notifications, count, recipients, &problem))
		ereport(ERROR, (errcode(problem.sqlstate), errmsg("%s", problem.message),
						problem.detail ? errdetail("%s", problem.detail) : 0,
						problem.hint ? errhint("%s", problem.hint) : 0));
	for (int i = 0; i < count; i++)
		PutRecipient((ReturnSetInfo *) fcinfo->resultinfo, i + 1, &recipients[i]);
	return (Datum) 0;
}
