-- The application of demo/app.sql with a thousand users, user1 to user1000, and functions that add
-- tasks for them.

CREATE EXTENSION rhesis_notify;

CREATE TABLE public.organization (id uuid PRIMARY KEY, name text NOT NULL, display_name text);
CREATE TABLE public."user"
(
	id uuid PRIMARY KEY,
	email text NOT NULL,
	name text,
	given_name text,
	organization_id uuid REFERENCES public.organization,
	is_active boolean NOT NULL DEFAULT true,
	deleted_at timestamptz
);

CREATE SCHEMA bench;

CREATE FUNCTION bench.organization_id(number integer DEFAULT 1) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN pg_catalog.md5('organization' || number)::uuid;

CREATE FUNCTION bench.user_id(name text) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN pg_catalog.md5(name)::uuid;

INSERT INTO public.organization VALUES (bench.organization_id(), 'acme', 'Customer & Söhne GmbH');
INSERT INTO public."user" (id, email, name, organization_id)
SELECT bench.user_id(prefix || n), prefix || n || '@bench.example', 'Ada Müller', bench.organization_id()
FROM pg_catalog.unnest('{user,load}'::text[]) AS prefix, pg_catalog.generate_series(1, 1000) AS n;
ANALYZE;

-- Adds count tasks, numbered from start. The users take turns in steps of a prime number, so
-- neighbouring tasks belong to users far apart, and count tasks are spread over all users. The mail
-- is the one that jobFor() in peers/mailer.js describes.
CREATE FUNCTION bench.queue(count integer, start integer, users integer) RETURNS void LANGUAGE sql AS $$
	INSERT INTO rhesis_notify.task_notifications
		(task_id, task_name, status, user_id, organization_id, template, started_at, completed_at, result)
	SELECT 'task-' || pg_catalog.gen_random_uuid() || '-' || n, 'generate_test_set', 'success',
		bench.user_id('user' || 1 + n * 611953::bigint % users), bench.organization_id(), 'task_completion',
		pg_catalog.now() - interval '165 s', pg_catalog.now(),
		pg_catalog.jsonb_build_object('test_run_id', 'run-' || n, 'test_set_name', 'Insurance chatbot', 'num_tests_generated', 250)
	FROM pg_catalog.generate_series(start, start + count - 1) AS n
$$;

-- Adds the rows of mails that were sent long ago, numbered first to last. The rows up to old are
-- older than the default of retention. The rows are as a worker leaves them: each was inserted,
-- claimed and recorded, in transactions of a batch, so its page keeps the space that two updates
-- need. If rows are written in their final state, as by a restore, each page has space for one more
-- row, and the next mails are spread over all pages. Call this only while the worker is paused.
CREATE PROCEDURE bench.send_history(first integer, last integer, old integer) LANGUAGE plpgsql AS $$
DECLARE
	batch CONSTANT integer := 1000;
	-- The epoch of a worker that is alive. That worker ignores rows that it has not claimed, and no
	-- other worker adopts them.
	epoch CONSTANT bigint := (SELECT last_value FROM rhesis_notify.worker_epoch);
	newest CONSTANT bigint := coalesce((SELECT pg_catalog.max(id) FROM rhesis_notify.task_notifications), 0);
BEGIN
	INSERT INTO rhesis_notify.task_notifications
		(task_id, task_name, status, user_id, organization_id, template, started_at, completed_at, result, created_at, next_attempt_at)
	SELECT 'task-' || pg_catalog.gen_random_uuid() || '-' || n, 'generate_test_set', 'success',
		bench.user_id('user' || 1 + n % 1000), bench.organization_id(), 'task_completion', moment - interval '165 s', moment,
		pg_catalog.jsonb_build_object('test_run_id', 'run-' || n, 'test_set_name', 'Insurance chatbot', 'num_tests_generated', 250),
		moment, moment
	FROM (SELECT n, pg_catalog.now() - CASE WHEN n <= old THEN interval '40 d' ELSE interval '1 d' END + n * interval '1 ms' AS moment
		FROM pg_catalog.generate_series(first, last) AS n) AS past;
	COMMIT;
	-- The record comes one batch after the claim.
	FOR claimed IN newest + 1 .. newest + 1 + last - first + batch BY batch LOOP
		UPDATE rhesis_notify.task_notifications SET delivery_status = 'sent', claimed_by = NULL, attempts = 1,
			recipient_email = 'user' || 1 + id % 1000 || '@bench.example', smtp_reply = '250 2.0.0 Ok: queued as 4F2A',
			message_id = '<' || pg_catalog.gen_random_uuid() || '@bench.example>', finished_at = completed_at
		WHERE id BETWEEN claimed - batch AND claimed - 1 AND claimed_by = epoch;
		UPDATE rhesis_notify.task_notifications SET delivery_status = 'sending', claimed_by = epoch
		WHERE id BETWEEN claimed AND claimed + batch - 1;
		COMMIT;
	END LOOP;
END
$$;
