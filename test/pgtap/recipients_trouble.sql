-- Errors while recipients are read: an error of a row concerns that row, an error of a relation
-- concerns the queue, and a cancellation is neither. Run it in an empty database, because a second
-- session takes part.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;

CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION dblink;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION recipients_probe;
LOAD 'recipients_probe';

CREATE FUNCTION verdicts(user_ids text[]) RETURNS text[]
BEGIN ATOMIC
	SELECT array_agg(coalesce('error: ' || error, skip_reason, 'mail') ORDER BY row_number)
	FROM recipients_probe.look_up(user_ids);
END;

CREATE FUNCTION problem(VARIADIC user_ids text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text; hint text;
BEGIN
	RETURN 'none: ' || verdicts(user_ids)::text;
EXCEPTION WHEN OTHERS OR query_canceled THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, message, nullif(hint, ''));
END $$;

-- A second session in this database.
SELECT format('host=%s port=%s dbname=%s user=%s', split_part(current_setting('unix_socket_directories'), ',', 1),
	current_setting('port'), current_database(), current_user) AS here \gset

SELECT plan(29);

-- ---- A function that fails for some users ----

CREATE TABLE public.person (id int PRIMARY KEY, deed text);
INSERT INTO public.person SELECT id, NULL FROM generate_series(1, 1000) AS id;
CREATE FUNCTION public.act(deed text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	EXECUTE deed;
	RETURN 'person@example.org';
END $$;
CREATE VIEW public.people AS
	SELECT id AS user_id, CASE WHEN deed IS NULL THEN 'person@example.org' ELSE public.act(deed) END AS email FROM public.person;
SET recipients_probe.recipients = 'people';

UPDATE public.person SET deed = 'SELECT 1 / 0' WHERE id IN (2, 5);
UPDATE public.person SET deed = $$ DO 'BEGIN RAISE EXCEPTION ''person % is cursed'', 7; END' $$ WHERE id = 7;
SELECT is(verdicts(ARRAY['1', '2', 'x', '3', NULL, '5', '7', '8', '2000']),
	ARRAY['mail', 'error: division by zero (SQLSTATE 22012)', 'unknown_user', 'mail', 'no_user', 'error: division by zero (SQLSTATE 22012)',
		'error: person 7 is cursed (SQLSTATE P0001)', 'mail', 'unknown_user'], 'a row that fails fails alone');
SELECT is((SELECT array_agg(DISTINCT row_number) FILTER (WHERE error IS NOT NULL) || count(*)::int || (count(*) FILTER (WHERE error IS NULL AND skip_reason IS NULL))::int
		FROM recipients_probe.look_up((SELECT array_agg(id::text ORDER BY id) FROM public.person))),
	ARRAY[2, 5, 7, 1000, 997], 'among a thousand too');
SELECT is(problem('2'), 'none: {"error: division by zero (SQLSTATE 22012)"}', 'a row alone can''t be told from its relation: the row has the error');
SELECT is(problem('2', '2'), 'none: {"error: division by zero (SQLSTATE 22012)","error: division by zero (SQLSTATE 22012)"}', 'nor can two of one user');
SELECT is(problem('2', '7'), 'none: {"error: division by zero (SQLSTATE 22012)","error: person 7 is cursed (SQLSTATE P0001)"}', 'two users who fail differently fail each');
SELECT is(problem('2', '5', 'x', NULL), '22012 | division by zero', 'several users who all fail alike: the relation is at fault');
SELECT is(problem('2', '5', '2000'), 'none: {"error: division by zero (SQLSTATE 22012)","error: division by zero (SQLSTATE 22012)",unknown_user}',
	'not if the relation knows that somebody is unknown');

UPDATE public.person SET deed = 'SELECT * FROM nothing' WHERE id = 9;
SELECT matches(problem('9'), '^42P01 \| relation "nothing" does not exist \| ', 'a relation that reads what is not there is a problem for all');
UPDATE public.person SET deed = 'INSERT INTO public.person VALUES (0)' WHERE id = 9;
SELECT is(problem('9'), '25006 | cannot execute INSERT in a read-only transaction | '
	'Recipients are read in a read-only transaction: a view must not call a function that writes.', 'so is one that writes');
UPDATE public.person SET deed = format('SELECT recipients_probe.look_up(ARRAY[%L])', '1') WHERE id = 9;
SELECT is(problem('9'), '55006 | a recipients relation cannot look up recipients itself', 'and one that looks recipients up');
UPDATE public.person SET deed = format('DO %L', format('BEGIN RAISE EXCEPTION %L; END', repeat('ü', 5000))) WHERE id = 9;
SELECT is((SELECT octet_length(error) FROM recipients_probe.look_up(ARRAY['9'])), 1000 + octet_length(' (SQLSTATE P0001)'), 'a long message is cut between characters');
SELECT is(verdicts(ARRAY['1']), ARRAY['mail'], 'after all that the session looks up as before');

-- Too many rows.
CREATE VIEW public.crowd AS
	SELECT id AS user_id, 'person@example.org' AS email FROM public.person, generate_series(1, CASE WHEN id = 4 THEN 10001 ELSE 20 END);
SET recipients_probe.recipients = 'crowd';
SELECT is((SELECT array_agg(DISTINCT coalesce(error, skip_reason)) FROM recipients_probe.look_up((SELECT array_agg(id::text) FROM public.person))),
	ARRAY['the relation has more than 10000 rows for these ids (SQLSTATE 54000)', 'wrong_organization'],
	'more rows than a look-up may cost are an error of the user who has them');
SET recipients_probe.recipients = 'people';

-- ---- Locks ----

SELECT dblink_connect('other', :'here') \g /dev/null
SELECT dblink_exec('other', 'BEGIN; LOCK TABLE public.person IN ACCESS EXCLUSIVE MODE') \g /dev/null
SELECT is(problem('1'), '55P03 | canceling statement due to lock timeout | Another session, perhaps a migration, has it locked; mail goes on when that is done.',
	'a locked table is a problem after a second');
SELECT dblink_exec('other', 'COMMIT; BEGIN; LOCK TABLE public.people IN ACCESS EXCLUSIVE MODE') \g /dev/null
SELECT matches(problem('1'), '^55P03 ', 'so is a locked view');
SELECT dblink_exec('other', 'ROLLBACK') \g /dev/null
SELECT is(verdicts(ARRAY['1']), ARRAY['mail'], 'and mail goes on');
BEGIN;
SELECT verdicts(ARRAY['1']) \g /dev/null
SELECT is(dblink_exec('other', 'BEGIN; LOCK TABLE public.person, public.people IN ACCESS EXCLUSIVE MODE NOWAIT; COMMIT'), 'COMMIT',
	'a look-up does not hold a migration up, even while its transaction goes on');
COMMIT;

-- The caller's transaction may have any properties.
BEGIN READ ONLY;
SELECT is(verdicts(ARRAY['1']), ARRAY['mail'], 'recipients are read in a read-only transaction');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT is(verdicts(ARRAY['1']), ARRAY['mail'], 'and in a serializable one');
COMMIT;

-- ---- Time ----

SET recipients_probe.look_up_limit = '1500ms';
UPDATE public.person SET deed = 'SELECT pg_catalog.pg_sleep(600)' WHERE id = 9;
SELECT is(problem('1', '9'), '57014 | reading recipients takes longer than 1500 ms | '
	'The relation must find rows by their user with an index; see its plan with EXPLAIN.', 'a look-up that takes too long is a problem');
UPDATE public.person SET deed = 'SELECT pg_catalog.pg_cancel_backend(pg_catalog.pg_backend_pid()), pg_catalog.pg_sleep(600)' WHERE id = 9;
SELECT is(problem('1', '9'), '57014 | canceling statement due to user request', 'a cancellation goes through');
UPDATE public.person SET deed = 'SELECT pg_catalog.pg_sleep(600)' WHERE id = 9;
SET statement_timeout = '300ms';
SELECT is(problem('1', '9'), '57014 | canceling statement due to statement timeout', 'so does the session''s own statement_timeout');
RESET statement_timeout;
UPDATE public.person SET deed = 'SELECT pg_catalog.pg_sleep(0.5)' WHERE id = 9;
SELECT is((SELECT array_agg(DISTINCT verdicts(ARRAY['9', n::text])) FROM generate_series(101, 104) AS n), ARRAY[ARRAY['mail', 'mail']], 'each look-up has the whole time');
SELECT is((SELECT true FROM pg_catalog.pg_sleep(2)), true, 'and afterwards the timer is off');

-- A function that catches the cancellation cannot hold up the process.
UPDATE public.person SET deed = $$ DO 'BEGIN LOOP BEGIN PERFORM pg_catalog.pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END' $$ WHERE id = 9;
SELECT is(problem('1', '9'), '57014 | reading recipients takes longer than 1500 ms | '
	'The relation must find rows by their user with an index; see its plan with EXPLAIN.', 'a relation that catches each cancellation is ended');

-- ---- Foreign tables ----

RESET recipients_probe.look_up_limit;
CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw;
CREATE USER MAPPING FOR CURRENT_USER SERVER loopback OPTIONS (password_required 'false');
SELECT format('ALTER SERVER loopback OPTIONS (host %L, port %L, dbname %L)', split_part(current_setting('unix_socket_directories'), ',', 1),
	current_setting('port'), current_database()) \gexec
CREATE FOREIGN TABLE public.far_people (user_id int, email text) SERVER loopback OPTIONS (table_name 'people');
SET recipients_probe.recipients = 'far_people';
SELECT is(verdicts(ARRAY['1', '2000']), ARRAY['mail', 'unknown_user'], 'a foreign table is read');
SELECT is(verdicts(ARRAY['1', '2']), ARRAY['mail', 'error: division by zero (SQLSTATE 22012)'], 'and an error there is its row''s');
SELECT postgres_fdw_disconnect_all() \g /dev/null
ALTER SERVER loopback OPTIONS (SET port '1');
SELECT matches(problem('1'), '^08001 \| could not connect to server "loopback"', 'a far server that is away is a problem');
SET recipients_probe.recipients = 'people';
SELECT is(verdicts(ARRAY['1']), ARRAY['mail'], 'and nothing of it stays behind');

SELECT * FROM finish();
