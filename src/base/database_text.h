/*
 * database_text.h - text of the database, in its encoding, and UTF-8, which mails are in.
 *
 * A database in SQL_ASCII does not know what its bytes are. They are taken for UTF-8 and not verified: what is none harms no
 * mail, since message.c replaces it.
 */
#ifndef RHESIS_DATABASE_TEXT_H
#define RHESIS_DATABASE_TEXT_H

#include "catalog/namespace.h"
#include "common/string.h"
#include "mb/pg_wchar.h"

/* The text itself, or a palloc'd copy. Raises an error for what has no place in UTF-8. */
static inline char *
DatabaseTextToUtf8(const char *text, int length)
{
	return GetDatabaseEncoding() == PG_SQL_ASCII ? unconstify(char *, text)
												 : pg_server_to_any(text, length, PG_UTF8);
}

/* The text itself, or a palloc'd copy; NULL, and no error, for what has no place in UTF-8. */
static inline char *
TryDatabaseTextToUtf8(const char *text)
{
	int encoding = GetDatabaseEncoding();
	int length = strlen(text);
	int size = length * MAX_CONVERSION_GROWTH + 1;
	Oid conversion;
	char *utf8;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII || pg_is_ascii(text))
		return unconstify(char *, text);
	conversion = FindDefaultConversionProc(encoding, PG_UTF8);
	if (!OidIsValid(conversion))
		return NULL;
	utf8 = palloc(size);
	if (pg_do_encoding_conversion_buf(conversion, encoding, PG_UTF8,
									  (unsigned char *) unconstify(char *, text), length,
									  (unsigned char *) utf8, size, true) != length)
		return NULL;
	return utf8;
}

/* The text itself, or a palloc'd copy. Raises an error for what the database's encoding does not have. */
static inline char *
Utf8ToDatabaseText(const char *text, int length)
{
	return GetDatabaseEncoding() == PG_SQL_ASCII ? unconstify(char *, text)
												 : pg_any_to_server(text, length, PG_UTF8);
}

#endif
