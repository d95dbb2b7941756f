/*
 * database_text.h - converts text between the database's encoding and UTF-8, which mails are in.
 *
 * A database in SQL_ASCII does not know the encoding of its text. These functions take its bytes
 * for UTF-8, and do not verify them. ComposeMessage() later replaces bytes that are not valid.
 */
#ifndef RHESIS_DATABASE_TEXT_H
#define RHESIS_DATABASE_TEXT_H

#include "catalog/namespace.h"
#include "common/string.h"
#include "mb/pg_wchar.h"

/*
 * Returns the database's text in UTF-8: the text itself, or a palloc'd copy. Raises an error if a
 * character does not exist in UTF-8.
 */
static inline char *
DatabaseTextToUtf8(const char *text, int length)
{
	return GetDatabaseEncoding() == PG_SQL_ASCII ? unconstify(char *, text)
												 : pg_server_to_any(text, length, PG_UTF8);
}

/*
 * As DatabaseTextToUtf8(), but returns NULL, and raises no error, if a character does not exist in
 * UTF-8.
 */
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

/*
 * Returns the UTF-8 text in the database's encoding: the text itself, or a palloc'd copy. Raises an
 * error if the text is not valid UTF-8, or if a character does not exist in the database's
 * encoding.
 */
static inline char *
Utf8ToDatabaseText(const char *text, int length)
{
	return GetDatabaseEncoding() == PG_SQL_ASCII ? unconstify(char *, text)
												 : pg_any_to_server(text, length, PG_UTF8);
}

#endif
