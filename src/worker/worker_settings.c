/*
 * worker_settings.c - see worker_settings.h.
 *
 * ALTER DATABASE and ALTER ROLE are meant for the sessions of the application. A read-only
 * database, an isolation level, a time-out, planner settings or exit_on_error must not change what
 * the worker does, nor its plans, nor end it. New versions of PostgreSQL bring new settings, so the
 * code does not list them: each setting that a user or a superuser may change goes back to the
 * value of the server's configuration. The exceptions are:
 *
 * - settings with a dot in their name: those of this extension, and those that views of the
 *   application read
 * - settings for how values are written (time zone, DateStyle, lc_numeric and the like): a view
 *   that formats a value writes it as it does for the application. Our own statements write no
 *   such value.
 * - settings for what is logged: the superuser who has set them wants to see this process, too
 * - synchronous_commit, which PinSettings only raises to "local"
 *
 * PinSettings pins a second list of settings, whatever the server's configuration says: our
 * statements and their plans rely on them.
 *
 * A relation of the application can change settings while the worker reads it. The worker reads it
 * in a subtransaction, whose end undoes the change. exit_on_error and transaction_timeout could end
 * the process before that, so ForbidDeadlySettings() refuses to change them there.
 */
#include "postgres.h"

#include "worker/worker_settings.h"

#include "access/xact.h"
#include "base/compat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"
#include "worker/worker_slot.h"

typedef struct ServerSetting
{
	const char *name;
	char *value;
} ServerSetting;

static ServerSetting *server_settings;
static int server_setting_count;

/* Returns true for the exceptions that the list above names. */
static bool
IsLeftToTheApp(const char *name)
{
	static const char *const names[] = {
		"TimeZone",
		"timezone_abbreviations",
		"DateStyle",
		"IntervalStyle",
		"extra_float_digits",
		"bytea_output",
		"default_text_search_config",
		"lc_messages",
		"lc_monetary",
		"lc_numeric",
		"lc_time",
		"xmlbinary",
		"xmloption",
		"synchronous_commit",
	};

	if (strchr(name, '.') != NULL || strncmp(name, "log_", 4) == 0)
		return true;
	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

/*
 * Returns true for settings that are not restored, because setting them is an action: it changes
 * the transaction or the user (PinSettings() undoes the latter), or seeds the random numbers.
 */
static bool
IsAct(const char *name)
{
	static const char *const names[] = {
		"transaction_isolation",  "transaction_read_only",
		"transaction_deferrable", "role",
		"session_authorization",  "seed",
	};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static bool
IsRestored(const struct config_generic *setting)
{
	return (setting->context == PGC_USERSET || setting->context == PGC_SUSET) &&
		   !IsLeftToTheApp(setting->name) && !IsAct(setting->name);
}

/*
 * Sets a setting for the rest of the session, so that ALTER DATABASE and ALTER ROLE do not change
 * it. Does nothing if this version of PostgreSQL lacks the setting.
 */
static void
PinSetting(const char *name, const char *value)
{
	if (GetConfigOption(name, true, false) != NULL)
		SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * Pins settings that can end the connection while it is made. From PostgreSQL 18 on, PostgreSQL
 * looks for the conversion to client_encoding in the library path, and a transaction reads the
 * catalogs. ALTER DATABASE and ALTER ROLE do not change a setting that was pinned before.
 */
static void
PinForConnection(void)
{
	char *library_path = pstrdup(GetConfigOption("dynamic_library_path", false, false));

	PinSetting("dynamic_library_path", library_path);
	PinSetting("exit_on_error", "off");
	PinSetting("statement_timeout", "0");
	PinSetting("transaction_timeout", "0");
	pfree(library_path);
}

void
RememberServerSettings(void)
{
	int count;
	struct config_generic **settings = RhesisGucVariables(&count);

	server_settings = MemoryContextAlloc(TopMemoryContext, count * sizeof(ServerSetting));
	for (int i = 0; i < count; i++)
	{
		const char *name = settings[i]->name;
		ServerSetting *saved = &server_settings[server_setting_count];

		if (!IsRestored(settings[i]))
			continue;
		saved->name = name;
		saved->value = MemoryContextStrdup(TopMemoryContext, GetConfigOption(name, true, false));
		server_setting_count++;
	}
	PinForConnection();
}

/* Returns true if ALTER DATABASE or ALTER ROLE has set this, and it is to be restored. */
static bool
IsSetForTheApp(const struct config_generic *setting)
{
	switch (setting->source)
	{
		case PGC_S_GLOBAL:
		case PGC_S_DATABASE:
		case PGC_S_USER:
		case PGC_S_DATABASE_USER:
			return IsRestored(setting);
		default:
			return false;
	}
}

static void
RestoreServerSettings(void)
{
	int count;
	struct config_generic **settings = RhesisGucVariables(&count);

	for (int i = 0; i < count; i++)
	{
		for (int j = 0; IsSetForTheApp(settings[i]) && j < server_setting_count; j++)
		{
			/*
			 * If a value is refused, log a warning: a worker without the setting is better than no
			 * worker.
			 */
			if (strcmp(settings[i]->name, server_settings[j].name) == 0)
				(void) set_config_option(server_settings[j].name, server_settings[j].value,
										 PGC_SUSET, PGC_S_OVERRIDE, GUC_ACTION_SET, true, WARNING,
										 false);
		}
	}
}

/*
 * Keeps relations of the application from changing two settings. With these settings, an error or a
 * slow read could end the process.
 */
static void
ForbidDeadlySettings(void)
{
	static const char *const names[] = {"exit_on_error", "transaction_timeout"};
	int count;
	struct config_generic **settings = RhesisGucVariables(&count);

	for (int i = 0; i < count; i++)
	{
		for (int j = 0; j < (int) lengthof(names); j++)
		{
			/*
			 * With this flag, PostgreSQL refuses to change the setting in a security-restricted
			 * operation, as it refuses SET ROLE.
			 */
			if (strcmp(settings[i]->name, names[j]) == 0)
				settings[i]->flags |= GUC_NOT_WHILE_SEC_REST;
		}
	}
}

void
PinSettings(void)
{
	static const char *const pinned[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"role", "none"},
		{"session_replication_role", "origin"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"exit_on_error", "off"},
		{"restrict_nonsystem_relation_kind", ""}, /* our statements read views of ours */
		{"statement_timeout", "0"},
		{"lock_timeout", "1s"}, /* a long lock must not keep our transaction open */
		{"transaction_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
		{"zero_damaged_pages", "off"},
		{"row_security", "off"}, /* no row is hidden: PostgreSQL raises an error instead */
		{"transform_null_equals", "off"},
		{"array_nulls", "on"},
		{"default_tablespace", ""},
		{"temp_tablespaces", ""},
		{"commit_delay", "0"},
		/* Our statements were measured with the defaults of the planner. */
		{"enable_bitmapscan", "on"},
		{"enable_distinct_reordering", "on"},
		{"enable_eager_aggregate", "on"},
		{"enable_group_by_reordering", "on"},
		{"enable_hashagg", "on"},
		{"enable_hashjoin", "on"},
		{"enable_incremental_sort", "on"},
		{"enable_indexonlyscan", "on"},
		{"enable_indexscan", "on"},
		{"enable_material", "on"},
		{"enable_memoize", "on"},
		{"enable_mergejoin", "on"},
		{"enable_nestloop", "on"},
		{"enable_partition_pruning", "on"},
		{"enable_presorted_aggregate", "on"},
		{"enable_self_join_elimination", "on"},
		{"enable_seqscan", "on"},
		{"enable_sort", "on"},
		{"enable_tidscan", "on"},
		{"seq_page_cost", "1"},
		{"random_page_cost", "4"},
		{"cpu_tuple_cost", "0.01"},
		{"cpu_index_tuple_cost", "0.005"},
		{"cpu_operator_cost", "0.0025"},
		{"cursor_tuple_fraction", "0.1"},
		{"recursive_worktable_factor", "10"},
		{"min_eager_agg_group_size", "8"},
		{"from_collapse_limit", "8"},
		{"join_collapse_limit", "8"},
		{"geqo", "off"},
		{"constraint_exclusion", "partition"},
		{"plan_cache_mode", "auto"},
		{"jit", "off"},
		{"max_parallel_workers_per_gather", "0"},
		{"force_parallel_mode", "off"},
		{"debug_parallel_query", "off"},
	};

	char application_name[NAMEDATALEN];

	/* ALTER DATABASE ... SET session_authorization may have changed the user of this session. */
	if (GetSessionUserId() != GetAuthenticatedUserId())
		SetSessionAuthorization(GetAuthenticatedUserId(), true);
	RestoreServerSettings();
	for (int i = 0; i < (int) lengthof(pinned); i++)
		PinSetting(pinned[i][0], pinned[i][1]);
	PinSetting("client_encoding", GetDatabaseEncodingName());
	snprintf(application_name, sizeof(application_name), "rhesis_notify worker %d",
			 my_slot->number + 1);
	PinSetting("application_name", application_name);

	/* A recorded outcome must not get lost: the mail would be sent again. */
	if (synchronous_commit < SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
		PinSetting("synchronous_commit", "local");
	ForbidDeadlySettings();
}
