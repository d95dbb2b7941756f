/*
 * catalog_watch.c - see catalog_watch.h.
 *
 * The hook sees CREATE, ALTER and DROP of the extension, and ALTER DATABASE or ALTER ROLE … SET,
 * where PostgreSQL changes its catalogs. So it does not matter which command made the change: DROP
 * OWNED and DROP SCHEMA CASCADE never name the extension. The transaction tells launcher and
 * workers at its commit.
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

/*
 * Returns true if the settings of this role (InvalidOid: of all roles) apply to workers. The
 * settings of other roles do not count: every user may change the user's own settings.
 */
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

	/*
	 * While an extension is created, its row is not visible yet, so its name cannot be read.
	 * Announce every new extension: the launcher then looks at the database.
	 */
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
