\echo Use "CREATE EXTENSION recipients_probe" to load this file. \quit

CREATE FUNCTION recipients_probe.look_up(user_ids text[], organization_ids text[] DEFAULT NULL,
	OUT row_number int, OUT skip_reason text, OUT error text, OUT email text, OUT name text,
	OUT organization_id text, OUT organization_name text, OUT timezone text)
RETURNS SETOF record
LANGUAGE c VOLATILE CALLED ON NULL INPUT
AS 'MODULE_PATHNAME', 'recipients_probe_look_up';

COMMENT ON FUNCTION recipients_probe.look_up IS
	'one notification for each user id, with the organization id beside it, looked up as one batch; a problem with the relation is raised';

-- Tests that do not run as a superuser look recipients up, too.
GRANT USAGE ON SCHEMA recipients_probe TO PUBLIC;
