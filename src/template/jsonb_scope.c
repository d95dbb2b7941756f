/*
 * jsonb_scope.c - gives a template the members of a jsonb value, and variables of the caller.
 *
 * Members are read in place: a look-up allocates nothing. Strings are not copied, so the jsonb must
 * stay where it is while a template is rendered.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "template/jsonb_scope.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/numeric.h"

StaticAssertDecl(SCOPE_MAX_VARIABLES < SCOPE_SLOTS, "a search must come to an empty slot");

static void
SetValue(const JsonbValue *jsonb, MustacheValue *value)
{
	value->length = 0;
	value->data = NULL;
	switch (jsonb->type)
	{
		case jbvString:
			value->kind = MUSTACHE_STRING;
			value->data = jsonb->val.string.val;
			value->length = jsonb->val.string.len;
			break;
		case jbvNumeric:
			value->kind = MUSTACHE_NUMBER;
			value->data = jsonb->val.numeric;
			break;
		case jbvBool:
			value->kind = jsonb->val.boolean ? MUSTACHE_TRUE : MUSTACHE_FALSE;
			break;
		case jbvBinary:
			value->data = jsonb->val.binary.data;
			if (JsonContainerIsArray(jsonb->val.binary.data))
			{
				value->kind = MUSTACHE_LIST;
				value->length = JsonContainerSize(jsonb->val.binary.data);
			}
			else
				value->kind = MUSTACHE_OBJECT;
			break;
		default:
			value->kind = MUSTACHE_NULL;
			break;
	}
}

/*
 * Returns the container of a list or object. PostgreSQL's functions for containers do not change
 * them, but their parameters are not const.
 */
static JsonbContainer *
ContainerOf(const MustacheValue *value)
{
	Assert(value->data != NULL && (value->kind == MUSTACHE_LIST || value->kind == MUSTACHE_OBJECT));
	return (JsonbContainer *) unconstify(void *, value->data);
}

static void
SetRoot(const Jsonb *values, MustacheValue *value)
{
	JsonbValue jsonb;
	JsonbContainer *container;

	if (values == NULL)
	{
		jsonb.type = jbvNull;
		SetValue(&jsonb, value);
		return;
	}
	container = unconstify(JsonbContainer *, &values->root);
	if (!JsonContainerIsScalar(container))
	{
		jsonb.type = jbvBinary;
		jsonb.val.binary.data = container;
		SetValue(&jsonb, value);
	}
	else
		SetValue(getIthJsonbValueFromContainer(container, 0), value);
}

static void
Root(void *arg, MustacheValue *value)
{
	*value = ((JsonbScope *) arg)->root;
}

static bool
JsonbMember(const JsonbScope *scope, const MustacheValue *object, const char *name, int name_length,
			MustacheValue *value)
{
	JsonbValue member;

	if (object->kind != MUSTACHE_OBJECT || object->data == NULL ||
		getKeyJsonValueFromContainer(ContainerOf(object), name, name_length, &member) == NULL)
		return false;
	SetValue(&member, value);
	if (value->kind == MUSTACHE_STRING && scope->filter != NULL)
		scope->filter(scope->filter_arg, name, name_length, value);
	return true;
}

/*
 * Returns the slot where the search for a variable of this name begins. The search goes on from
 * slot to slot until an empty one.
 */
static unsigned int
SlotOf(const char *name, int name_length)
{
	unsigned int first = (unsigned char) name[0];
	unsigned int last = (unsigned char) name[Max(name_length, 1) - 1];

	return (first * 5 + last * 3 + name_length * 17) % SCOPE_SLOTS;
}

static const ScopeVariable *
FindVariable(const JsonbScope *scope, const char *name, int name_length)
{
	unsigned int slot = SlotOf(name, name_length);

	for (; scope->slots[slot] != NULL; slot = (slot + 1) % SCOPE_SLOTS)
	{
		const char *found = scope->slots[slot]->name;

		if (found[0] == name[0] && strncmp(found, name, name_length) == 0 &&
			found[name_length] == '\0')
			return scope->slots[slot];
	}
	return NULL;
}

static void
FillSlots(JsonbScope *scope, const ScopeVariable *variables, int variable_count)
{
	if (variable_count > SCOPE_MAX_VARIABLES)
		elog(ERROR, "a template has %d variables, more than %d", variable_count,
			 SCOPE_MAX_VARIABLES);
	memset(scope->slots, 0, sizeof(scope->slots));
	for (int i = 0; i < variable_count; i++)
	{
		unsigned int slot = SlotOf(variables[i].name, strlen(variables[i].name));

		while (scope->slots[slot] != NULL)
			slot = (slot + 1) % SCOPE_SLOTS;
		scope->slots[slot] = &variables[i];
	}
}

static bool
PlainMember(void *arg, const MustacheValue *object, const char *name, int name_length,
			MustacheValue *value)
{
	return JsonbMember(arg, object, name, name_length, value);
}

/* Returns true if this member is used instead of a replaceable variable of the same name. */
static bool
Replaces(const MustacheValue *value)
{
	return value->kind == MUSTACHE_NUMBER || (value->kind == MUSTACHE_STRING && value->length > 0);
}

/* Looks up a member. At the root, variables of the caller are looked up first. */
static bool
LayeredMember(void *arg, const MustacheValue *object, const char *name, int name_length,
			  MustacheValue *value)
{
	const JsonbScope *scope = arg;
	const ScopeVariable *variable = NULL;

	if (object->data == scope->root.data)
		variable = FindVariable(scope, name, name_length);
	if (variable == NULL)
		return JsonbMember(scope, object, name, name_length, value);
	if (variable->replaceable && JsonbMember(scope, object, name, name_length, value) &&
		Replaces(value))
		return true;

	value->kind = variable->kind;
	value->data = variable->text;
	value->length = variable->kind == MUSTACHE_STRING ? strlen(variable->text) : 0;
	return true;
}

static void
Element(void *arg, const MustacheValue *list, int index, MustacheValue *value)
{
	const JsonbScope *scope = arg;
	JsonbValue *element = getIthJsonbValueFromContainer(ContainerOf(list), index);

	Assert(element != NULL && index < list->length);
	SetValue(element, value);
	pfree(element);
	if (value->kind == MUSTACHE_STRING && scope->filter != NULL)
		scope->filter(scope->filter_arg, NULL, 0, value);
}

static bool
IsZero(void *arg, const MustacheValue *number)
{
	Datum sign = DirectFunctionCall1(numeric_sign, PointerGetDatum(number->data));
	bool is_zero = DatumGetInt32(DirectFunctionCall1(numeric_int4, sign)) == 0;

	pfree(DatumGetPointer(sign));
	return is_zero;
}

static void
AppendNumber(const void *number, StringInfo out)
{
	char *text = DatumGetCString(DirectFunctionCall1(numeric_out, PointerGetDatum(number)));

	appendStringInfoString(out, text);
	pfree(text);
}

/* Appends a JSON string. If it is longer than max_length, appends only enough to exceed that. */
static void
AppendJsonString(const JsonbValue *string, int max_length, StringInfo out)
{
	char *text = pnstrdup(string->val.string.val, Min(string->val.string.len, max_length));

	escape_json(out, text);
	pfree(text);
}

static void
AppendJsonScalar(const JsonbValue *scalar, int max_length, StringInfo out)
{
	switch (scalar->type)
	{
		case jbvString:
			AppendJsonString(scalar, max_length, out);
			break;
		case jbvNumeric:
			AppendNumber(scalar->val.numeric, out);
			break;
		case jbvBool:
			appendStringInfoString(out, scalar->val.boolean ? "true" : "false");
			break;
		default:
			appendStringInfoString(out, "null");
			break;
	}
}

/*
 * Appends a list or object as jsonb prints it, and stops when the text is longer than max_length.
 * Do not use jsonb's own output function: a few bytes of jsonb can be a number of 100,000 digits,
 * so the text could take all memory.
 */
static void
AppendJson(JsonbContainer *container, int max_length, StringInfo out)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue value;
	int limit = out->len + max_length;
	bool separate = false;

	while (out->len <= limit && (token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_END_ARRAY || token == WJB_END_OBJECT)
		{
			appendStringInfoChar(out, token == WJB_END_ARRAY ? ']' : '}');
			separate = true;
			continue;
		}

		if (separate)
			appendStringInfoString(out, ", ");
		separate = token == WJB_VALUE || token == WJB_ELEM;
		if (token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT)
			appendStringInfoChar(out, token == WJB_BEGIN_ARRAY ? '[' : '{');
		else
		{
			AppendJsonScalar(&value, max_length, out);
			if (token == WJB_KEY)
				appendStringInfoString(out, ": ");
		}
	}
}

/*
 * Cuts the text that begins at start if it is longer than max_text, and ends it with an ellipsis.
 */
static void
CutText(const JsonbScope *scope, int start, StringInfo out)
{
	if (scope->max_text == 0 || out->len - start <= scope->max_text)
		return;
	out->len = start + pg_mbcliplen(out->data + start, out->len - start, scope->max_text);
	out->data[out->len] = '\0';
	appendStringInfoString(out, "...");
}

static bool
AppendText(void *arg, const MustacheValue *value, int max_length, StringInfo out)
{
	const JsonbScope *scope = arg;
	int length_before = out->len;
	int max_json = scope->max_text > 0 ? Min(scope->max_text, max_length) : max_length;

	if (value->kind == MUSTACHE_NUMBER)
		AppendNumber(value->data, out);
	else if (value->data != NULL)
		AppendJson(ContainerOf(value), max_json, out);
	else
		appendStringInfoString(out, "{}");
	CutText(scope, length_before, out);
	if (out->len - length_before <= max_length)
		return true;
	out->len = length_before;
	out->data[out->len] = '\0';
	return false;
}

static const MustacheTemplate *
Partial(void *arg, const char *name, int name_length, MustacheError *error)
{
	const JsonbScope *scope = arg;

	if (scope->partial_source == NULL)
		return NULL;
	return scope->partial_source(scope->partial_arg, name, name_length, error);
}

static void
CheckForInterrupts(void *arg)
{
	CHECK_FOR_INTERRUPTS();
}

void
InitJsonbScope(JsonbScope *scope, const ScopeVariable *variables, int variable_count,
			   const Jsonb *values, PartialSource partial_source, void *partial_arg)
{
	scope->filter = NULL;
	scope->filter_arg = NULL;
	scope->max_text = 0;
	FillSlots(scope, variables, variable_count);
	scope->partial_source = partial_source;
	scope->partial_arg = partial_arg;
	SetRoot(values, &scope->root);
	if (variable_count > 0 && scope->root.kind != MUSTACHE_OBJECT)
	{
		scope->root.kind = MUSTACHE_OBJECT;
		scope->root.data = NULL;
	}

	scope->scope.arg = scope;
	scope->scope.root = Root;
	scope->scope.member = variable_count > 0 ? LayeredMember : PlainMember;
	scope->scope.element = Element;
	scope->scope.is_zero = IsZero;
	scope->scope.append_text = AppendText;
	scope->scope.partial = Partial;
	scope->scope.check_for_interrupts = CheckForInterrupts;
}
