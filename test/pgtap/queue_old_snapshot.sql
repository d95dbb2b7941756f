-- An old snapshot must not make the queue slower. Here the test's own transaction holds it, so all
-- rows that leave the queue stay in its indexes. The transaction is rolled back, so a worker in the
-- same database sees nothing.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS rhesis_notify;
CREATE EXTENSION IF NOT EXISTS queue_probe;
LOAD 'queue_probe';
SET LOCAL client_min_messages = notice;
SELECT * FROM no_plan();

CREATE FUNCTION pg_temp.insert_due(name text, due_in interval DEFAULT '0') RETURNS void LANGUAGE sql AS $$
	INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, next_attempt_at)
	VALUES (name, 'collect_results', 'success', '1', now() + due_in)
$$;
CREATE FUNCTION pg_temp.claim(epoch bigint, batch integer, from_start boolean) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(task_id, ' ' ORDER BY id) FROM queue_probe.claim(epoch, batch, from_start)
$$;
CREATE FUNCTION pg_temp.entries_read() RETURNS bigint LANGUAGE sql AS $$
	SELECT pg_stat_get_xact_tuples_returned('rhesis_notify.task_notifications_due'::regclass)
$$;
SELECT pg_temp.insert_due('gone ' || n, due_in => '-1 h') FROM generate_series(1, 3000) AS n \g /dev/null
SELECT count(*) FROM queue_probe.claim(1, 3000, true) \g /dev/null
SELECT queue_probe.record(1, ARRAY(SELECT id FROM rhesis_notify.task_notifications WHERE claimed_by = 1), 'sent') \g /dev/null
SELECT is(queue_probe.next_due_time(), NULL, 'all is sent');
SELECT pg_temp.insert_due('next') \g /dev/null
SELECT pg_temp.entries_read() AS before \gset
SELECT is((SELECT task_id FROM queue_probe.claim_from_first(1, 10)), 'next', 'what comes then is the first that waits');
SELECT is(queue_probe.next_due_time(), NULL, 'and the last');
SELECT cmp_ok(pg_temp.entries_read() - :before, '<=', 10::bigint, 'what is gone was not read for that');
SELECT is((SELECT count(*) FROM queue_probe.claim(1, 10, true)), 0::bigint, 'a claim from the start');
SELECT cmp_ok(pg_temp.entries_read() - :before, '>=', 3000::bigint, 'reads it all');

-- New rows in front of the others.
SELECT queue_probe.next_due_time(), pg_temp.insert_due('early', due_in => '-30 min') \g /dev/null
SELECT is((SELECT count(*) FROM queue_probe.claim_from_first(1, 10)), 0::bigint, 'a row that comes to lie in front is not seen');
SELECT queue_probe.note_rows_due_since(now() - interval '30 min') \g /dev/null
SELECT is(queue_probe.next_due_time(), now() - interval '30 min', 'but when it is told of');
SELECT is(pg_temp.claim(1, 10, false), 'early', 'also by a claim that goes on');
SELECT pg_temp.insert_due('tomorrow', due_in => '1 d') \g /dev/null
SELECT is(queue_probe.next_due_time(), now() + interval '1 d', 'a row that is due later');
SELECT pg_temp.insert_due('soon', due_in => '1 h') \g /dev/null
SELECT is(queue_probe.next_due_time(), now() + interval '1 h', 'hides none before it');

-- Retention under an old snapshot.
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, finished_at)
SELECT 'old ' || n, 'n', 'success', 'sent', now() - make_interval(days => 40, secs => n) FROM generate_series(1, 3000) AS n;
SELECT is(queue_probe.purge_finished(2000), 2000, 'old rows leave');
SELECT pg_stat_get_xact_tuples_returned('rhesis_notify.task_notifications_finished'::regclass) AS before \gset
SELECT is(queue_probe.purge_finished(500), 500, 'and more of them');
SELECT cmp_ok(pg_stat_get_xact_tuples_returned('rhesis_notify.task_notifications_finished'::regclass) - :before, '<=', 550::bigint,
			  'without those being read again that have left');
SELECT is(queue_probe.purge_finished(1000), 500, 'until none is left');

SELECT * FROM finish();
ROLLBACK;
