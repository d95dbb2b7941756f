-- metrics() and health() with a long queue, and after a busy hour: their results and their cost.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
SET client_min_messages = notice;
SELECT * FROM no_plan();

-- Vacuum runs only when this test calls it.
ALTER TABLE rhesis_notify.task_notifications SET (autovacuum_enabled = off);
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, next_attempt_at)
SELECT id, 'app.report', 'success', CASE WHEN id % 3 = 0 THEN 'deferred' ELSE 'pending' END::rhesis_notify.delivery_state, now() + (id - 120001) * interval '1 ms'
FROM generate_series(1, 120000) AS id;
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, finished_at)
SELECT 'ended ' || id, 'app.report', 'success', CASE WHEN id % 100 = 0 THEN 'failed' WHEN id % 2 = 0 THEN 'skipped' ELSE 'sent' END::rhesis_notify.delivery_state,
	now() - (id - 1) * interval '10 ms'
FROM generate_series(1, 120000) AS id;
-- Rows that are sending or held became due earlier, unless the clock was set back.
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, claimed_by, next_attempt_at)
SELECT 'sending ' || id, 'app.report', 'success', 'sending', 9, now() - interval '1 h' FROM generate_series(1, 60) AS id;
WITH held AS (INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, next_attempt_at)
	SELECT 'held ' || id, 'app.report', 'success', 'held', now() + CASE WHEN id > 30 THEN 1 ELSE -1 END * interval '1 h' FROM generate_series(1, 40) AS id RETURNING id)
INSERT INTO rhesis_notify.delivery_events (notification_id, event) SELECT id, 'in_doubt' FROM held;
VACUUM (FREEZE, ANALYZE) rhesis_notify.task_notifications;

BEGIN;
SELECT results_eq(
	$$ SELECT coalesce(labels ->> 'state', 'due'), value FROM rhesis_notify.metric_samples() WHERE labels ->> 'state' IS NOT NULL OR name ~ 'due_notif' $$,
	$$ VALUES ('pending', 66607::float8), ('deferred', 33303), ('sending', 60), ('held', 40), ('due', 120000) $$, 'all that is due is counted, and the states of the first 100,000');
SELECT cmp_ok(pg_stat_get_xact_tuples_fetched('rhesis_notify.task_notifications_due'::regclass), '<=', 100101::bigint, 'but for the oldest that is due, no more rows are read');
COMMIT;

BEGIN;
SELECT matches(value, '^1000 of 51000 in the last \S+ \S+$', 'of what has ended the last 100,000 count') FROM rhesis_notify.health() WHERE check_name = 'failed';
SELECT is(pg_stat_get_xact_tuples_fetched('rhesis_notify.task_notifications_finished'::regclass), 100000::bigint, 'no more rows are read');
COMMIT;

BEGIN;
UPDATE rhesis_notify.task_notifications SET next_attempt_at = now() + interval '1 hour' WHERE delivery_status = 'deferred';
DELETE FROM rhesis_notify.task_notifications WHERE delivery_status = 'pending';
SELECT is((SELECT value FROM rhesis_notify.health() WHERE check_name = 'oldest due'), 'nothing is due; deferred: 40000', 'what is not due is counted as well');
COMMIT;

SELECT * FROM finish();
