/*
 * templates.c - which template a mail gets, part by part, and the cache of parsed ones.
 *
 * The cache holds rows of our two tables, also the absence of a row, each with its parts parsed. It is dropped as a whole when
 * one of the tables changes: a statement trigger on them sends a relation cache invalidation, which reaches every session at
 * commit and this one at once, at a rollback too.
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

/* The cache begins anew when it is larger than this. */
#define MAX_CACHE_BYTES (16 * 1024 * 1024)

/* A mail may read this many rows that are not in the cache, and as much: a template can make up names as it goes. */
#define MAX_LOADS_PER_MAIL 200
#define MAX_BYTES_OF_MAIL (MAX_CACHE_BYTES + 8 * 1024 * 1024)

typedef struct StoredKey
{
	TemplateOrigin origin;
	int name_length;
	const char *name; /* not terminated when a key is looked up */
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

/* Of a part that is larger than a template may be, one byte more than that: enough to be refused. */
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
	/* What changes from here on makes it stale again. */
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

/* Read and parse the row of that key, if there is one, into the entry; all that is kept goes into the cache's context. */
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

	/* The latest rows, even if the transaction's snapshot is older: what is read here is kept. */
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

/* NULL: the mail has read too many rows. */
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

/* The proposed part, if that is what the origin would have. */
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
