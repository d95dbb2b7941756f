/*
 * recipients_relation.h - reads rows of one relation of the application, by key, as the relation's
 * owner.
 *
 * The relation, and the functions that its view calls, are not trusted. They run only with the
 * owner's rights, in a security-restricted, read-only subtransaction that is always rolled back.
 * Their errors are returned as values.
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

/*
 * A kind of relation: which columns are read, and the statement that this session has prepared for
 * it.
 */
typedef struct AppRelation
{
	const AppColumn *columns; /* the first one is the key that rows are looked up by */
	int column_count;
	bool is_optional; /* a missing relation, or one without its key, counts as empty */

	/* Used only by recipients_relation.c: */
	Oid relid;
	Oid planned_relid;
	Oid key_array_type;
	char *statement;
	SPIPlanPtr plan;
} AppRelation;

typedef char *AppValues[APP_COLUMNS_MAX]; /* a row: text or NULL for each column */

typedef struct AppRows
{
	MemoryContext context; /* holds what the other members point to; NULL: nothing was read */
	Oid owner;			   /* the relation's owner; InvalidOid: it was not opened */
	const KeyType *key_types[APP_COLUMNS_MAX]; /* for the key columns that exist */
	char **keys; /* each id as the key column writes it; NULL: no value of its type */
	int count;
	AppValues *values; /* in the order of their keys */
} AppRows;

/*
 * Reads the rows of the ids from the relation of this name (with its schema; without one, in
 * public), in one statement over its index. Returns NULL and fills in *rows, or returns the error,
 * palloc'd in the current memory context. The error may be a cancellation: the caller must find out
 * whether it has caused it. Needs an open transaction. FreeAppRows() frees the rows.
 */
extern ErrorData *ReadAppRelation(AppRelation *relation, const char *name, const char *const *ids,
								  int id_count, AppRows *rows);

extern void FreeAppRows(AppRows *rows);

/*
 * Returns the index of the first row whose key is not less than key, or rows->count if there is
 * none. If there are rows with this key, they begin there.
 */
extern int FirstRowOfKey(const AppRows *rows, const char *key);

#endif
