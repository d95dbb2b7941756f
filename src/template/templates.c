/*
 * templates.c - finds the template that a mail gets, part by part, and caches parsed templates.
 *
 * The cache has rows of our two tables, each with its parts parsed, and also notes which rows do
 * not exist. It is dropped as a whole when one of the tables changes. A statement trigger on the
 * tables sends a relation cache invalidation, which reaches every session at commit. It reaches
 * this session at once, and also at a rollback.
 */
#include "postgres.h"

#include "template/templates.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* The cache is dropped if it is larger than this. */
#define MAX_CACHE_BYTES (16 * 1024 * 1024)

/*
 * How many uncached rows, and how many bytes, one mail may read: a template can generate names
 * while it is rendered.
 */
#define MAX_LOADS_PER_MAIL 200
#define MAX_BYTES_OF_MAIL (MAX_CACHE_BYTES + 8 * 1024 * 1024)

typedef struct StoredKey
{
	TemplateOrigin origin;
	int name_length;
	const char *name; /* not terminated when it is looked up */
	const char *organization_id;
} StoredKey;

typedef struct StoredTemplate
{
	StoredKey key;
	StoredPart parts[TEMPLATE_PARTS];
} StoredTemplate;

static MemoryContext cache_context = NULL;
static HTAB *cache = NULL;
static bool cache_is_stale = false;
static Oid overrides_relation = InvalidOid;
static Oid shipped_relation = InvalidOid;
static int loads_of_mail = 0;

/* If a part is larger than a template may be, only one byte more is loaded: enough to refuse it. */
#define LOADED(part)                                                                     \
	"CASE WHEN pg_catalog.octet_length(" part ") OPERATOR(pg_catalog.<=) " CppAsString2( \
		MUSTACHE_MAX_TEMPLATE_SIZE) " THEN " part " ELSE pg_catalog.left(" part          \
									", " CppAsString2(                                   \
										MUSTACHE_MAX_TEMPLATE_SIZE) " OPERATOR(pg_catalog.+) 1) END"

#define LOAD_FROM \
	"SELECT " LOADED("subject") ", " LOADED("html") ", " LOADED("text") " FROM rhesis_notify."

static const char *const load_commands[TEMPLATE_ORIGINS] = {
	LOAD_FROM "templates "
			  "WHERE name OPERATOR(pg_catalog.=) $1 AND organization_id OPERATOR(pg_catalog.=) $2",
	LOAD_FROM "templates WHERE name OPERATOR(pg_catalog.=) $1 AND organization_id IS NULL",
	LOAD_FROM "shipped_templates WHERE name OPERATOR(pg_catalog.=) $1",
};
static SPIPlanPtr load_plans[TEMPLATE_ORIGINS];

const char *
TemplatePartName(TemplatePart part)
{
	static const char *const names[TEMPLATE_PARTS] = {"subject", "html", "text"};

	return names[part];
}

char *
DescribeTemplateError(const MustacheError *error)
{
	StringInfoData text;

	initStringInfo(&text);
	if (error->line > 0)
		appendStringInfo(&text, "line %d, ", error->line);
	if (error->tag != NULL)
		appendStringInfo(&text, "%s, ", error->tag);
	if (text.len > 0)
	{
		text.len -= strlen(", ");
		appendStringInfoString(&text, ": ");
	}
	appendStringInfoString(&text, error->message);
	return text.data;
}

static uint32
HashStoredKey(const void *key, Size keysize)
{
	const StoredKey *stored = key;
	uint32 hash = hash_bytes((const unsigned char *) stored->name, stored->name_length);

	if (stored->organization_id != NULL)
		hash = hash_combine(hash, hash_bytes((const unsigned char *) stored->organization_id,
											 strlen(stored->organization_id)));
	return hash_combine(hash, stored->origin);
}

static int
CompareStoredKeys(const void *a, const void *b, Size keysize)
{
	const StoredKey *one = a;
	const StoredKey *other = b;

	if (one->origin != other->origin || one->name_length != other->name_length ||
		memcmp(one->name, other->name, one->name_length) != 0)
		return 1;
	if (one->organization_id == NULL || other->organization_id == NULL)
		return one->organization_id != other->organization_id;
	return strcmp(one->organization_id, other->organization_id);
}

static void
NoteRelationChange(Datum arg, Oid relation)
{
	if (relation == InvalidOid || relation == overrides_relation || relation == shipped_relation)
		cache_is_stale = true;
}

static void
DropCache(void)
{
	if (cache_context != NULL)
		MemoryContextDelete(cache_context);
	cache_context = NULL;
	cache = NULL;
}

static void
CreateCache(void)
{
	static bool registered = false;
	HASHCTL control = {
		.keysize = sizeof(StoredKey),
		.entrysize = sizeof(StoredTemplate),
		.hash = HashStoredKey,
		.match = CompareStoredKeys,
	};
	Oid schema = get_namespace_oid("rhesis_notify", false);

	if (!registered)
		CacheRegisterRelcacheCallback(NoteRelationChange, (Datum) 0);
	registered = true;

	overrides_relation = get_relname_relid("templates", schema);
	shipped_relation = get_relname_relid("shipped_templates", schema);
	cache_context =
		AllocSetContextCreate(TopMemoryContext, "rhesis_notify templates", ALLOCSET_DEFAULT_SIZES);
	control.hcxt = cache_context;
	cache = hash_create("rhesis_notify templates", 64, &control,
						HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

void
BeginTemplates(void)
{
	loads_of_mail = 0;
	if (cache != NULL && !cache_is_stale &&
		MemoryContextMemAllocated(cache_context, true) <= MAX_CACHE_BYTES)
		return;
	DropCache();
	/* Changes after this point make the cache stale again. */
	cache_is_stale = false;
	CreateCache();
}

void
ParsePart(StoredPart *stored, const char *name, TemplatePart part, const char *source)
{
	MustacheError error = {0};

	stored->present = true;
	if (part == TEMPLATE_SUBJECT)
		stored->subject = ParseSubject(name, source, &error);
	else
		stored->body = MustacheParse(name, source, strlen(source), &error);
	if (error.code != MUSTACHE_OK)
		stored->problem = DescribeTemplateError(&error);
}

/*
 * Reads and parses the row with the entry's key, if there is one. The parsed parts are in the
 * cache's context.
 */
static void
LoadTemplate(StoredTemplate *entry)
{
	TemplateOrigin origin = entry->key.origin;
	Oid types[] = {TEXTOID, TEXTOID};
	Datum arguments[2] = {CStringGetTextDatum(entry->key.name)};
	int argument_count = origin == TEMPLATE_OF_ORGANIZATION ? 2 : 1;
	Snapshot snapshot;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (load_plans[origin] == NULL)
	{
		SPIPlanPtr plan = SPI_prepare(load_commands[origin], argument_count, types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\"", load_commands[origin]);
		load_plans[origin] = plan;
	}
	if (argument_count == 2)
		arguments[1] = CStringGetTextDatum(entry->key.organization_id);

	/*
	 * Read the latest rows even if the transaction's snapshot is older, because the cache keeps
	 * them.
	 */
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	if (SPI_execute_snapshot(load_plans[origin], arguments, NULL, snapshot, InvalidSnapshot, true,
							 false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read template \"%s\"", entry->key.name);
	UnregisterSnapshot(snapshot);

	if (SPI_processed > 0)
	{
		for (int part = 0; part < TEMPLATE_PARTS; part++)
		{
			char *source = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, part + 1);
			MemoryContext caller;

			if (source == NULL)
				continue;
			caller = MemoryContextSwitchTo(cache_context);
			ParsePart(&entry->parts[part], entry->key.name, part, source);
			MemoryContextSwitchTo(caller);
		}
	}
	SPI_finish();
}

/*
 * Returns the row with this key, from the cache or from its table. A row that does not exist has no
 * parts. Returns NULL if the mail has read too many rows.
 */
static StoredTemplate *
FindStored(const StoredKey *key)
{
	StoredTemplate *entry = hash_search(cache, key, HASH_FIND, NULL);
	StoredTemplate loaded = {.key = *key};

	if (entry != NULL)
		return entry;
	if (++loads_of_mail > MAX_LOADS_PER_MAIL ||
		MemoryContextMemAllocated(cache_context, true) > MAX_BYTES_OF_MAIL)
		return NULL;

	loaded.key.name = MemoryContextAllocZero(cache_context, key->name_length + 1);
	memcpy(unconstify(char *, loaded.key.name), key->name, key->name_length);
	if (key->organization_id != NULL)
		loaded.key.organization_id = MemoryContextStrdup(cache_context, key->organization_id);
	LoadTemplate(&loaded);

	entry = hash_search(cache, &loaded.key, HASH_ENTER, NULL);
	memcpy(entry->parts, loaded.parts, sizeof(loaded.parts));
	return entry;
}

/* Returns the proposed part if the proposal has it and belongs to this origin; else NULL. */
static const StoredPart *
FindProposed(const TemplateSearch *search, const char *name, int name_length, TemplatePart part,
			 TemplateOrigin origin)
{
	const TemplateProposal *proposal = search->proposal;

	if (proposal == NULL || !proposal->parts[part].present ||
		(int) strlen(proposal->name) != name_length ||
		memcmp(proposal->name, name, name_length) != 0)
		return NULL;
	if (proposal->organization_id == NULL)
		return origin == TEMPLATE_OF_EVERYBODY ? &proposal->parts[part] : NULL;
	if (origin != TEMPLATE_OF_ORGANIZATION ||
		strcmp(proposal->organization_id, search->organization_id) != 0)
		return NULL;
	return &proposal->parts[part];
}

const StoredPart *
FindTemplate(TemplateSearch *search, const char *name, int name_length, TemplatePart part)
{
	for (TemplateOrigin origin = search->first; origin <= TEMPLATE_SHIPPED; origin++)
	{
		StoredKey key = {.origin = origin, .name_length = name_length, .name = name};
		const StoredPart *proposed;
		StoredTemplate *stored;

		if (origin == TEMPLATE_OF_ORGANIZATION)
		{
			if (search->organization_id == NULL)
				continue;
			key.organization_id = search->organization_id;
		}
		search->found = origin;
		proposed = FindProposed(search, name, name_length, part, origin);
		if (proposed != NULL)
			return proposed;
		stored = FindStored(&key);
		if (stored == NULL)
		{
			search->too_many = true;
			return NULL;
		}
		if (stored->parts[part].present)
			return &stored->parts[part];
	}
	return NULL;
}
