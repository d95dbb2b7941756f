/*
 * recipients_key.c - see recipients_key.h.
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "recipients/recipients_key.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

/* Returns the value of a hexadecimal digit; -1 for any other character. */
static int
HexValue(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit = pg_ascii_tolower((unsigned char) digit);
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/*
 * Reads a uuid into bytes, in each form that uuid_in reads: 32 hexadecimal digits, with an optional
 * hyphen after each group of four, and optional braces around. Returns false if the id is no uuid.
 */
static bool
ReadUuid(const char *id, unsigned char *bytes)
{
	bool has_brace = *id == '{';

	if (has_brace)
		id++;
	for (int i = 0; i < UUID_LEN; i++)
	{
		int high = HexValue(id[0]);
		int low = high < 0 ? -1 : HexValue(id[1]);

		if (low < 0)
			return false;
		bytes[i] = (unsigned char) (high << 4 | low);
		id += 2;
		if (*id == '-' && i % 2 == 1 && i < UUID_LEN - 1)
			id++;
	}
	if (has_brace && *id++ != '}')
		return false;
	return *id == '\0';
}

static char *
ParseUuid(const char *id, Datum *value)
{
	static const char digits[] = "0123456789abcdef";
	pg_uuid_t *uuid = palloc(sizeof(pg_uuid_t));
	char *canonical;
	char *out;

	if (!ReadUuid(id, uuid->data))
		return NULL;
	out = canonical = palloc(2 * UUID_LEN + 4 + 1);
	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[uuid->data[i] >> 4];
		*out++ = digits[uuid->data[i] & 0x0F];
	}
	*out = '\0';
	*value = UUIDPGetDatum(uuid);
	return canonical;
}

/*
 * Sets *number to the integer that the id has: decimal digits with an optional sign, and blanks
 * around, which every version of PostgreSQL accepts. Returns the integer as text, palloc'd; NULL if
 * the id is no integer from min to max.
 */
static char *
ParseInteger(const char *id, int64 min, int64 max, int64 *number)
{
	char *end;

	errno = 0;
	*number = strtoi64(id, &end, 10);
	if (end == id || errno != 0 || *number < min || *number > max)
		return NULL;
	while (isspace((unsigned char) *end))
		end++;
	return *end == '\0' ? psprintf(INT64_FORMAT, *number) : NULL;
}

static char *
ParseInt8(const char *id, Datum *value)
{
	int64 number;
	char *canonical = ParseInteger(id, PG_INT64_MIN, PG_INT64_MAX, &number);

	if (canonical != NULL)
		*value = Int64GetDatum(number);
	return canonical;
}

static char *
ParseInt4(const char *id, Datum *value)
{
	int64 number;
	char *canonical = ParseInteger(id, PG_INT32_MIN, PG_INT32_MAX, &number);

	if (canonical != NULL)
		*value = Int32GetDatum((int32) number);
	return canonical;
}

static char *
ParseInt2(const char *id, Datum *value)
{
	int64 number;
	char *canonical = ParseInteger(id, PG_INT16_MIN, PG_INT16_MAX, &number);

	if (canonical != NULL)
		*value = Int16GetDatum((int16) number);
	return canonical;
}

static char *
ParseText(const char *id, Datum *value)
{
	if (strlen(id) > KEY_MAX_BYTES)
		return NULL;
	*value = CStringGetTextDatum(id);
	return pstrdup(id);
}

/* varchar has no operators of its own: an array of text is compared with it. */
static const KeyType key_types[] = {
	{UUIDOID, UUIDOID, ParseUuid}, {INT8OID, INT8OID, ParseInt8}, {INT4OID, INT4OID, ParseInt4},
	{INT2OID, INT2OID, ParseInt2}, {TEXTOID, TEXTOID, ParseText}, {VARCHAROID, TEXTOID, ParseText},
};

const KeyType *
KeyTypeOf(Oid column_type)
{
	Oid base_type = getBaseType(column_type);

	for (int i = 0; i < (int) lengthof(key_types); i++)
	{
		if (key_types[i].column_type == base_type)
			return &key_types[i];
	}
	return NULL;
}
