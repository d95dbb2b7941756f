-- health(): each check, with and without a problem. test/t/health.pl tests what comes from the
-- workers. The whole test is one transaction that is rolled back, so no worker sees its rows, and
-- now() is constant.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS rhesis_notify;
SET LOCAL client_min_messages = notice;
SELECT * FROM no_plan();

-- Returns the value of a check, and then "ok" or the advice.
CREATE FUNCTION pg_temp.health(name text) RETURNS text LANGUAGE sql AS $$
	SELECT value || ' | ' || CASE WHEN ok THEN 'ok' ELSE advice END FROM rhesis_notify.health() WHERE check_name = name
$$;
CREATE FUNCTION pg_temp.insert_in_state(state text, count integer, reason text DEFAULT NULL, due_ago interval DEFAULT '0', finished_ago interval DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$
	INSERT INTO rhesis_notify.task_notifications
		(task_id, task_name, status, delivery_status, delivery_reason, next_attempt_at, finished_at)
	SELECT gen_random_uuid(), 'app.report', 'success', state::rhesis_notify.delivery_state, reason, now() - due_ago, now() - finished_ago
	FROM generate_series(1, count)
$$;

SELECT results_eq('SELECT check_name FROM rhesis_notify.health()',
	$$ VALUES ('versions'), ('settings'), ('links'), ('workers'), ('pause'), ('copy'), ('standby'), ('replication'), ('mail server'), ('recipients'), ('queue'), ('oldest due'), ('in doubt'), ('failed'),
		('autovacuum'), ('wraparound') $$, 'these are the checks');
SELECT is_empty('SELECT * FROM rhesis_notify.health() WHERE ok <> (advice IS NULL) OR value IS NULL', 'there is advice where a check is not ok, and a value everywhere');

-- Versions.
SELECT is(pg_temp.health('versions'), format('library %1$s, objects %1$s, files %1$s | ok', extversion), 'library, objects and files agree')
FROM pg_extension WHERE extname = 'rhesis_notify';
SAVEPOINT versions;
UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'rhesis_notify';
SELECT alike(pg_temp.health('versions'), '%, objects 0.9, files % | If the objects are older: ALTER EXTENSION rhesis_notify UPDATE; %', 'objects of another version');
ROLLBACK TO versions;

-- Settings.
SET LOCAL rhesis_notify.smtp_host = '';
SELECT alike(pg_temp.health('settings'), 'rhesis_notify.smtp_host (environment: SMTP_HOST) is not set | Set it in postgresql.conf, %', 'a setting that is missing');

-- Pause.
SELECT is(pg_temp.health('pause'), 'not paused | ok', 'not paused');
SELECT rhesis_notify.pause() \g /dev/null
SELECT matches(pg_temp.health('pause'), '^paused by \S+, \S+ \S+ \(\d+s ago\) \| SELECT rhesis_notify\.resume\(\);$', 'paused, by whom and since when');
SELECT rhesis_notify.resume() \g /dev/null

-- Due notifications.
DELETE FROM rhesis_notify.task_notifications;
SELECT is(pg_temp.health('oldest due'), 'nothing is due; deferred: 0 | ok', 'nothing is due');
SELECT pg_temp.insert_in_state('deferred', 3, 'smtp_temporary', '-1 hour') \g /dev/null
SELECT is(pg_temp.health('oldest due'), 'nothing is due; deferred: 3 | ok', 'what is deferred is not due');
SELECT pg_temp.insert_in_state('pending', 2, NULL, '4 minutes') \g /dev/null
SELECT alike(pg_temp.health('oldest due'), '2 are due, the oldest for 4m %s | ok', 'what is due for a moment is well');
SELECT pg_temp.insert_in_state('deferred', 1, 'smtp_temporary', '6 minutes') \g /dev/null
SELECT alike(pg_temp.health('oldest due'), '3 are due, the oldest for 6m %s | If the other checks are ok, %', 'what is due for long is not');

-- In doubt.
SELECT matches(pg_temp.health('in doubt'), '^0 held; \d+ in doubt since the start of the server \| ok$', 'nothing is held');
SELECT pg_temp.insert_in_state('held', 2, 'in_doubt') \g /dev/null
INSERT INTO rhesis_notify.delivery_events (notification_id, event) SELECT id, 'in_doubt' FROM rhesis_notify.task_notifications WHERE delivery_status = 'held';
SELECT matches(pg_temp.health('in doubt'), '^2 held; .* \| It is not known whether these were delivered\. ', 'what is held wants a decision');

-- Failed notifications: some in the last hour, and a large share of them.
SELECT is(pg_temp.health('failed'), '0 of 0 in the last hour | ok', 'none has failed');
SELECT pg_temp.insert_in_state('failed', 100, 'smtp_permanent', '3 hours', '2 hours') \g /dev/null
SELECT is(pg_temp.health('failed'), '0 of 0 in the last hour | ok', 'what has failed before does not count');
SELECT pg_temp.insert_in_state('failed', 2, 'smtp_permanent', '1 minute', '1 minute') \g /dev/null
SELECT alike(pg_temp.health('failed'), '2 of 2 in the last hour | More than one mail in 20: %', 'two of two are many');
SELECT pg_temp.insert_in_state('sent', 37, NULL, '1 minute', '1 minute') \g /dev/null
SELECT alike(pg_temp.health('failed'), '2 of 39 in the last hour | More than one mail in 20: %', 'two of 39 are');
SELECT pg_temp.insert_in_state('sent', 1, NULL, '1 minute', '1 minute') \g /dev/null
SELECT is(pg_temp.health('failed'), '2 of 40 in the last hour | ok', 'two of 40 are not');

-- The tables.
SELECT matches(pg_temp.health('wraparound'), '^oldest row \d+ transactions and \d+ multixacts ago \| ok$', 'no wraparound is near');
SELECT matches(pg_temp.health('autovacuum'), '^\d+ dead rows beside \d+; .*(?:last run|it has not run yet).* \| ok$', 'autovacuum keeps up');
ALTER TABLE rhesis_notify.delivery_events SET (autovacuum_enabled = false);
SELECT matches(pg_temp.health('autovacuum'), '^switched off; .* \| The queue''s tables need it', 'or is off');

-- The cost does not grow with the number of finished rows: no table of the queue is scanned.
SELECT pg_temp.insert_in_state('sent', 3000, NULL, '3 hours', '2 hours') \g /dev/null
SELECT pg_stat_get_xact_numscans('rhesis_notify.task_notifications'::regclass) AS scans,
	pg_stat_get_xact_tuples_returned('rhesis_notify.task_notifications'::regclass) AS tuples \gset
SELECT count(*) FROM rhesis_notify.health() \g /dev/null
SELECT is(pg_stat_get_xact_numscans('rhesis_notify.task_notifications'::regclass), :scans::bigint, 'it reads by indexes');

SELECT * FROM finish();
ROLLBACK;
