-- Requests of one organization neither read nor write rows of another one.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS rhesis_notify;
SET LOCAL client_min_messages = notice;
SELECT * FROM no_plan();

CREATE ROLE app;
CREATE ROLE auditor;
SELECT rhesis_notify.grant_to('app') \g /dev/null
SELECT rhesis_notify.grant_to('auditor', 'operator') \g /dev/null

DELETE FROM rhesis_notify.task_notifications;
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, organization_id)
VALUES ('acme 1', 'n', 'success', 'acme'), ('acme 2', 'n', 'success', 'acme'), ('globex 1', 'n', 'success', 'globex'),
	('nobody 1', 'n', 'success', NULL);

-- Returns the rows that a role sees in a query, or the SQLSTATE of its error.
CREATE FUNCTION pg_temp.seen_by(role text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	seen text;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	EXECUTE query INTO seen;
	RESET ROLE;
	RETURN seen;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
CREATE FUNCTION pg_temp.tasks_seen_by(role text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.seen_by(role, 'SELECT string_agg(task_id, '', '' ORDER BY task_id) '
		'FROM rhesis_notify.task_notifications WHERE task_id ~ '' ''')
$$;
CREATE FUNCTION pg_temp.inserts(role text, organization text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.seen_by(role, format(
		'WITH done AS (SELECT rhesis_notify.task_completed(gen_random_uuid()::text, ''n'', ''success'', organization_id => %L) AS id) '
		'SELECT CASE WHEN id IS NOT NULL THEN ''ok'' END FROM done', organization))
$$;

SELECT is(pg_temp.tasks_seen_by('app'), 'nobody 1', 'without the setting: rows without an organization');
SET LOCAL app.current_organization = '';
SELECT is(pg_temp.tasks_seen_by('app'), 'nobody 1', 'an empty setting is none');
SET LOCAL app.current_organization = 'acme';
SELECT is(pg_temp.tasks_seen_by('app'), 'acme 1, acme 2', 'with the setting: rows of the organization');
SELECT is(pg_temp.seen_by('app', 'SELECT count(*) FROM rhesis_notify.delivery_status'), '2', 'so in delivery_status');
SELECT is(pg_temp.seen_by('app', 'SELECT sum(notifications) FROM rhesis_notify.queue_status'), '2', 'so in queue_status');
SELECT is(pg_temp.tasks_seen_by('auditor'), 'acme 1, acme 2, globex 1, nobody 1', 'an operator sees all');
SELECT is((SELECT count(*) FROM rhesis_notify.task_notifications), 4::bigint, 'the owner is not bound');

SELECT is(pg_temp.inserts('app', 'acme'), 'ok', 'with the setting: the organization''s rows can be written');
SELECT is(pg_temp.inserts('app', 'globex'), '42501', 'another''s can''t');
SELECT is(pg_temp.inserts('app', NULL), '42501', 'nor rows without an organization');
SET LOCAL app.current_organization = '';
SELECT is(pg_temp.inserts('app', organization), 'ok', 'without it: rows of ' || coalesce(organization, 'none'))
FROM unnest(ARRAY['acme', 'globex', NULL]) AS organization;

-- A task that reports twice gets the error even if it cannot see its first report.
SELECT is(pg_temp.seen_by('app', $$ SELECT coalesce(rhesis_notify.task_completed('acme 1', 'n', 'success')::text, 'null') $$),
		  'null', 'a repeated task_id is ignored');

-- The name of the application's setting is configurable.
SET LOCAL rhesis_notify.organization_setting = 'tenant.id';
SET LOCAL app.current_organization = 'acme';
SET LOCAL tenant.id = 'globex';
SELECT is(pg_temp.tasks_seen_by('app'), 'globex 1', 'another setting can name the organization');
SELECT is(pg_temp.seen_by('app', $$ SET LOCAL rhesis_notify.organization_setting = 'app.current_organization' $$), '42501',
		  'but the role can''t choose which');

-- The policies do not depend on the search_path of the session.
CREATE SCHEMA trap;
CREATE FUNCTION trap.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'acme' $$;
CREATE FUNCTION trap.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'acme' $$;
CREATE FUNCTION trap.equal(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE OPERATOR trap.= (FUNCTION = trap.equal, LEFTARG = text, RIGHTARG = text);
GRANT USAGE ON SCHEMA trap TO app;
CREATE FUNCTION pg_temp.trapped() RETURNS bigint LANGUAGE sql SET search_path = trap, pg_catalog, pg_temp
	AS $$ SELECT count(*) FROM rhesis_notify.task_notifications WHERE organization_id OPERATOR(pg_catalog.=) 'acme' $$;
GRANT EXECUTE ON FUNCTION pg_temp.trapped() TO app;
SELECT is(pg_temp.seen_by('app', 'SELECT pg_temp.trapped()'), '0', 'a search_path full of traps changes nothing');

SELECT * FROM finish();
ROLLBACK;
