-- The sequence has a lower value than the rows, as after logical replication. No report of a task
-- is lost without an error.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS rhesis_notify;
CREATE EXTENSION IF NOT EXISTS queue_probe;
LOAD 'queue_probe';
SET LOCAL client_min_messages = notice;
SELECT * FROM no_plan();

DELETE FROM rhesis_notify.task_notifications;
CREATE ROLE reporter;
GRANT USAGE ON SCHEMA rhesis_notify TO reporter;
SELECT rhesis_notify.grant_to('reporter') \g /dev/null
CREATE FUNCTION pg_temp.report(task text) RETURNS bigint LANGUAGE sql AS $$
	SELECT rhesis_notify.task_completed(task, 'app.export', 'success', organization_id => 'acme')
$$;
CREATE FUNCTION pg_temp.queue_check() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' | ', ok, value, advice) FROM rhesis_notify.health() WHERE check_name = 'queue'
$$;

INSERT INTO rhesis_notify.task_notifications (id, task_id, task_name, status) OVERRIDING SYSTEM VALUE
SELECT n + 1000000, 'old ' || n, 'app.export', 'success' FROM generate_series(1, 3) AS n;
SELECT setval('rhesis_notify.task_notifications_id_seq', 1000000) \g /dev/null
SELECT is(pg_temp.queue_check(), 'f | the sequence of task_notifications.id is 3 behind the rows | '
	'SELECT pg_catalog.setval(''rhesis_notify.task_notifications_id_seq'', 1000003);', 'health() names the call that mends it');

GRANT EXECUTE ON FUNCTION pg_temp.report TO reporter;
SET LOCAL ROLE reporter;
SELECT throws_ok($$ SELECT rhesis_notify.task_completed('new', 'app.export', 'success', organization_id => 'acme') $$, '55000',
	'the sequence of rhesis_notify.task_notifications.id is behind the rows', 'a new task''s report is an error, not "has reported before"');
RESET ROLE;
SELECT setval('rhesis_notify.task_notifications_id_seq', 1000003) \g /dev/null
SELECT alike(pg_temp.queue_check(), 't | %', 'then health() is content');
SET LOCAL ROLE reporter;
SELECT is(rhesis_notify.task_completed('new', 'app.export', 'success', organization_id => 'acme'), 1000004::bigint, 'and it can report');
SELECT is(rhesis_notify.task_completed('new', 'app.export', 'success', organization_id => 'acme'), NULL, 'a task that has reported before is none');
SELECT is(rhesis_notify.task_completed('old 1', 'app.export', 'success', organization_id => 'globex'), NULL, 'also one of a row that the role cannot see');
RESET ROLE;

-- The other sequences.
SELECT setval('rhesis_notify.delivery_events_id_seq', 1) \g /dev/null
INSERT INTO rhesis_notify.delivery_events (id, notification_id, event) OVERRIDING SYSTEM VALUE
SELECT n, 1000001, 'deferred' FROM generate_series(1, 7) AS n;
INSERT INTO rhesis_notify.templates (id, name, subject) OVERRIDING SYSTEM VALUE VALUES (5000000000, 'mine', 'x');
SELECT is(pg_temp.queue_check(), format('f | the sequence of delivery_events.id is 6 behind the rows; the sequence of templates.id is %s behind the rows | '
	'SELECT pg_catalog.setval(''rhesis_notify.delivery_events_id_seq'', 7); SELECT pg_catalog.setval(''rhesis_notify.templates_id_seq'', 5000000000);',
	5000000000 - CASE WHEN is_called THEN last_value ELSE last_value - 1 END), 'health() names the call for each sequence')
FROM rhesis_notify.templates_id_seq;
SELECT setval('rhesis_notify.templates_id_seq', 5000000000) \g /dev/null
SELECT rhesis_notify.cancel(id) AS cancelled FROM rhesis_notify.task_notifications WHERE task_id = 'old 1' \gset
SELECT ok(:'cancelled', 'what an operator does is recorded all the same: cancel()');
SELECT setval('rhesis_notify.delivery_events_id_seq', 7, false) \g /dev/null
SELECT ok(rhesis_notify.retry(id), 'retry()') FROM rhesis_notify.task_notifications WHERE task_id = 'old 1';
SELECT results_eq($$ SELECT id, event FROM rhesis_notify.delivery_events WHERE id > 7 ORDER BY id $$,
	$$ VALUES (8::bigint, 'cancelled'), (9::bigint, 'retried') $$, 'with ids of their own');
SELECT alike(pg_temp.queue_check(), 't | %', 'and health() is content');

-- Unique indexes that an application adds.
CREATE UNIQUE INDEX one_for_each_user ON rhesis_notify.task_notifications (user_id, task_name);
SELECT isnt(rhesis_notify.task_completed('a', 'app.report', 'success', '7'), NULL, 'with another unique index, the first');
SELECT throws_like($$ SELECT rhesis_notify.task_completed('b', 'app.report', 'success', '7') $$, '%one_for_each_user%', 'the second is that index''s error');
SELECT is(rhesis_notify.task_completed('a', 'app.report', 'success', '7'), NULL, 'the first again is no error');

CREATE FUNCTION pg_temp.suppress() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER suppress BEFORE INSERT ON rhesis_notify.task_notifications FOR EACH ROW EXECUTE FUNCTION pg_temp.suppress();
SELECT throws_ok($$ SELECT rhesis_notify.task_completed('c', 'app.export', 'success') $$, '09000',
	'a trigger or a rule of table "task_notifications" suppresses the insert', 'a report that a trigger suppresses is an error, not another task''s id');
SELECT throws_ok($$ SELECT rhesis_notify.email_notification_test(user_id => '7') $$, '09000',
	'a trigger or a rule of table "task_notifications" suppresses the insert', 'and so is a test mail');
DROP TRIGGER suppress ON rhesis_notify.task_notifications;
SELECT isnt(rhesis_notify.task_completed('c', 'app.export', 'success'), NULL, 'without the trigger it is reported');
CREATE RULE suppress AS ON INSERT TO rhesis_notify.task_notifications DO INSTEAD NOTHING;
SELECT throws_ok($$ SELECT rhesis_notify.task_completed('d', 'app.export', 'success') $$, '09000',
	'a trigger or a rule of table "task_notifications" suppresses the insert', 'so is one that a rule suppresses');
DROP RULE suppress ON rhesis_notify.task_notifications;

-- The epochs of workers.
UPDATE rhesis_notify.task_notifications SET delivery_status = 'sending', claimed_by = 9000000000000000 WHERE task_id = 'a';
SELECT cmp_ok(queue_probe.next_epoch(), '>', 9000000000000000, 'a worker has a number that no row carries');
SELECT cmp_ok(queue_probe.next_epoch(), '>', 9000000000000001, 'the next one another');

SELECT * FROM finish();
ROLLBACK;
