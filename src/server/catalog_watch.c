/*
 * catalog_watch.c - notices what happens to the extension and to databases' settings.
 *
 * CREATE, ALTER and DROP of the extension, and ALTER DATABASE or ALTER ROLE … SET, are seen where core changes the
 * catalogs, so it does not matter by which command (DROP OWNED and DROP SCHEMA CASCADE never name the extension). What was
 * seen is told to launcher and workers at commit.
 */
#include "postgres.h"

#include "server/catalog_watch.h"

#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "server/wakeup.h"

static object_access_hook_type previous_hook = NULL;

static bool
IsOurExtension(Oid extension)
{
	char *name = get_extension_name(extension);
	bool ours = name != NULL && strcmp(name, "rhesis_notify") == 0;

	if (name)
		pfree(name);
	return ours;
}

/* Of roles' settings those of the workers' own role count: everybody may change their own. */
static bool
BindsWorkers(Oid role)
{
	return !OidIsValid(role) || role == BOOTSTRAP_SUPERUSERID;
}

static void
WatchObjectAccess(ObjectAccessType access, Oid class, Oid object, int sub_object, void *arg)
{
	if (previous_hook)
		previous_hook(access, class, object, sub_object, arg);

	if (access != OAT_POST_CREATE && access != OAT_POST_ALTER && access != OAT_DROP)
		return;

	/* While it is created its row is not visible yet: any extension is looked at. */
	if (class == ExtensionRelationId && (access == OAT_POST_CREATE || IsOurExtension(object)))
		AnnounceChangeAtCommit(MyDatabaseId);
	else if (class == DbRoleSettingRelationId && access == OAT_POST_ALTER &&
			 BindsWorkers(((ObjectAccessPostAlter *) arg)->auxiliary_id))
		AnnounceChangeAtCommit(object);
	else if (class == DatabaseRelationId && access != OAT_DROP)
		AnnounceChangeAtCommit(object);
}

void
WatchCatalogs(void)
{
	previous_hook = object_access_hook;
	object_access_hook = WatchObjectAccess;
}
