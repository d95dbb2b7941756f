/*
 * recipients_key.h - ids, which tasks write as text, as keys of the types that apps use.
 *
 * Keys are checked here, in C, before they reach SQL: PostgreSQL 15 can't cast one bad id of a batch without failing the
 * whole statement. No id makes anything here raise an error.
 */
#ifndef RHESIS_RECIPIENTS_KEY_H
#define RHESIS_RECIPIENTS_KEY_H

/* What messages say about a column of another type. */
#define KEY_TYPE_NAMES "uuid, bigint, integer, smallint, text or character varying"

/* A longer text is nobody's key: an index can't hold much more. */
#define KEY_MAX_BYTES 1024

typedef struct KeyType
{
	Oid column_type;
	Oid element_type; /* of the array that the column is compared with, so that the column's index serves */

	/*
	 * An id as a value of the type, and, returned, as the type itself writes it: two ids are the same key exactly if these
	 * texts are equal. Both palloc'd. NULL, and *value unset: the id is no value of this type.
	 */
	char *(*parse)(const char *id, Datum *value);
} KeyType;

/* The key type of a column; a domain counts as its base type. NULL: a column of this type can't be a key. */
extern const KeyType *KeyTypeOf(Oid column_type);

#endif
