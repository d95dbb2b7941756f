-- A relation is read only with the rights of its owner. If row security hides rows, that is an
-- error and never an unknown user. The test module recipients_probe calls src/recipients. All
-- relations and roles are rolled back.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;

BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION recipients_probe;
LOAD 'recipients_probe';

CREATE FUNCTION verdict(user_id text, organization_id text DEFAULT NULL) RETURNS text
BEGIN ATOMIC
	SELECT coalesce('error: ' || error, skip_reason, format('mail to %s <%s>', name, email))
	FROM recipients_probe.look_up(ARRAY[user_id], ARRAY[organization_id]);
END;

-- Returns the problem that ends a look-up, as the log shows it.
CREATE FUNCTION problem(user_id text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text; detail text; hint text;
BEGIN
	RETURN 'none: ' || verdict(user_id);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, message, nullif(detail, ''), nullif(hint, ''));
END $$;

CREATE ROLE recipients_test_author;
CREATE ROLE recipients_test_other;
CREATE ROLE recipients_test_seer BYPASSRLS;
CREATE ROLE recipients_test_caller;
CREATE SCHEMA app AUTHORIZATION recipients_test_author;

SELECT plan(62);

-- ---- A view that calls a function of its author ----

SET ROLE recipients_test_author;
CREATE TABLE app.command (user_id serial PRIMARY KEY, command text NOT NULL);
CREATE FUNCTION app.try(command text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	EXECUTE command;
	RETURN format('done by %s', current_user);
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
CREATE VIEW app.trap AS
	SELECT user_id, 'trap@example.org' AS email, app.try(command) AS name FROM app.command;
-- A trigger that would run as the user who commits.
CREATE TABLE app.deferred (id int);
CREATE FUNCTION app.rise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	ALTER ROLE recipients_test_author SUPERUSER;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER rise AFTER INSERT ON app.deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.rise();
RESET ROLE;

SET recipients_probe.recipients = 'app.trap';

CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE sql AS $$
	TRUNCATE app.command RESTART IDENTITY;
	INSERT INTO app.command (command) VALUES (command);
	SELECT name FROM recipients_probe.look_up(ARRAY['1']);
$$;
CREATE TABLE attempts AS SELECT * FROM (VALUES
	('ALTER ROLE recipients_test_author SUPERUSER'),
	('SET ROLE postgres'),
	('SET LOCAL ROLE postgres'),
	('RESET ROLE'),
	('SET SESSION AUTHORIZATION postgres'),
	('RESET SESSION AUTHORIZATION'),
	('CREATE TEMPORARY TABLE trap (id int)'),
	('CREATE TABLE app.trap_table (id int)'),
	('CREATE FUNCTION app.trap() RETURNS int LANGUAGE sql RETURN 1'),
	('INSERT INTO app.deferred VALUES (1)'),
	('DELETE FROM app.command'),
	('LISTEN trap'),
	('PREPARE trap AS SELECT 1'),
	('DECLARE trap CURSOR WITH HOLD FOR SELECT 1'),
	('SET transaction_read_only = off'),
	('SET TRANSACTION READ WRITE'),
	('COPY (SELECT 1) TO PROGRAM ''cat >/dev/null''')) AS list (command);

SELECT is(attempt('SELECT 1'), 'done by recipients_test_author', 'a view''s functions run as the view''s owner');
SELECT isnt(attempt(command), 'done by recipients_test_author', format('and can not %s', command)) FROM attempts;
SELECT is(attempt('SELECT nextval(''app.command_user_id_seq'')'), '25006', 'and can not take a number from a sequence');

-- The same functions in a view of a superuser: their rights are not limited, but they cannot change
-- anything.
ALTER VIEW app.trap OWNER TO CURRENT_USER;
SELECT is(attempt('SELECT 1'), format('done by %s', current_user), 'a view that gets another owner is read as that one');
SELECT isnt(attempt(command), format('done by %s', current_user), format('even as a superuser it can not %s', command))
FROM attempts WHERE command NOT LIKE 'COPY %';
ALTER VIEW app.trap OWNER TO recipients_test_author;

-- An allowed action leaves no traces.
SET search_path = public, pg_temp;
SELECT is(attempt('SET search_path = app'), 'done by recipients_test_author', 'a search path may be set');
SELECT is(current_setting('search_path'), 'public, pg_temp', 'and is taken back');
SELECT is(attempt('SET row_security = off'), 'done by recipients_test_author', 'a setting may be set');
SELECT is(current_setting('row_security'), 'on', 'and is taken back, as ours is');
SELECT is(current_setting('lock_timeout'), '0', 'so is our lock_timeout');
SELECT is(current_setting('transaction_read_only'), 'off', 'and the transaction is read-write as before');
SELECT is(current_user, session_user, 'and run by the same user');
RESET search_path;
SELECT is((SELECT count(*)::int FROM pg_roles WHERE rolname = 'recipients_test_author' AND (rolsuper OR rolbypassrls OR rolcreaterole)), 0,
	'the author is nothing that it was not');
SELECT is((SELECT count(*)::int FROM pg_prepared_statements WHERE name = 'trap') + (SELECT count(*)::int FROM pg_cursors WHERE name = 'trap'), 0,
	'nothing is left in the session');

-- ---- The rights of the caller do not matter ----

GRANT USAGE ON SCHEMA public TO recipients_test_caller;
SELECT attempt('SELECT 1') \g /dev/null
SET ROLE recipients_test_caller;
SELECT is(verdict('1'), 'mail to done by recipients_test_author <trap@example.org>', 'a role with no right on the relation gets the same verdict');
SELECT throws_ok('SELECT * FROM app.trap', '42501', NULL, 'although it can''t read it by itself');
RESET ROLE;

-- ---- The rights of the owner matter ----

CREATE TABLE app.secret (user_id int PRIMARY KEY, email text);
INSERT INTO app.secret VALUES (1, 'secret@example.org');
GRANT SELECT ON app.secret TO recipients_test_author;
SET ROLE recipients_test_author;
CREATE VIEW app.borrowed AS SELECT * FROM app.secret;
RESET ROLE;
SET recipients_probe.recipients = 'app.borrowed';
SELECT is(verdict('1'), 'mail to secret@example.org <secret@example.org>', 'a view reads what its owner may read');
REVOKE SELECT ON app.secret FROM recipients_test_author;
SELECT is(problem('1'), '42501 | permission denied for table secret | app.borrowed is read as role "recipients_test_author". | '
	'Each relation is read with the rights of its owner: grant the owner what the relation needs.',
	'and nothing else, although a superuser asks');

CREATE SCHEMA closed;
CREATE TABLE closed.people AS SELECT 1 AS user_id, 'closed@example.org' AS email;
ALTER TABLE closed.people OWNER TO recipients_test_author;
SET recipients_probe.recipients = 'closed.people';
SELECT matches(problem('1'), '^42501 \| permission denied for schema closed ', 'an owner that may not enter its schema is a problem');

-- ---- Users and organizations are read in separate statements ----

CREATE TABLE public.organization_data AS SELECT 1 AS id;
GRANT SELECT ON public.organization_data TO recipients_test_other;
GRANT CREATE ON SCHEMA public TO recipients_test_author, recipients_test_other;
SET ROLE recipients_test_author;
CREATE FUNCTION app.set_trap() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	SET search_path = app;
	SET trap.set = 'set';
	RETURN current_user;
END $$;
CREATE VIEW public."user" AS
	SELECT 1 AS id, 'user@example.org' AS email, app.set_trap() AS name, 1 AS organization_id;
SET ROLE recipients_test_other;
CREATE VIEW public.organization AS
	SELECT id, concat_ws(' ', current_user, current_setting('search_path'), nullif(current_setting('trap.set', true), '')) AS name
	FROM public.organization_data;
RESET ROLE;
RESET recipients_probe.recipients;
SELECT is((SELECT name || ', ' || organization_name FROM recipients_probe.look_up(ARRAY['1'])),
	'recipients_test_author, recipients_test_other pg_catalog, pg_temp', 'each is read as its own owner, and sees nothing of what the other set');
ALTER VIEW public.organization OWNER TO recipients_test_author;
SELECT matches(problem('1'), '^42501 \| permission denied for table organization_data \| public.organization is read as role "recipients_test_author"',
	'organizations that can''t be read are a problem too');
DROP VIEW public."user", public.organization;

-- ---- Row security ----

SET ROLE recipients_test_author;
CREATE TABLE public."user" (id int PRIMARY KEY, email text);
INSERT INTO public."user" VALUES (1, 'one@example.org'), (2, 'two@example.org');
ALTER TABLE public."user" ENABLE ROW LEVEL SECURITY;
CREATE POLICY first_only ON public."user" USING (id = 1);
RESET ROLE;
SELECT is(verdict('2'), 'mail to two@example.org <two@example.org>', 'row security does not bind a table''s owner');
ALTER TABLE public."user" FORCE ROW LEVEL SECURITY;
SELECT is(problem(id), '42501 | query would be affected by row-level security policy for table "user" | '
	'public."user" is read as role "recipients_test_author". | Give the owner of the relation that is read BYPASSRLS, or name a view in '
	'rhesis_notify.recipients whose owner sees every recipient.', format('where it does, user %s is a problem, hidden or not', id))
FROM (VALUES ('1'), ('2'), ('3')) AS ids (id);

-- The solutions that the hint names.
SET ROLE recipients_test_author;
GRANT SELECT ON public."user" TO recipients_test_other, recipients_test_seer;
GRANT USAGE, CREATE ON SCHEMA app TO recipients_test_other, recipients_test_seer;
RESET ROLE;
CREATE VIEW app.people AS SELECT id AS user_id, email FROM public."user";
ALTER VIEW app.people OWNER TO recipients_test_other;
SET recipients_probe.recipients = 'app.people';
SELECT matches(problem('2'), '^42501 \| query would be affected by row-level security policy for table "user" ', 'a view''s owner is bound by the table''s policies');
ALTER VIEW app.people OWNER TO recipients_test_seer;
SELECT is(verdict('2'), 'mail to two@example.org <two@example.org>', 'unless it has BYPASSRLS');
ALTER VIEW app.people OWNER TO CURRENT_USER;
SELECT is(verdict('2'), 'mail to two@example.org <two@example.org>', 'or is a superuser');
ALTER VIEW app.people SET (security_invoker = true);
ALTER VIEW app.people OWNER TO recipients_test_other;
SELECT matches(problem('2'), '^42501 \| query would be affected by row-level security policy ', 'security_invoker means the owner too');
RESET recipients_probe.recipients;
ALTER TABLE public."user" OWNER TO recipients_test_seer;
SELECT is(verdict('2'), 'mail to two@example.org <two@example.org>', 'a table whose owner has BYPASSRLS is read, forced or not');


-- ---- A function with a false label ----

CREATE FUNCTION app.fickle(key integer) RETURNS integer LANGUAGE plpgsql STABLE
	AS 'BEGIN RETURN CASE WHEN pg_catalog.random() < 0.5 THEN key END; END';
CREATE VIEW app.fickle_people AS SELECT app.fickle(id) AS user_id, email FROM public."user";
SET recipients_probe.recipients = 'app.fickle_people';
SELECT ok(bool_and(verdict('2') IN ('mail to two@example.org <two@example.org>', 'unknown_user')),
	'a key that is null when it is looked at again is no recipient, and harms nobody')
FROM generate_series(1, 100);

SELECT * FROM finish();
ROLLBACK;
