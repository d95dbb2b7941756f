-- rhesis_notify: every SQL object of the extension.
--
-- The build makes the current version's install script of the files beside this one, in the order of their names, and of templates/.
-- What changes here changes also in the update script from the version before.
-- Whatever a user writes lives in tables that are dumped (pg_extension_config_dump); what we ship lives in tables that are not,
-- and users' rows are laid over it. pg_dump goes by name: custom_task_types and database_pause are called so because they come before the queue,
-- which a worker may find at any moment while a dump is being restored.
-- Nothing is granted to PUBLIC: section "Privileges" at the end takes back what PostgreSQL gives by default.

\echo Use "CREATE EXTENSION rhesis_notify" to load this file. \quit

-- The triggers that leave out what replication brings must not take the rows below for that.
SET LOCAL session_replication_role = origin;

-- The schema is created here, not by the control file: a schema of that name that somebody else has prepared is refused,
-- and DROP EXTENSION leaves nothing behind.
CREATE SCHEMA rhesis_notify;
COMMENT ON SCHEMA rhesis_notify IS 'Mails people when their tasks are done';
