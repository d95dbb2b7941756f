/*
 * recipients_relation.c - see recipients_relation.h.
 *
 * These rules confine a hostile relation:
 *  - The relation is locked before its owner is read, and the statement refuses to run on any other
 *    relation. So nobody can put another relation in its place and have it read with this owner's
 *    rights.
 *  - The statement runs as the owner in a security-restricted operation, like REFRESH MATERIALIZED
 *    VIEW. It cannot return to the session's user, and cannot use temporary objects or deferred
 *    triggers.
 *  - The subtransaction is read-only, which cannot be undone inside it, so even a superuser's view
 *    changes nothing. It is always rolled back, which also restores the user, the settings, the
 *    locks and the notifications.
 *  - row_security is off: if a policy would hide rows, PostgreSQL raises an error instead.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "base/compat.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/params.h"
#include "parser/parse_node.h"
#include "recipients/recipients_relation.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/*
 * If one statement returns more than this, an error is raised: a relation must not exhaust our
 * memory.
 */
#define MAX_ROWS 10000
#define MAX_ROWS_BYTES (8 * 1024 * 1024)

static void
SetInSubtransaction(const char *name, const char *value)
{
	set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Changes settings for the rest of the subtransaction. A migration may lock the application's
 * tables for a long time: do not wait for that here, because the queue waits.
 */
static void
RestrictSubtransaction(void)
{
	SetInSubtransaction("search_path", "pg_catalog, pg_temp");
	SetInSubtransaction("row_security", "off");
	SetInSubtransaction("lock_timeout", "1s");
	/*
	 * The plan is kept. It must still be good when the table has grown, and for any number of
	 * users.
	 */
	SetInSubtransaction("enable_seqscan", "off");
	/*
	 * A small table is read sequentially nevertheless, and that looks so costly that PostgreSQL
	 * would compile the plan.
	 */
	SetInSubtransaction("jit", "off");
	/*
	 * Do not use the setting transaction_read_only: PostgreSQL 17 can change it only for whole
	 * transactions. The end of the subtransaction restores this variable.
	 */
	XactReadOnly = true;
}

/* Changes the user for the rest of the subtransaction. */
static void
BecomeRestricted(Oid user)
{
	Oid current_user;
	int security_context;

	GetUserIdAndSecContext(&current_user, &security_context);
	SetUserIdAndSecContext(user, security_context | SECURITY_RESTRICTED_OPERATION);
}

/*
 * Opens and locks the relation of this name. Returns NULL if there is none and it is optional.
 *
 * The name has the same meaning for every caller: it uses no search path, and needs no right to use
 * the schema. The owner's rights are checked when the statement runs.
 */
static Relation
OpenAppRelation(const AppRelation *wanted, const char *name)
{
	RangeVar *range = makeRangeVarFromNameList(RhesisParseQualifiedName(name));
	Relation relation;
	Oid relid;

	if (range->schemaname == NULL)
		range->schemaname = "public";
	BecomeRestricted(BOOTSTRAP_SUPERUSERID);
	relid = RangeVarGetRelid(range, AccessShareLock, wanted->is_optional);
	if (!OidIsValid(relid))
		return NULL;

	relation = relation_open(relid, NoLock);
	switch (relation->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_VIEW:
		case RELKIND_MATVIEW:
		case RELKIND_FOREIGN_TABLE:
			return relation;
		default:
			ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
							errmsg("\"%s\" is not a table or view", name)));
	}
}

/* Returns the attribute of a wanted column; NULL if the relation has no such column. */
static const FormData_pg_attribute *
FindColumn(Relation relation, const AppColumn *column)
{
	TupleDesc attributes = RelationGetDescr(relation);

	for (int i = 0; column->name != NULL && i < attributes->natts; i++)
	{
		const FormData_pg_attribute *attribute = TupleDescAttr(attributes, i);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), column->name) == 0)
			return attribute;
	}
	return NULL;
}

/*
 * Raises an error if the type of the column does not fit its purpose. Returns the key type of a key
 * column, else NULL.
 */
static const KeyType *
CheckColumn(Relation relation, const AppColumn *column, Oid type)
{
	const KeyType *key_type = column->form == APP_COLUMN_KEY ? KeyTypeOf(type) : NULL;

	if (column->form == APP_COLUMN_KEY && key_type == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of relation \"%s\" has type %s, which cannot be a key",
					column->name, RelationGetRelationName(relation), format_type_be(type)),
			 errhint("Name a view in rhesis_notify.recipients whose %s is of type " KEY_TYPE_NAMES
					 ".",
					 column->name)));
	if (column->form == APP_COLUMN_FLAG && getBaseType(type) != BOOLOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation \"%s\" has type %s, not boolean", column->name,
						RelationGetRelationName(relation), format_type_be(type)),
				 errhint("Name a view in rhesis_notify.recipients that compares it.")));
	return key_type;
}

static void
AppendColumn(StringInfo statement, const AppColumn *column, bool exists)
{
	const char *name = exists ? quote_identifier(column->name) : NULL;

	if (!exists)
		appendStringInfoString(statement, "NULL::pg_catalog.text");
	else if (column->form == APP_COLUMN_TEXT)
		appendStringInfo(statement, "pg_catalog.left(r.%s::pg_catalog.text, %d)", name,
						 column->max_chars);
	else if (column->form == APP_COLUMN_KEY)
		/*
		 * A longer value cannot equal an id that is asked for. Its first bytes are enough to see
		 * that.
		 */
		appendStringInfo(statement, "pg_catalog.left(r.%s::pg_catalog.text, %d)", name,
						 KEY_MAX_BYTES + 1);
	else if (column->form == APP_COLUMN_IS_SET)
		appendStringInfo(statement, "(r.%s IS NOT NULL)::pg_catalog.text", name);
	else
		appendStringInfo(statement, "r.%s::pg_catalog.text", name);
}

/*
 * Returns the statement, and fills in rows->key_types. Returns NULL if the relation is optional and
 * lacks a required column. Raises an error if another relation lacks one, or if a column does not
 * fit.
 */
static char *
BuildStatement(const AppRelation *wanted, Relation relation, AppRows *rows)
{
	StringInfoData statement;

	Assert(wanted->column_count <= APP_COLUMNS_MAX);
	Assert(wanted->columns[0].form == APP_COLUMN_KEY && wanted->columns[0].is_required);
	initStringInfo(&statement);
	for (int i = 0; i < wanted->column_count; i++)
	{
		const AppColumn *column = &wanted->columns[i];
		const FormData_pg_attribute *attribute = FindColumn(relation, column);

		if (attribute != NULL)
			rows->key_types[i] = CheckColumn(relation, column, attribute->atttypid);
		else if (column->is_required && wanted->is_optional)
			return NULL;
		else if (column->is_required)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("relation \"%s\" has no column \"%s\"",
								   RelationGetRelationName(relation), column->name)));

		appendStringInfoString(&statement, i == 0 ? "SELECT " : ", ");
		AppendColumn(&statement, column, attribute != NULL);
	}
	appendStringInfo(&statement, " FROM %s AS r WHERE r.%s OPERATOR(pg_catalog.=) ANY ($1)",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
												RelationGetRelationName(relation)),
					 quote_identifier(wanted->columns[0].name));
	return statement.data;
}

/*
 * Fills in rows->keys. Returns an array of those ids that are values of the key's type; *count is
 * their number.
 */
static ArrayType *
BuildKeyArray(const KeyType *type, const char *const *ids, int id_count, AppRows *rows, int *count)
{
	Datum *values = palloc(id_count * sizeof(Datum));
	int16 length;
	bool by_value;
	char alignment;

	*count = 0;
	for (int i = 0; i < id_count; i++)
	{
		rows->keys[i] = type->parse(ids[i], &values[*count]);
		if (rows->keys[i] != NULL)
			(*count)++;
	}
	get_typlenbyvalalign(type->element_type, &length, &by_value, &alignment);
	return construct_array(values, *count, type->element_type, length, by_value, alignment);
}

/*
 * Returns the statement's parameter. PostgreSQL calls this each time it parses the statement.
 * Schemas can be renamed in spite of our lock, so check here that the name still means the relation
 * whose owner we have become.
 */
static Node *
MakeKeysParam(ParseState *parse_state, ParamRef *reference)
{
	const AppRelation *wanted = parse_state->p_ref_hook_state;
	Param *param = makeNode(Param);

	if (linitial_node(RangeTblEntry, parse_state->p_rtable)->relid != wanted->relid)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the relation was replaced while it was being read")));
	param->paramkind = PARAM_EXTERN;
	param->paramid = reference->number;
	param->paramtype = wanted->key_array_type;
	param->paramtypmod = -1;
	param->paramcollid = get_typcollation(wanted->key_array_type);
	param->location = reference->location;
	return (Node *) param;
}

static void
SetUpParser(ParseState *parse_state, void *wanted)
{
	parse_state->p_ref_hook_state = wanted;
	parse_state->p_paramref_hook = MakeKeysParam;
}

/*
 * Prepares the statement unless this session has it already. The plan outlives the subtransaction.
 */
static void
PrepareStatement(AppRelation *wanted, const char *statement)
{
	SPIPlanPtr plan;

	if (wanted->plan != NULL && wanted->planned_relid == wanted->relid &&
		strcmp(wanted->statement, statement) == 0)
		return;

	if (wanted->plan != NULL)
	{
		SPI_freeplan(wanted->plan);
		wanted->plan = NULL;
		pfree(wanted->statement);
	}
	plan = SPI_prepare_params(statement, SetUpParser, wanted, 0);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_params failed: %s", SPI_result_code_string(SPI_result));
	wanted->statement = MemoryContextStrdup(TopMemoryContext, statement);
	wanted->planned_relid = wanted->relid;
	SPI_keepplan(plan);
	wanted->plan = plan;
}

/*
 * Receives the rows of the statement one by one, so that no row is in memory twice, and the limits
 * are checked early.
 */
typedef struct RowReceiver
{
	DestReceiver receiver;
	const AppRelation *wanted;
	AppRows *rows;
	int allocated;
	Size bytes;
} RowReceiver;

static void
GrowRows(RowReceiver *self)
{
	AppRows *rows = self->rows;

	if (rows->count < self->allocated)
		return;
	self->allocated *= 2;
	rows->values = repalloc(rows->values, self->allocated * sizeof(AppValues));
}

/*
 * Adds a row to rows, or raises an error if a limit is exceeded. A row whose key is null is left
 * out. It was found by its key, but a view's function that is wrongly labelled immutable or stable
 * may return another value when it is called again.
 */
static bool
ReceiveRow(TupleTableSlot *slot, DestReceiver *receiver)
{
	RowReceiver *self = (RowReceiver *) receiver;
	AppRows *rows = self->rows;
	MemoryContext caller = MemoryContextSwitchTo(rows->context);
	char **values;

	slot_getallattrs(slot);
	if (rows->count == MAX_ROWS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg_plural("the relation has more than %d row for these ids",
									  "the relation has more than %d rows for these ids", MAX_ROWS,
									  MAX_ROWS)));
	GrowRows(self);
	values = rows->values[rows->count];
	memset(values, 0, sizeof(AppValues));
	for (int column = 0; column < self->wanted->column_count; column++)
	{
		if (slot->tts_isnull[column])
			continue;
		values[column] = TextDatumGetCString(slot->tts_values[column]);
		self->bytes += strlen(values[column]);
	}
	if (self->bytes > MAX_ROWS_BYTES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the relation has more than %d MB for these ids",
							   MAX_ROWS_BYTES / (1024 * 1024))));
	if (values[0] != NULL)
		rows->count++;
	MemoryContextSwitchTo(caller);
	return true;
}

static void
BeginRows(DestReceiver *self, int operation, TupleDesc descriptor)
{
}

static void
EndRows(DestReceiver *self)
{
}

static void
ExecuteStatement(const AppRelation *wanted, ArrayType *keys, AppRows *rows)
{
	ParamListInfo params = makeParamList(1);
	RowReceiver receiver = {
		.receiver = {ReceiveRow, BeginRows, EndRows, EndRows, DestTuplestore},
		.wanted = wanted,
		.rows = rows,
		.allocated = 64,
	};
	SPIExecuteOptions options = {
		.params = params,
		.read_only = true,
		.tcount = MAX_ROWS + 1,
		.dest = &receiver.receiver,
	};
	int result;

	params->params[0].value = PointerGetDatum(keys);
	params->params[0].isnull = false;
	params->params[0].pflags = PARAM_FLAG_CONST;
	params->params[0].ptype = wanted->key_array_type;

	rows->values = MemoryContextAlloc(rows->context, receiver.allocated * sizeof(AppValues));
	result = SPI_execute_plan_extended(wanted->plan, &options);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan_extended failed: %s", SPI_result_code_string(result));
}

static int
CompareRows(const void *a, const void *b)
{
	return strcmp((*(const AppValues *) a)[0], (*(const AppValues *) b)[0]);
}

/* Does the work of ReadAppRelation() that happens inside the subtransaction. */
static void
ReadAsOwner(AppRelation *wanted, const char *name, const char *const *ids, int id_count,
			AppRows *rows)
{
	Relation relation;
	char *statement;
	ArrayType *keys;
	int key_count;

	RestrictSubtransaction();
	relation = OpenAppRelation(wanted, name);
	if (relation == NULL)
		return;
	wanted->relid = RelationGetRelid(relation);
	rows->owner = relation->rd_rel->relowner;
	statement = BuildStatement(wanted, relation, rows);
	relation_close(relation, NoLock);
	if (statement == NULL)
		return;
	wanted->key_array_type = get_array_type(rows->key_types[0]->element_type);
	keys = BuildKeyArray(rows->key_types[0], ids, id_count, rows, &key_count);
	if (key_count == 0)
		return;

	BecomeRestricted(rows->owner);
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	PrepareStatement(wanted, statement);
	ExecuteStatement(wanted, keys, rows);
	SPI_finish();
	PopActiveSnapshot();
	qsort(rows->values, rows->count, sizeof(AppValues), CompareRows);
}

ErrorData *
ReadAppRelation(AppRelation *wanted, const char *name, const char *const *ids, int id_count,
				AppRows *rows)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner resource_owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	Assert(IsTransactionState());
	memset(rows, 0, sizeof(*rows));
	rows->context =
		AllocSetContextCreate(context, "rhesis_notify recipients", ALLOCSET_DEFAULT_SIZES);
	rows->keys = MemoryContextAllocZero(rows->context, id_count * sizeof(char *));
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(rows->context);
	PG_TRY();
	{
		ReadAsOwner(wanted, name, ids, id_count, rows);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = resource_owner;
	if (error != NULL)
		FreeAppRows(rows);
	return error;
}

void
FreeAppRows(AppRows *rows)
{
	if (rows->context != NULL)
		MemoryContextDelete(rows->context);
	rows->context = NULL;
	rows->count = 0;
}

int
FirstRowOfKey(const AppRows *rows, const char *key)
{
	int low = 0;
	int high = rows->count;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (strcmp(rows->values[middle][0], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	Assert(low == 0 || strcmp(rows->values[low - 1][0], key) < 0);
	Assert(low == rows->count || strcmp(rows->values[low][0], key) >= 0);
	return low;
}
