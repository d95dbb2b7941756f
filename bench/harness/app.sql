-- An application as in demo/app.sql, with a thousand users, user1 to user1000, and what puts tasks in for them.

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

-- So many tasks, numbered from start, for users in turn. The mail is the one that jobFor() in peers/mailer.js describes.
CREATE FUNCTION bench.queue(count integer, start integer, users integer) RETURNS void LANGUAGE sql AS $$
	INSERT INTO rhesis_notify.task_notifications
		(task_id, task_name, status, user_id, organization_id, template, started_at, completed_at, result)
	SELECT 'task-' || pg_catalog.gen_random_uuid() || '-' || n, 'generate_test_set', 'success',
		bench.user_id('user' || 1 + n % users), bench.organization_id(), 'task_completion',
		pg_catalog.now() - interval '165 s', pg_catalog.now(),
		pg_catalog.jsonb_build_object('test_run_id', 'run-' || n, 'test_set_name', 'Insurance chatbot', 'num_tests_generated', 250)
	FROM pg_catalog.generate_series(start, start + count - 1) AS n
$$;
