-- Rows with infinite times, or with the first or last possible timestamp: every report works, and
-- no mail shows nonsense.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS rhesis_notify;
SET LOCAL client_min_messages = notice;
SET LOCAL TimeZone = 'UTC';
SELECT * FROM no_plan();

CREATE TABLE public."user" (id text PRIMARY KEY, email text, name text, organization_id text);
INSERT INTO public."user" VALUES ('1', 'jane@example.com', 'Jane', NULL);
DELETE FROM rhesis_notify.task_notifications;

CREATE TEMP TABLE moments (moment timestamptz);
INSERT INTO moments VALUES ('infinity'), ('-infinity'), ('4714-11-24 00:00:00+00 BC'), ('294276-12-31 23:59:59+00'), ('0001-01-01'), (now());

-- Each column with each such time, in the states that read it.
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, template, created_at, next_attempt_at, started_at, completed_at,
	finished_at, delivery_status, claimed_by)
SELECT concat_ws(' ', state, created.moment, due.moment, finished.moment), 'app.export', 'success', '1', 'task_completion', created.moment, due.moment,
	created.moment, due.moment, finished.moment, state::rhesis_notify.delivery_state, CASE state WHEN 'sending' THEN 42 END
FROM unnest(ARRAY['pending', 'deferred', 'held', 'sending', 'sent', 'failed', 'skipped']) AS state
CROSS JOIN moments AS created CROSS JOIN moments AS due
JOIN (SELECT moment FROM moments UNION ALL SELECT NULL) AS finished ON (finished.moment IS NULL) = (state IN ('pending', 'deferred', 'held', 'sending'));

CREATE FUNCTION pg_temp.error_of(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE query;
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM;
END
$$;
SELECT is_empty($$ SELECT n.task_id, error FROM rhesis_notify.task_notifications AS n,
	pg_temp.error_of(format('SELECT count(*) FROM rhesis_notify.explain(%s)', id)) AS error WHERE error IS NOT NULL $$, 'explain() of each');
SELECT is_empty($$ SELECT n.task_id, error FROM rhesis_notify.task_notifications AS n,
	pg_temp.error_of(format('SELECT rhesis_notify.preview(%s)', id)) AS error WHERE error IS NOT NULL $$, 'preview() of each');
SELECT lives_ok($$ SELECT * FROM rhesis_notify.delivery_status $$, 'delivery_status');
SELECT lives_ok($$ SELECT * FROM rhesis_notify.queue_status $$, 'queue_status');
SELECT lives_ok($$ SELECT * FROM rhesis_notify.health() $$, 'health()');
SELECT is((SELECT count(*) FROM rhesis_notify.health() WHERE value ~ '-\d'), (SELECT count(*) FROM rhesis_notify.health() WHERE value ~ '\d{4}-\d\d-\d\d'), 'no span of it is negative');
SELECT lives_ok($$ SELECT rhesis_notify.metrics() $$, 'metrics()');
SELECT is_empty($$ SELECT * FROM rhesis_notify.metric_samples() WHERE value < 0 OR value = 'NaN' $$, 'no sample is negative');
SELECT lives_ok($$ SELECT rhesis_notify.retry_failed(since => 'infinity'), rhesis_notify.retry_failed(since => '-infinity') $$, 'retry_failed()');
SELECT lives_ok($$ SELECT rhesis_notify.purge('30 days') $$, 'purge()');

-- Returns the text of a mail about a task with these times.
CREATE FUNCTION pg_temp.text_of(started timestamptz, completed timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	new_id bigint;
BEGIN
	INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, template, started_at, completed_at)
	VALUES (gen_random_uuid(), 'app.export', 'success', '1', 'task_completion', started, completed) RETURNING id INTO new_id;
	RETURN (SELECT text FROM rhesis_notify.preview(new_id));
END
$$;
SELECT unalike(pg_temp.text_of(started.moment, completed.moment), '%Execution Time%', format('%s to %s: no time of execution', started.moment, completed.moment))
FROM moments AS started CROSS JOIN moments AS completed
WHERE started.moment <> completed.moment OR NOT isfinite(started.moment);
SELECT alike(pg_temp.text_of('2026-01-01 10:00+00', '2026-01-01 10:02:45+00'), '%Execution Time: 2m 45s%', 'an ordinary one');
SELECT alike(pg_temp.text_of(NULL, '0044-03-15 12:00+00 BC'), '%0044-03-15 12:00:00 UTC BC%', 'a year before our era');
SELECT unalike(pg_temp.text_of(NULL, 'infinity'), '%infinity%', 'no end of time');

SELECT * FROM finish();
ROLLBACK;
