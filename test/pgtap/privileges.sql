-- Privileges: PUBLIC has none, the role of a task can report and look, and an operator can work on
-- the queue.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS rhesis_notify;
SET LOCAL client_min_messages = notice;
SELECT * FROM no_plan();

-- All objects in the schema, with their effective privileges.
CREATE TEMP VIEW privilege AS
	SELECT pg_describe_object(classid, objid, 0) AS object, acl.*
	FROM
		(SELECT 'pg_namespace'::regclass AS classid, oid AS objid, coalesce(nspacl, acldefault('n', nspowner)) AS acls
		 FROM pg_namespace WHERE nspname = 'rhesis_notify'
		 UNION ALL
		 SELECT 'pg_class'::regclass, oid,
			coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))
		 FROM pg_class WHERE relnamespace = to_regnamespace('rhesis_notify') AND relkind IN ('r', 'v', 'S')
		 UNION ALL
		 SELECT 'pg_class'::regclass, attrelid, attacl
		 FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
		 WHERE relnamespace = to_regnamespace('rhesis_notify') AND attacl IS NOT NULL
		 UNION ALL
		 SELECT 'pg_proc'::regclass, oid, coalesce(proacl, acldefault('f', proowner))
		 FROM pg_proc WHERE pronamespace = to_regnamespace('rhesis_notify')
		 UNION ALL
		 SELECT 'pg_type'::regclass, oid, coalesce(typacl, acldefault('T', typowner))
		 FROM pg_type WHERE typnamespace = to_regnamespace('rhesis_notify') AND typrelid = 0 AND typcategory <> 'A') AS object,
		LATERAL aclexplode(acls) AS acl;

SELECT cmp_ok((SELECT count(*) FROM privilege), '>', 100::bigint, 'the privileges were found');
SELECT is_empty($$ SELECT object, privilege_type FROM privilege WHERE grantee = 0 $$, 'PUBLIC has no privilege on anything');
SELECT is_empty($$ SELECT object, grantee::regrole, privilege_type FROM privilege
				   WHERE grantee <> (SELECT extowner FROM pg_extension WHERE extname = 'rhesis_notify') $$,
				'nobody but the owner has any');

-- Runs a statement as a role. Returns the SQLSTATE of its error, or "ok".
CREATE FUNCTION pg_temp.as_role(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	EXECUTE statement;
	RESET ROLE;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;

CREATE ROLE "a Task's role";
CREATE ROLE an_operator;
CREATE ROLE a_monitor;
CREATE ROLE nobody_special;
SELECT rhesis_notify.grant_to('"a Task''s role"') \g /dev/null
SELECT rhesis_notify.grant_to('an_operator', 'operator') \g /dev/null
SELECT rhesis_notify.grant_to('a_monitor', 'monitor') \g /dev/null
SELECT throws_ok($$ SELECT rhesis_notify.grant_to('nobody_special', 'everything') $$, '22023', NULL, 'an unknown set is refused');
SELECT throws_ok($$ SELECT rhesis_notify.grant_to('nobody_special', NULL) $$, '22023', NULL, 'so is null');

SELECT is(pg_temp.as_role('nobody_special', 'TABLE rhesis_notify.task_notifications'), '42501', 'others see nothing');

-- The role of a task: allowed statements.
SELECT is(pg_temp.as_role('a Task''s role', statement), 'ok', 'a task''s role can: ' || regexp_replace(statement, '\s+', ' ', 'g'))
FROM unnest(ARRAY[
	$$ INSERT INTO rhesis_notify.task_notifications
		(task_id, task_name, status, user_id, organization_id, template, subject_template, result, error_message, started_at,
		 completed_at)
	   VALUES ('p1', 'n', 'failed', '1', '2', 'task_completion', 's', '{}', 'e', now(), now()) $$,
	$$ INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status) VALUES ('p2', 'n', 'success')
	   ON CONFLICT (task_id) DO NOTHING $$,
	$$ SELECT rhesis_notify.task_completed('p3', 'n', 'success') $$,
	$$ SELECT * FROM rhesis_notify.task_notifications $$,
	$$ SELECT * FROM rhesis_notify.delivery_status $$,
	$$ SELECT * FROM rhesis_notify.queue_status $$,
	$$ SELECT * FROM rhesis_notify.worker_status $$,
	$$ SELECT * FROM rhesis_notify.task_types $$]) AS statement;

-- It cannot set columns that the database and the worker write …
SELECT is(pg_temp.as_role('a Task''s role', format(
			'INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, %I) OVERRIDING SYSTEM VALUE '
			'VALUES (''p4'', ''n'', ''success'', NULL)', attname)),
		  '42501', 'a task''s role can''t write ' || attname)
FROM pg_attribute
WHERE attrelid = 'rhesis_notify.task_notifications'::regclass AND attnum > 0
	AND attname <> ALL ('{task_id,task_name,status,user_id,organization_id,template,subject_template,result,error_message,'
		'started_at,completed_at}');

-- … and cannot use other objects.
SELECT is(pg_temp.as_role('a Task''s role', statement), '42501', 'a task''s role can''t: ' || regexp_replace(statement, '\s+', ' ', 'g'))
FROM unnest(ARRAY[
	$$ UPDATE rhesis_notify.task_notifications SET status = 'success' $$,
	$$ DELETE FROM rhesis_notify.task_notifications $$,
	$$ TRUNCATE rhesis_notify.task_notifications CASCADE $$,
	$$ SELECT nextval('rhesis_notify.task_notifications_id_seq') $$,
	$$ SELECT * FROM rhesis_notify.delivery_events $$,
	$$ SELECT * FROM rhesis_notify.templates $$,
	$$ INSERT INTO rhesis_notify.templates (name, subject) VALUES ('task_completion', 'Buy') $$,
	$$ INSERT INTO rhesis_notify.custom_task_types (task_name, template) VALUES ('n', 't') $$,
	$$ INSERT INTO rhesis_notify.database_pause DEFAULT VALUES $$,
	$$ CREATE TABLE rhesis_notify.mine () $$,
	$$ SELECT nextval('rhesis_notify.worker_epoch') $$]) AS statement;
SELECT is_empty($$
	SELECT oid::regprocedure FROM pg_proc
	WHERE pronamespace = 'rhesis_notify'::regnamespace AND has_function_privilege('a Task''s role', oid, 'EXECUTE')
		AND proname NOT IN ('task_completed', 'worker_slots') $$,
	'a task''s role can call nothing but task_completed, and what worker_status needs');

-- An operator can work on the queue and the templates, and cannot report tasks or edit rows.
SELECT is(pg_temp.as_role('an_operator', statement), 'ok', 'an operator can: ' || regexp_replace(statement, '\s+', ' ', 'g'))
FROM unnest(ARRAY[
	$$ SELECT rhesis_notify.cancel(id) FROM rhesis_notify.delivery_status WHERE state = 'pending' $$,
	$$ SELECT rhesis_notify.retry(id) FROM rhesis_notify.delivery_status WHERE state = 'cancelled' $$,
	$$ SELECT rhesis_notify.retry_failed(now()) $$,
	$$ SELECT rhesis_notify.purge('1 y') $$,
	$$ SELECT rhesis_notify.pause(), rhesis_notify.resume() $$,
	$$ SELECT rhesis_notify.email_notification('n'), rhesis_notify.silence('n') $$,
	$$ SELECT rhesis_notify.email_notification_test(user_id => '1') $$,
	$$ SELECT * FROM rhesis_notify.delivery_events $$,
	$$ SELECT * FROM rhesis_notify.database_pause $$,
	$$ SELECT rhesis_notify.explain(id) FROM rhesis_notify.delivery_status $$,
	$$ SELECT * FROM rhesis_notify.health() $$,
	$$ SELECT rhesis_notify.metrics() $$,
	$$ INSERT INTO rhesis_notify.templates (organization_id, name, subject) VALUES ('acme', 'task_completion', 'Done') $$]) AS statement;
SELECT is(pg_temp.as_role('an_operator', statement), '42501', 'an operator can''t: ' || regexp_replace(statement, '\s+', ' ', 'g'))
FROM unnest(ARRAY[
	$$ UPDATE rhesis_notify.task_notifications SET recipient_email = 'me@example.com' $$,
	$$ INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status) VALUES ('p5', 'n', 'success') $$,
	$$ INSERT INTO rhesis_notify.delivery_events (notification_id, event) VALUES (1, 'sent') $$,
	$$ SELECT rhesis_notify.grant_to('an_operator') $$]) AS statement;

-- The list has each function of the extension, without trigger functions and grant_to(). A new
-- function is either added to grant_to(), or not meant for operators and named here.
SELECT set_eq($$ SELECT oid::regprocedure::text FROM pg_proc
				 WHERE pronamespace = 'rhesis_notify'::regnamespace AND has_function_privilege('an_operator', oid, 'EXECUTE') $$,
			  $$ SELECT oid::regprocedure::text FROM pg_proc
				 WHERE pronamespace = 'rhesis_notify'::regnamespace AND prorettype <> 'trigger'::regtype
					AND proname <> ALL ('{grant_to}') $$,
	'an operator can call every function but grant_to and those of triggers');
SELECT is(pg_temp.as_role('an_operator', 'CREATE TEMP TABLE t (html text); CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION '
	|| oid::regproc || '()'), '42501', 'an operator can''t make a trigger of ' || proname)
FROM pg_proc WHERE pronamespace = 'rhesis_notify'::regnamespace AND prorettype = 'trigger'::regtype;
SELECT throws_ok($$ SELECT rhesis_notify.grant_to(NULL, 'operator') $$, '22004', NULL, 'nobody is no role');
SELECT throws_ok($$ SELECT rhesis_notify.grant_to('-') $$, '42704', NULL, 'nor is a hyphen');
SELECT throws_ok($$ SELECT rhesis_notify.grant_to(4294967295::oid) $$, '42704', NULL, 'nor an oid that no role has');

SELECT is_empty($$ SELECT object, grantee::regrole, privilege_type FROM privilege
				   WHERE privilege_type IN ('TRIGGER', 'REFERENCES', 'TRUNCATE', 'CREATE')
					AND grantee <> (SELECT extowner FROM pg_extension WHERE extname = 'rhesis_notify') $$,
				'nobody can put code of his own where the worker runs it');
CREATE SCHEMA theirs;
GRANT CREATE, USAGE ON SCHEMA theirs TO "a Task's role", an_operator, a_monitor;
SELECT is(pg_temp.as_role(role, statement), '42501', format('%s can''t: %s', role, statement))
FROM unnest(ARRAY['a Task''s role', 'an_operator', 'a_monitor']) AS role, unnest(ARRAY[
	'CREATE TRIGGER x AFTER UPDATE ON rhesis_notify.task_notifications FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
	'CREATE TABLE theirs.t (id bigint REFERENCES rhesis_notify.task_notifications ON DELETE CASCADE)',
	'CREATE TEMP TABLE t () INHERITS (rhesis_notify.task_notifications)',
	'CREATE RULE r AS ON INSERT TO rhesis_notify.task_notifications DO ALSO SELECT 1',
	'CREATE POLICY p ON rhesis_notify.task_notifications',
	'CREATE STATISTICS pg_temp.s ON id, task_id FROM rhesis_notify.task_notifications',
	'CREATE PUBLICATION p FOR TABLE rhesis_notify.task_notifications',
	'COMMENT ON TABLE rhesis_notify.task_notifications IS NULL',
	'LOCK TABLE rhesis_notify.task_notifications IN EXCLUSIVE MODE',
	'ALTER SEQUENCE rhesis_notify.task_notifications_id_seq RESTART',
	'SELECT setval(''rhesis_notify.task_notifications_id_seq'', 1)',
	'SELECT FROM rhesis_notify.task_notifications FOR KEY SHARE']) AS statement;

-- Monitoring can read metrics and no rows.
SELECT is(pg_temp.as_role('a_monitor', statement), 'ok', 'monitoring can: ' || statement)
FROM unnest(ARRAY['SELECT rhesis_notify.metrics()', 'SELECT * FROM rhesis_notify.metric_samples()']) AS statement;
SELECT is_empty($$
	SELECT object, privilege_type FROM privilege WHERE grantee = 'a_monitor'::regrole AND object NOT LIKE 'function rhesis_notify.metric%'
		AND (object, privilege_type) <> ('schema rhesis_notify', 'USAGE') $$, 'and nothing else');
SELECT is(pg_temp.as_role('a_monitor', statement), '42501', 'monitoring can''t: ' || statement)
FROM unnest(ARRAY['TABLE rhesis_notify.task_notifications', 'TABLE rhesis_notify.delivery_status', 'TABLE rhesis_notify.worker_status',
	'SELECT * FROM rhesis_notify.health()', 'SELECT * FROM rhesis_notify.explain(1)', 'SELECT rhesis_notify.pause()']) AS statement;

-- All privileges can be revoked.
DROP OWNED BY "a Task's role", an_operator, a_monitor;
SELECT is_empty($$ SELECT object, grantee::regrole, privilege_type FROM privilege
				   WHERE grantee <> (SELECT extowner FROM pg_extension WHERE extname = 'rhesis_notify') $$,
				'DROP OWNED BY takes it all back');

-- Default privileges give no access either, because the extension revokes them.
DROP EXTENSION rhesis_notify;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO nobody_special;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO nobody_special, PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO nobody_special WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO nobody_special;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO nobody_special, "a Task's role";
CREATE EXTENSION rhesis_notify;
SELECT is_empty($$ SELECT object, grantee::regrole, privilege_type FROM privilege
				   WHERE grantee <> (SELECT extowner FROM pg_extension WHERE extname = 'rhesis_notify') $$,
				'default privileges give nobody anything');

SELECT * FROM finish();
ROLLBACK;
