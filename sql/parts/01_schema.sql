-- rhesis_notify: every SQL object of the extension.
--
-- The build concatenates the files beside this one, in the order of their names, and adds the
-- templates of templates/: that is the current version's install script. A change here also needs a
-- change in the update script from the version before.
--
-- Rows that users write are in tables that are dumped (pg_extension_config_dump). Rows that we ship
-- are in tables that are not dumped, and users' rows replace them one by one. pg_dump sorts tables
-- by name. custom_task_types and database_pause have names that come before the queue's, because a
-- worker may find the queue at any moment while a dump is restored.
--
-- Nothing is granted to PUBLIC: section "Privileges" at the end revokes PostgreSQL's default
-- grants.

\echo Use "CREATE EXTENSION rhesis_notify" to load this file. \quit

-- In a replica's session, the triggers that ignore replicated changes would also ignore the rows
-- that this script inserts.
SET LOCAL session_replication_role = origin;

-- The schema is created here, not by the control file. So the installation fails if somebody else
-- has prepared a schema of that name, and DROP EXTENSION leaves nothing.
CREATE SCHEMA rhesis_notify;
COMMENT ON SCHEMA rhesis_notify IS 'Mails people when their tasks are done';
