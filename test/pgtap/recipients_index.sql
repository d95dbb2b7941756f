-- However many users there are, a look-up uses the index of the relation. EXPLAIN shows this for
-- the executed statement. Run it in an empty database, as a superuser. auto_explain shows the plans
-- to a second psql, and this test reads its messages.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;

CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION recipients_probe;
CREATE TABLE message (number int GENERATED ALWAYS AS IDENTITY, line text);

-- Returns the plans of a look-up of these users, as text. Each line is read as one column, because
-- its separator E'\x01' does not occur in it.
CREATE FUNCTION plans(relation text, user_ids text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	script text := format('LOAD ''recipients_probe''; LOAD ''auto_explain''; SET auto_explain.log_min_duration = 0; '
		'SET auto_explain.log_nested_statements = on; SET auto_explain.log_level = notice; SET recipients_probe.recipients = %L; '
		'SELECT count(*) FROM recipients_probe.look_up(%L)', relation, user_ids);
	program text := format('psql -X -h "%s" -p %s -d "%s" -U "%s" 2>&1 <<''END''' || E'\n%s;\nEND\n',
		split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database(), current_user, script);
BEGIN
	TRUNCATE message;
	EXECUTE format('COPY message (line) FROM PROGRAM %L (DELIMITER E''\x01'')', program);
	RETURN (SELECT string_agg(line, E'\n' ORDER BY number) FROM message);
END $$;

SELECT plan(18);

-- ---- The Rhesis schema, a million users ----

CREATE TABLE public.organization (id uuid PRIMARY KEY, name text);
CREATE TABLE public."user" (id uuid PRIMARY KEY, email text, organization_id uuid);
INSERT INTO public.organization SELECT md5(id::text)::uuid, 'organization ' || id FROM generate_series(1, 100000) AS id;
INSERT INTO public."user" SELECT md5(id::text)::uuid, 'user' || id || '@example.org', md5((id % 100000 + 1)::text)::uuid FROM generate_series(1, 1000000) AS id;

CREATE FUNCTION users(count int) RETURNS text[] LANGUAGE sql AS
	'SELECT array_agg(md5((id * 997)::text)) FROM generate_series(1, count) AS id';

CREATE FUNCTION uses(plan text, index text) RETURNS boolean LANGUAGE sql AS
	$$ SELECT plan ~ ('(Index|Bitmap Index) Scan (using|on) ' || index || '\M.*\n +Index Cond: ') AND plan !~ 'Seq Scan' $$;

SELECT ok(uses(plans('', users(1)), 'user_pkey'), 'one of a million users is found by index, before any statistics exist');
SELECT ok(uses(plans('', users(64)), 'user_pkey'), 'so is a batch');
ANALYZE;
SELECT plans('', users(1)) AS plans \gset
SELECT ok(uses(:'plans', 'user_pkey'), 'one of a million users is found by index');
SELECT ok(uses(:'plans', 'organization_pkey'), 'and the organization too');
SELECT ok(:'plans' ~ 'Index Scan using user_pkey on "user" r .*rows=1 ', 'by one index scan that is estimated at one row');
SELECT ok(uses(plans('', users(64)), 'user_pkey'), 'a batch of users is found by index');
SELECT plans('', users(1000)) AS plans \gset
SELECT ok(:'plans' ~ 'Index Scan (using|on) user_pkey ' AND :'plans' !~ 'Seq Scan on "user"', 'a large one too');

-- The statement is the same for one user and for many. It is prepared once, and its later plans are
-- as good.
LOAD 'recipients_probe';
SELECT count(*) FROM generate_series(1, 20), LATERAL (SELECT recipients_probe.look_up(users(generate_series))) AS verdict \g /dev/null
SELECT is((SELECT seq_scan::int FROM pg_stat_xact_user_tables WHERE relname = 'user' AND schemaname = 'public'), 0, 'no plan of a session reads the whole table');

-- ---- A table that is still small ----

CREATE TABLE public.few (user_id uuid CONSTRAINT few_pkey PRIMARY KEY, email text);
INSERT INTO public.few SELECT md5(id::text)::uuid, 'user@example.org' FROM generate_series(1, 1000) AS id;
ANALYZE public.few;
SELECT ok(uses(plans('few', (SELECT array_agg(md5(id::text)) FROM generate_series(1, 64) AS id)), 'few_pkey'), 'a batch of a thousand users is found by index as well');

-- ---- A view ----

CREATE VIEW public.people WITH (security_barrier) AS
	SELECT u.id AS user_id, u.email, o.id AS organization_id, o.name AS organization_name
	FROM public."user" AS u LEFT JOIN public.organization AS o ON o.id = u.organization_id;
SELECT ok(uses(plans('people', users(8)), 'user_pkey'), 'a view that joins, even one with a security barrier, is searched by its tables'' indexes');

-- ---- Every key type ----

CREATE DOMAIN public.user_key AS uuid;
CREATE TABLE key_type (number int GENERATED ALWAYS AS IDENTITY, type text, expression text);
INSERT INTO key_type (type, expression) VALUES
	('uuid', 'md5(id::text)::uuid'), ('bigint', 'id'), ('integer', 'id'), ('smallint', 'id'), ('text', 'md5(id::text)'),
	('varchar', 'md5(id::text)'), ('varchar(40) COLLATE "C"', 'md5(id::text)'), ('public.user_key', 'md5(id::text)::uuid');
SELECT format('CREATE TABLE public.keyed_%s (user_id %s CONSTRAINT key_%1$s PRIMARY KEY, email text)', number, type) FROM key_type \gexec
SELECT format('INSERT INTO public.keyed_%s SELECT %s, ''user@example.org'' FROM generate_series(1, 30000) AS id', number, expression) FROM key_type \gexec
ANALYZE;
SELECT ok(uses(plans('keyed_' || number, CASE WHEN expression = 'id' THEN '{77,78}' ELSE ARRAY[md5('77'), md5('78')] END), 'key_' || number),
	format('keys of type %s are found by index', type))
FROM key_type;

SELECT * FROM finish();
