/*
 * recipients_relation.h - reads rows of one relation of the app, by key, as the relation's owner.
 *
 * The relation, and whatever functions its view calls, is not trusted: it runs with its owner's rights and no more, in a
 * security-restricted, read-only subtransaction that is always rolled back. What it raises comes back as a value.
 */
#ifndef RHESIS_RECIPIENTS_RELATION_H
#define RHESIS_RECIPIENTS_RELATION_H

#include "executor/spi.h"
#include "recipients/recipients_key.h"

#define APP_COLUMNS_MAX 9

typedef enum AppColumnForm
{
	APP_COLUMN_KEY,	  /* of a key type, as that type writes it */
	APP_COLUMN_TEXT,  /* as text, cut at max_chars */
	APP_COLUMN_FLAG,  /* a boolean: "true" or "false" */
	APP_COLUMN_IS_SET /* "true" or "false": whether it is not null */
} AppColumnForm;

typedef struct AppColumn
{
	const char *name; /* NULL: relations of this kind have no such column */
	AppColumnForm form;
	int max_chars;
	bool is_required;
} AppColumn;

/* A kind of relation: what we read of it, and the statement that this session has prepared for it. */
typedef struct AppRelation
{
	const AppColumn *columns; /* the first is the key that rows are looked up by */
	int column_count;
	bool is_optional; /* a missing relation, or one without its key, has no rows */

	/* The room's own: */
	Oid relid;
	Oid planned_relid;
	Oid key_array_type;
	char *statement;
	SPIPlanPtr plan;
} AppRelation;

typedef char *AppValues[APP_COLUMNS_MAX]; /* a row: text or NULL for each column */

typedef struct AppRows
{
	MemoryContext context; /* of all that follows; NULL: nothing was read */
	Oid owner;			   /* whose rights were used; InvalidOid: the relation was not opened */
	const KeyType *key_types[APP_COLUMNS_MAX]; /* of the key columns that exist */
	char **keys; /* each id as the key column writes it; NULL: no value of its type */
	int count;
	AppValues *values; /* in the order of their keys */
} AppRows;

/*
 * Read the rows of the ids from the relation of this name (schema-qualified; without a schema, in public), with one
 * statement and its index. Returns NULL with *rows filled, or the error that came up, in the current memory context. The error may
 * be a cancellation: the caller knows whose. The rows live until FreeAppRows. Needs an open transaction.
 */
extern ErrorData *ReadAppRelation(AppRelation *relation, const char *name, const char *const *ids,
								  int id_count, AppRows *rows);

extern void FreeAppRows(AppRows *rows);

/* The index of the first row whose key is not less than this one: where this key's rows begin, if it has any. */
extern int FirstRowOfKey(const AppRows *rows, const char *key);

#endif
