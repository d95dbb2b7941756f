/*
 * recipients_key.h - makes keys of the types that applications use from ids, which tasks write as
 * text.
 *
 * Keys are checked here, in C, before they reach SQL: in PostgreSQL 15, one id that cannot be cast
 * makes the statement fail for the whole batch. This code raises no error, whatever the id is.
 */
#ifndef RHESIS_RECIPIENTS_KEY_H
#define RHESIS_RECIPIENTS_KEY_H

/* The types that a key can have, for messages. */
#define KEY_TYPE_NAMES "uuid, bigint, integer, smallint, text or character varying"

/* A longer text cannot be a key: an index cannot hold much more. */
#define KEY_MAX_BYTES 1024

typedef struct KeyType
{
	Oid column_type;
	Oid element_type; /* of the array that is compared with the column */

	/*
	 * Sets *value to the id as a value of the type, and returns the text that the type itself
	 * writes for it. Two ids are the same key exactly if these texts are equal. Both are palloc'd.
	 * Returns NULL, and does not set *value, if the id is not a value of the type.
	 */
	char *(*parse)(const char *id, Datum *value);
} KeyType;

/*
 * Returns the key type of a column; a domain counts as its base type. NULL: a column of this type
 * cannot be a key.
 */
extern const KeyType *KeyTypeOf(Oid column_type);

#endif
