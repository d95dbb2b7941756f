/*
 * result_excerpt.c - the small keys of a result that is too large to be read whole.
 *
 * A mail needs only ids, counts and names from a result. If a task returns megabytes of other data
 * as well, its mail still gets its link.
 */
#include "postgres.h"

#include "queue/result_excerpt.h"

#include "access/detoast.h"
#include "base/compat.h"
#include "base/count_text.h"
#include "fmgr.h"
#include "utils/memutils.h"

#define MAX_READ_BYTES (16 * 1024 * 1024)
#define MAX_SMALL_BYTES 1000 /* for a key or a string */
#define MAX_OTHER_KEYS 200	 /* besides the keys that IsNeeded() */

static ResultKeyTest is_needed_key;

/* The values of the excerpt that is being built. */
typedef struct Excerpt
{
	RhesisJsonbState state;
	int kept;
	int others; /* kept keys that are not IsNeeded() */
	int left_out;
} Excerpt;

static bool
IsSmall(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
		case jbvBool:
			return true;
		case jbvString:
			return value->val.string.len <= MAX_SMALL_BYTES;
		case jbvNumeric:
			return VARSIZE_ANY(value->val.numeric) <= MAX_SMALL_BYTES;
		default:
			return false;
	}
}

/* Returns true for a key that a verdict, a link or a shipped template needs. */
static bool
IsNeeded(const JsonbValue *key)
{
	return is_needed_key != NULL && is_needed_key(key->val.string.val, key->val.string.len);
}

void
KeepResultKeys(ResultKeyTest is_needed)
{
	is_needed_key = is_needed;
}

static void
AddMember(Excerpt *excerpt, JsonbValue *key, JsonbValue *value)
{
	bool is_other = !IsNeeded(key);

	if ((is_other && excerpt->others == MAX_OTHER_KEYS) || !IsSmall(key) || !IsSmall(value))
	{
		excerpt->left_out++;
		return;
	}
	excerpt->others += is_other;
	RhesisPushJsonb(&excerpt->state, WJB_KEY, key);
	RhesisPushJsonb(&excerpt->state, WJB_VALUE, value);
	excerpt->kept++;
}

static JsonbValue *
ReadMembers(Jsonb *whole, Excerpt *excerpt)
{
	JsonbIterator *iterator = JsonbIteratorInit(&whole->root);
	JsonbIteratorToken token;
	JsonbValue key;
	JsonbValue value;

	RhesisPushJsonb(&excerpt->state, WJB_BEGIN_OBJECT, NULL);
	(void) JsonbIteratorNext(&iterator, &key, true); /* skips the beginning of the object */
	while ((token = JsonbIteratorNext(&iterator, &key, true)) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&iterator, &value, true);
		AddMember(excerpt, &key, &value);
	}
	RhesisPushJsonb(&excerpt->state, WJB_END_OBJECT, NULL);
	return excerpt->state.result;
}

Jsonb *
ExcerptOfResult(Datum result, char **remark)
{
	Size size = toast_raw_datum_size(result);
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext working;
	Excerpt excerpt = {0};
	Jsonb *kept;

	if (size > MAX_READ_BYTES)
	{
		*remark = psprintf("the result has %zu bytes: nothing of it was read", size);
		return NULL;
	}
	working = AllocSetContextCreate(caller, "rhesis_notify result", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(working);
	kept = JsonbValueToJsonb(ReadMembers(DatumGetJsonbP(result), &excerpt));
	MemoryContextSwitchTo(caller);
	kept = (Jsonb *) memcpy(palloc(VARSIZE(kept)), kept, VARSIZE(kept));
	MemoryContextDelete(working);
	*remark = psprintf("the result has %zu bytes: %s read, %s not", size,
					   CountText(excerpt.kept, "small key was", "small keys were"),
					   CountText(excerpt.left_out, "other key was", "other keys were"));
	return kept;
}
