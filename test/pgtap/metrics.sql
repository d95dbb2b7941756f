-- metrics() and metric_samples(): the figures, that both functions return the same, and that they
-- reveal no address. test/t/monitoring.pl reads them with Prometheus.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS rhesis_notify;
SET LOCAL client_min_messages = notice;
SELECT * FROM no_plan();

CREATE FUNCTION pg_temp.sample(metric text, label text DEFAULT NULL, wanted text DEFAULT NULL) RETURNS double precision LANGUAGE sql AS $$
	SELECT value FROM rhesis_notify.metric_samples()
	WHERE name = 'rhesis_notify_' || metric AND (label IS NULL OR labels ->> label = wanted)
$$;
CREATE FUNCTION pg_temp.insert_in_state(state text, count integer, due_ago interval DEFAULT '0')
RETURNS void LANGUAGE sql AS $$
	INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, next_attempt_at, claimed_by, recipient_email, smtp_reply)
	SELECT gen_random_uuid(), 'app.report', 'success', state::rhesis_notify.delivery_state, now() - due_ago,
		CASE state WHEN 'sending' THEN 1 END, 'jane@example.com', '450 4.2.0 <jane@example.com> is busy'
	FROM generate_series(1, count)
$$;

-- The figures.
DELETE FROM rhesis_notify.task_notifications;
SELECT is(pg_temp.sample('database_due_notifications'), 0::float8, 'nothing is due');
SELECT is(pg_temp.sample('database_oldest_due_seconds'), 0::float8, 'so nothing has waited');
SELECT pg_temp.insert_in_state('pending', 3, '90 s'), pg_temp.insert_in_state('deferred', 2, '-1 h'), pg_temp.insert_in_state('deferred', 1),
	pg_temp.insert_in_state('sending', 4), pg_temp.insert_in_state('held', 5) \g /dev/null
INSERT INTO rhesis_notify.delivery_events (notification_id, event) SELECT id, 'in_doubt' FROM rhesis_notify.task_notifications WHERE delivery_status = 'held';
SELECT is(pg_temp.sample('queue_notifications', 'state', state), count::float8, 'so many are ' || state)
FROM (VALUES ('pending', 3), ('deferred', 3), ('sending', 4), ('held', 5)) AS expected (state, count);
SELECT is(pg_temp.sample('database_due_notifications'), 4::float8, 'what is due');
SELECT ok(pg_temp.sample('database_oldest_due_seconds') BETWEEN 90 AND 150, 'and for how long');
SELECT is(pg_temp.sample('database_paused'), 0::float8, 'not paused');
SELECT rhesis_notify.pause() \g /dev/null
SELECT is(pg_temp.sample('database_paused'), 1::float8, 'paused');
SELECT is(pg_temp.sample('database_copy'), 0::float8, 'not a copy');
UPDATE rhesis_notify.database_identity SET token = gen_random_uuid();
SELECT is(pg_temp.sample('database_copy'), 1::float8, 'a copy');
UPDATE rhesis_notify.database_identity AS i SET token = b.token FROM rhesis_notify.database_birth AS b;
SELECT is(pg_temp.sample('database_info', 'version', extversion), 1::float8, 'the version is a label') FROM pg_extension WHERE extname = 'rhesis_notify';

-- Each part alone, and all parts together.
SELECT results_eq(
	format($$ SELECT DISTINCT split_part(name, '_', 3) FROM rhesis_notify.metric_samples(%L) $$, about),
	ARRAY[about], 'metrics about ' || about || ' alone')
FROM unnest('{queue,database}'::text[]) AS about;
SELECT is_empty($$ SELECT name, labels FROM rhesis_notify.metric_samples('worker') WHERE name NOT LIKE 'rhesis\_notify\_worker\_%' $$, 'metrics about worker alone');
SELECT throws_ok($$ SELECT * FROM rhesis_notify.metric_samples('people') $$, '22023', 'there are no metrics about "people"', 'or about something else: an error');
SELECT is_empty($$ SELECT name, labels FROM rhesis_notify.metric_samples() GROUP BY name, labels HAVING count(*) > 1 $$, 'no sample comes twice');
SELECT is_empty($$ SELECT * FROM rhesis_notify.metric_samples() WHERE name IS NULL OR help IS NULL OR labels ->> 'database' <> current_database() OR value IS NULL
				   OR (type = 'counter') <> (name LIKE '%\_total') $$, 'each has its parts; counters, and they alone, end in _total');

-- The text contains the same figures.
CREATE TEMP VIEW line AS SELECT line FROM regexp_split_to_table(rhesis_notify.metrics(), '\n') AS line;
SELECT set_eq(
	$$ SELECT substring(line FROM '^# HELP (\S+)') AS name, substring(line FROM '^# HELP \S+ (.*)') AS help FROM line WHERE line LIKE '# HELP %' $$,
	$$ SELECT DISTINCT name, help FROM rhesis_notify.metric_samples() $$, 'a HELP line for each metric');
SELECT set_eq(
	$$ SELECT substring(line FROM '^# TYPE (\S+)') AS name, substring(line FROM '^# TYPE \S+ (.*)') AS type FROM line WHERE line LIKE '# TYPE %' $$,
	$$ SELECT DISTINCT name, type FROM rhesis_notify.metric_samples() $$, 'a TYPE line for each metric');
SELECT set_eq(
	$$ SELECT substring(line FROM '^\w+') AS name, substring(line FROM 'state="(\w+)"') AS state, substring(line FROM '\S+$')::float8 AS value FROM line WHERE line LIKE '%queue_notifications{%' $$,
	$$ SELECT name, labels ->> 'state' AS state, value FROM rhesis_notify.metric_samples('queue') $$, 'and the samples');
SELECT is(right(rhesis_notify.metrics(), 1), E'\n', 'it ends with a line feed, as the format wants');

-- The name of this database needs no escaping and cannot be changed here. test/t/monitoring.pl
-- tests the escaping.
SELECT unalike(rhesis_notify.metrics(), '%@%', 'no address is in the text');
SELECT is_empty($$ SELECT * FROM rhesis_notify.metric_samples() WHERE labels::text ~ '@' $$, 'nor in a label');

-- The cost of a scrape does not grow with the number of finished rows.
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, finished_at)
SELECT gen_random_uuid(), 'app.report', 'success', 'sent', now() FROM generate_series(1, 3000);
SELECT pg_stat_get_xact_numscans('rhesis_notify.task_notifications'::regclass) AS scans \gset
SELECT count(*) FROM rhesis_notify.metrics() \g /dev/null
SELECT is(pg_stat_get_xact_numscans('rhesis_notify.task_notifications'::regclass), :scans::bigint, 'it reads by indexes');

SELECT * FROM finish();
ROLLBACK;
