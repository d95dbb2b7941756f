-- Who gets a mail: every verdict, every type of key, the Rhesis schema, and other relations. The
-- test module recipients_probe calls src/recipients. All relations are rolled back.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;

BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION recipients_probe;
LOAD 'recipients_probe';

-- Returns the verdicts in words: "mail to NAME <ADDRESS>", the reason to skip the mail, or the
-- error.
CREATE FUNCTION verdicts(user_ids text[], organization_ids text[] DEFAULT NULL) RETURNS text[]
BEGIN ATOMIC
	SELECT array_agg(coalesce('error: ' || error, skip_reason, format('mail to %s <%s>', name, email))
		ORDER BY row_number)
	FROM recipients_probe.look_up(user_ids, organization_ids);
END;

CREATE FUNCTION verdict(user_id text, organization_id text DEFAULT NULL) RETURNS text
BEGIN ATOMIC
	SELECT (verdicts(ARRAY[user_id], ARRAY[organization_id]))[1];
END;

SELECT plan(93);

-- ---- The Rhesis schema ----

SELECT throws_ok($$ SELECT verdict('1') $$, '42P01', 'relation "public.user" does not exist',
	'without any relation the queue waits, and is told why');

CREATE TABLE public.organization (id uuid PRIMARY KEY, name text, display_name text);
CREATE TABLE public."user" (
	id uuid PRIMARY KEY, email text, name text, given_name text,
	organization_id uuid REFERENCES public.organization, is_active boolean DEFAULT true, deleted_at timestamptz);

INSERT INTO public.organization VALUES
	('a0000000-0000-0000-0000-000000000001', 'acme', 'Acme Inc.'),
	('a0000000-0000-0000-0000-000000000002', 'plain', ''),
	('a0000000-0000-0000-0000-000000000003', NULL, NULL);
INSERT INTO public."user" (id, email, name, given_name, organization_id, is_active, deleted_at) VALUES
	('00000000-0000-0000-0000-0000000000aa', 'ada@example.org', 'Ada Lovelace', 'Ada', 'a0000000-0000-0000-0000-000000000001', true, NULL),
	('00000000-0000-0000-0000-000000000002', 'bob@example.org', '  ', 'Bob', 'a0000000-0000-0000-0000-000000000002', true, NULL),
	('00000000-0000-0000-0000-000000000003', 'cleo@example.org', NULL, NULL, NULL, NULL, NULL),
	('00000000-0000-0000-0000-000000000004', 'dan@example.org', 'Dan', NULL, 'a0000000-0000-0000-0000-000000000001', false, NULL),
	('00000000-0000-0000-0000-000000000005', 'eve@example.org', 'Eve', NULL, 'a0000000-0000-0000-0000-000000000001', true, now()),
	('00000000-0000-0000-0000-000000000006', NULL, 'Fay', NULL, NULL, true, NULL),
	('00000000-0000-0000-0000-000000000007', ' ', 'Gus', NULL, NULL, true, NULL),
	('00000000-0000-0000-0000-000000000008', 'not an address', 'Hal', NULL, NULL, true, NULL),
	('00000000-0000-0000-0000-000000000009', E'ivy@example.org\r\nBcc: all@example.org', 'Ivy', NULL, NULL, true, NULL),
	('00000000-0000-0000-0000-00000000000a', 'jo@Placeholder.Rhesis.AI', 'Jo', NULL, NULL, true, NULL),
	('00000000-0000-0000-0000-00000000000b', 'kim@sub.placeholder.rhesis.ai', 'Kim', NULL, NULL, true, NULL),
	('00000000-0000-0000-0000-00000000000c', 'lou@example.org', repeat('ü', 10000000), NULL, 'a0000000-0000-0000-0000-000000000003', true, NULL),
	('00000000-0000-0000-0000-00000000000d', 'mia@' || repeat('x', 10000000), 'Mia', NULL, NULL, true, NULL),
	('00000000-0000-0000-0000-00000000000e', 'ned@example.org', 'Ned', NULL, 'a0000000-0000-0000-0000-000000000001', false, now());

SELECT is(verdict('00000000-0000-0000-0000-0000000000aa'), 'mail to Ada Lovelace <ada@example.org>', 'a user gets mail');
SELECT is(verdict('00000000-0000-0000-0000-000000000002'), 'mail to Bob <bob@example.org>', 'a blank name falls back to the given name');
UPDATE public."user" SET name = chr(160) || chr(8203) || chr(12288) WHERE email = 'bob@example.org';
SELECT is(verdict('00000000-0000-0000-0000-000000000002'), 'mail to Bob <bob@example.org>', 'and so does one of blanks that are not ASCII''s');
SELECT is(verdict('00000000-0000-0000-0000-000000000003'), 'mail to cleo@example.org <cleo@example.org>', 'without names the address is the name, and a null is_active is not inactive');
SELECT is(verdict(NULL), 'no_user', 'no user id: no_user');
SELECT is(verdict(''), 'no_user', 'an empty user id: no_user');
SELECT is(verdict('00000000-0000-0000-0000-0000000000ff'), 'unknown_user', 'no such user: unknown_user');
SELECT is(verdict('00000000-0000-0000-0000-000000000005'), 'unknown_user', 'a deleted user: unknown_user');
SELECT is(verdict('00000000-0000-0000-0000-00000000000e'), 'unknown_user', 'deleted counts before inactive');
SELECT is(verdict('42; DROP TABLE public."user"'), 'unknown_user', 'an id that is no uuid: unknown_user');
SELECT is(verdict('00000000-0000-0000-0000-000000000004'), 'inactive_user', 'is_active false: inactive_user');
SELECT is(verdict('00000000-0000-0000-0000-000000000006'), 'no_email', 'a null address: no_email');
SELECT is(verdict('00000000-0000-0000-0000-000000000007'), 'no_email', 'a blank address: no_email');
SELECT is(verdict('00000000-0000-0000-0000-000000000008'), 'invalid_email', 'no address at all: invalid_email');
SELECT is(verdict('00000000-0000-0000-0000-000000000009'), 'invalid_email', 'an address with a line break: invalid_email');
SELECT is(verdict('00000000-0000-0000-0000-00000000000d'), 'invalid_email', 'an address of 10 MB: invalid_email');
SELECT is(verdict('00000000-0000-0000-0000-00000000000a'), 'placeholder_email', 'a placeholder domain in any case: placeholder_email');
SELECT is(verdict('00000000-0000-0000-0000-00000000000b'), 'mail to Kim <kim@sub.placeholder.rhesis.ai>', 'a domain below a placeholder domain is none');
-- Addresses as people write them.
CREATE FUNCTION verdict_on(email text) RETURNS text LANGUAGE sql AS $$
	UPDATE public."user" SET email = $1 WHERE id = '00000000-0000-0000-0000-000000000006';
	SELECT verdict('00000000-0000-0000-0000-000000000006');
$$;
SELECT is(verdict_on('  fay@example.org '), 'mail to Fay <fay@example.org>', 'blanks around an address are trimmed');
SELECT is(verdict_on(E'\tfay@example.org\r\n'), 'mail to Fay <fay@example.org>', '... tabs and line ends too');
SELECT is(verdict_on(E'\u00a0fay@example.org\u2003\u200b'), 'mail to Fay <fay@example.org>', '... and no-break and invisible ones');
SELECT is(verdict_on(E'\u00a0\t'), 'no_email', 'an address of blanks alone is none');
SELECT is(verdict_on('fay @example.org'), 'invalid_email', 'a blank inside is not taken out');
SELECT is(verdict_on('fay@example.org' || repeat(' ', 2000)), 'invalid_email', 'what was cut is no address');
SELECT is(verdict_on('fay@example.org' || repeat(' ', 2000) || 'eve@example.org'), 'invalid_email', '... whatever came behind');
SELECT is(verdict_on('fay@exämple.de'), 'mail to Fay <fay@xn--exmple-cua.de>', 'a domain beyond ASCII is written in its IDNA form');
SELECT is(verdict_on('fäy@example.org'), 'invalid_email', 'a name beyond ASCII takes SMTPUTF8');
SELECT is(verdict_on('fay@ex ämple.de'), 'invalid_email', 'a blank in such a domain');
SET recipients_probe.placeholder_domains = 'exämple.de';
SELECT is(verdict_on('fay@xn--exmple-cua.de'), 'placeholder_email', 'a placeholder domain may be written in either form');
SET recipients_probe.placeholder_domains = 'xn--exmple-cua.de';
SELECT is(verdict_on('fay@EXÄMPLE.de'), 'placeholder_email', '... and so may the address');
SET recipients_probe.placeholder_domains = ' example.net,,EXAMPLE.org ';
SELECT is(verdicts(ARRAY['00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-00000000000a']),
	ARRAY['placeholder_email', 'mail to Jo <jo@Placeholder.Rhesis.AI>'], 'placeholder domains are a list');
SET recipients_probe.placeholder_domains = '';
SELECT is(verdict('00000000-0000-0000-0000-00000000000a'), 'mail to Jo <jo@Placeholder.Rhesis.AI>', 'the list may be empty');
RESET recipients_probe.placeholder_domains;

SELECT is((SELECT length(name) FROM recipients_probe.look_up(ARRAY['00000000-0000-0000-0000-00000000000c'])), 256,
	'a name of 10 MB is cut at 256 characters');
SELECT is((SELECT email FROM recipients_probe.look_up(ARRAY['00000000-0000-0000-0000-000000000004'])), 'dan@example.org',
	'the address is told with the reason to skip it');

SELECT is(verdict('00000000-0000-0000-0000-0000000000aa', 'a0000000-0000-0000-0000-000000000001'), 'mail to Ada Lovelace <ada@example.org>', 'the own organization matches');
SELECT is(verdict('00000000-0000-0000-0000-0000000000aa', '{A0000000000000000000000000000001}'), 'mail to Ada Lovelace <ada@example.org>', 'organizations are compared as uuids, not as text');
SELECT is(verdict('00000000-0000-0000-0000-0000000000aa', ''), 'mail to Ada Lovelace <ada@example.org>', 'an empty organization is none');
SELECT is(verdict('00000000-0000-0000-0000-0000000000aa', 'a0000000-0000-0000-0000-000000000002'), 'wrong_organization', 'another organization: wrong_organization');
SELECT is(verdict('00000000-0000-0000-0000-0000000000aa', 'acme'), 'wrong_organization', 'an organization that is no uuid: wrong_organization');
SELECT is(verdict('00000000-0000-0000-0000-000000000003', 'a0000000-0000-0000-0000-000000000001'), 'wrong_organization', 'a user without an organization is in none');
SELECT is(verdict('00000000-0000-0000-0000-000000000004', 'a0000000-0000-0000-0000-000000000002'), 'wrong_organization', 'wrong_organization counts before inactive_user');
SELECT is((SELECT array_agg(organization_name ORDER BY row_number) FROM recipients_probe.look_up(ARRAY[
		'00000000-0000-0000-0000-0000000000aa', '00000000-0000-0000-0000-000000000002',
		'00000000-0000-0000-0000-00000000000c', '00000000-0000-0000-0000-000000000003'])),
	ARRAY['Acme Inc.', 'plain', NULL, NULL], 'an organization is named by its display_name, else its name');

SELECT is(verdicts(ARRAY['00000000-0000-0000-0000-0000000000aa', 'x', NULL, '00000000-0000-0000-0000-000000000004', '00000000-0000-0000-0000-0000000000aa', '00000000-0000-0000-0000-000000000002'],
		ARRAY[NULL, NULL, NULL, NULL, 'a0000000-0000-0000-0000-000000000002']),
	ARRAY['mail to Ada Lovelace <ada@example.org>', 'unknown_user', 'no_user', 'inactive_user', 'wrong_organization', 'mail to Bob <bob@example.org>'],
	'a batch: each notification has its own verdict, two of one user too');
SELECT is(verdicts('{}'), NULL, 'an empty batch is none');

SELECT is((SELECT array_agg(verdict(id)) FROM unnest(ARRAY[
		'000000000000000000000000000000AA', '{00000000-0000-0000-0000-0000000000aa}', '0000-0000-0000-0000-0000-0000-0000-00aa']) AS id),
	array_fill('mail to Ada Lovelace <ada@example.org>'::text, ARRAY[3]), 'a uuid in every spelling that PostgreSQL accepts');
SELECT is((SELECT array_agg(DISTINCT verdict(id)) FROM unnest(ARRAY[
		'{00000000-0000-0000-0000-0000000000aa', '00000000-0000-0000-0000-0000000000aa}', ' 00000000-0000-0000-0000-0000000000aa',
		'00000000-0000-0000-0000-0000000000a', '00000000-0000-0000-0000-0000000000aa0', '000-00000-0000-0000-0000-0000000000aa',
		'00000000-0000-0000-0000-0000000000aa-', '00000000-0000-0000-0000-0000000000ag', '{}', '{']) AS id),
	ARRAY['unknown_user'], 'and in no other');

-- Columns are used if they exist.
ALTER TABLE public."user" DROP COLUMN given_name, DROP COLUMN is_active, DROP COLUMN deleted_at, DROP COLUMN name;
SELECT is(verdicts(ARRAY['00000000-0000-0000-0000-0000000000aa', '00000000-0000-0000-0000-000000000004', '00000000-0000-0000-0000-000000000005']),
	ARRAY['mail to ada@example.org <ada@example.org>', 'mail to dan@example.org <dan@example.org>', 'mail to eve@example.org <eve@example.org>'],
	'optional columns may be missing, and the session notices');
ALTER TABLE public.organization DROP COLUMN display_name;
SELECT is((SELECT organization_name FROM recipients_probe.look_up(ARRAY['00000000-0000-0000-0000-0000000000aa'])), 'acme', 'an organization may have no display_name');
ALTER TABLE public.organization RENAME COLUMN id TO key;
SELECT is((SELECT organization_name FROM recipients_probe.look_up(ARRAY['00000000-0000-0000-0000-0000000000aa'])), NULL, 'a relation organization that is another thing names nothing');
ALTER TABLE public.organization RENAME TO organisation;
SELECT is(verdict('00000000-0000-0000-0000-0000000000aa', 'a0000000-0000-0000-0000-000000000001'), 'mail to ada@example.org <ada@example.org>', 'there may be no relation organization');
ALTER TABLE public."user" DROP COLUMN organization_id;
SELECT is(verdict('00000000-0000-0000-0000-0000000000aa', 'a0000000-0000-0000-0000-000000000001'), 'wrong_organization', 'without organization_id nobody is in any organization');
SELECT is(verdict('00000000-0000-0000-0000-0000000000aa'), 'mail to ada@example.org <ada@example.org>', 'but mail without an organization goes out');
ALTER TABLE public."user" DROP COLUMN email;
SELECT throws_ok($$ SELECT verdict('00000000-0000-0000-0000-0000000000aa') $$, '42703', 'relation "user" has no column "email"', 'email is required');
DROP TABLE public."user", public.organisation;

-- ---- The application's own relation ----

CREATE SCHEMA "My App";
CREATE TABLE "My App".member (
	user_id text, email text, name text, organization_id text, organization_name text, active boolean, timezone text,
	PRIMARY KEY (user_id, organization_id));
INSERT INTO "My App".member VALUES
	('ann', 'ann@one.example', 'Ann', 'one', 'The One', true, 'Europe/Berlin'),
	('ann', 'ann@two.example', 'Ann', 'two', NULL, false, NULL),
	('ben', 'ben@one.example', 'Ben', 'one', 'The One', NULL, ' '),
	('cat', 'cat@example.org', 'Cat', '', NULL, true, NULL);
SET recipients_probe.recipients = '"My App".member';

SELECT is(verdict('ann', 'one'), 'mail to Ann <ann@one.example>', 'a user in two organizations gets the mail of one there');
SELECT is(verdict('ann', 'two'), 'inactive_user', 'and is inactive in the other');
SELECT is(verdict('ann', 'three'), 'wrong_organization', 'and is not in a third');
SELECT is(verdict('ann'), 'wrong_organization', 'without an organization it is not clear which row counts');
SELECT is(verdict('ben'), 'mail to Ben <ben@one.example>', 'a user with one row needs no organization');
SELECT is(verdict('cat'), 'mail to Cat <cat@example.org>', 'a row without an organization is one');
SELECT is(verdict('Ben'), 'unknown_user', 'text keys are compared as they are');
SELECT is(verdict(repeat('x', 1000000)), 'unknown_user', 'an id of 1 MB is nobody''s');
SELECT is((SELECT (organization_id, organization_name, timezone)::text FROM recipients_probe.look_up(ARRAY['ann'], ARRAY['one'])),
	'(one,"The One",Europe/Berlin)', 'organization and time zone come along');
SELECT is((SELECT (organization_id, organization_name, timezone)::text FROM recipients_probe.look_up(ARRAY['cat'])),
	'(,,)', 'and are null where they are blank');

-- The relation has the same pair of user and organization twice.
CREATE VIEW "My App".doubled AS
	SELECT user_id, email, active, organization_id FROM "My App".member
	UNION ALL SELECT user_id, 'second@example.org', NOT active, organization_id FROM "My App".member;
SET recipients_probe.recipients = '"My App".doubled';
SELECT is(verdicts(ARRAY['ann', 'ann'], ARRAY['one', 'two']), ARRAY['mail to ann@one.example <ann@one.example>', 'mail to second@example.org <second@example.org>'],
	'of two rows of a pair the active one counts');

-- Names.
CREATE VIEW public.people AS SELECT user_id, email FROM "My App".member WHERE organization_id IS DISTINCT FROM 'two';
SET recipients_probe.recipients = 'People';
SELECT is(verdict('ann'), 'mail to ann@one.example <ann@one.example>', 'a name without a schema is in public');
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.people (user_id text, email text);
SET search_path = elsewhere, public;
SELECT is(verdict('ann'), 'mail to ann@one.example <ann@one.example>', 'whatever the search path');
CREATE TEMPORARY TABLE people (user_id text, email text);
SELECT is(verdict('ann'), 'mail to ann@one.example <ann@one.example>', 'or the temporary tables');
RESET search_path;
DROP TABLE pg_temp.people;
DROP VIEW public.people;
SELECT throws_ok($$ SELECT verdict('ann') $$, '42P01', NULL, 'a dropped relation is noticed');
CREATE TABLE public.people (user_id text PRIMARY KEY, email text);
INSERT INTO public.people VALUES ('ann', 'new@example.org');
SELECT is(verdict('ann'), 'mail to new@example.org <new@example.org>', 'so is the one that takes its place');
ALTER TABLE public.people RENAME TO persons;
ALTER TABLE elsewhere.people SET SCHEMA public;
SELECT is(verdict('ann'), 'unknown_user', 'and one that is moved there');
DROP TABLE public.people, public.persons;

SET recipients_probe.recipients = 'a..b';
SELECT throws_ok($$ SELECT verdict('ann') $$, '42602', 'invalid name syntax', 'a name must be one');
SET recipients_probe.recipients = 'nowhere.people';
SELECT throws_ok($$ SELECT verdict('ann') $$, '3F000', NULL, 'a schema that does not exist is a problem');
SET recipients_probe.recipients = '"My App".member_pkey';
SELECT throws_ok($$ SELECT verdict('ann') $$, '42809', NULL, 'an index is not a relation to read');

-- ---- Key types ----

CREATE DOMAIN "My App".user_key AS uuid;
CREATE DOMAIN "My App".user_code AS varchar(20) CHECK (VALUE <> '');
-- Makes a user with this key, and an organization with a key of the same type.
CREATE FUNCTION key_type(type text, key text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS public.keyed;
	EXECUTE format('CREATE TABLE public.keyed (user_id %1$s PRIMARY KEY, email text, organization_id %1$s)', type);
	EXECUTE format('INSERT INTO public.keyed VALUES (%1$L, ''k@example.org'', %1$L)', key);
	PERFORM set_config('recipients_probe.recipients', 'public.keyed', false);
	RETURN verdict(key, key);
END $$;

SELECT is(key_type(type, key), 'mail to k@example.org <k@example.org>', format('keys of type %s', type))
FROM (VALUES ('uuid', 'F0000000-0000-0000-0000-00000000000F'), ('bigint', '-9223372036854775808'), ('integer', '2147483647'),
	('smallint', '-32768'), ('text', ' x '), ('varchar', 'x'), ('varchar(3) COLLATE "C"', 'ü'), ('"My App".user_key', 'F0000000-0000-0000-0000-00000000000F'),
	('"My App".user_code', 'x')) AS types (type, key);

SELECT key_type('integer', '7') \g /dev/null
SELECT is(verdicts(ARRAY['7', ' +7 ', '007', '07x', '7 7', '', '-', '2147483648', '99999999999999999999', '7.0', '0x7']),
	ARRAY['mail to k@example.org <k@example.org>', 'mail to k@example.org <k@example.org>', 'mail to k@example.org <k@example.org>',
		'unknown_user', 'unknown_user', 'no_user', 'unknown_user', 'unknown_user', 'unknown_user', 'unknown_user', 'unknown_user'],
	'an integer in any spelling; no number, or out of range: unknown_user');
SELECT is(verdicts(ARRAY['7', '7', '7'], ARRAY['+007', '8', 'seven']),
	ARRAY['mail to k@example.org <k@example.org>', 'wrong_organization', 'wrong_organization'], 'organizations are compared as integers');
SELECT key_type('bigint', '7') \g /dev/null
SELECT is(verdicts(ARRAY['9223372036854775808', '9223372036854775807']), ARRAY['unknown_user', 'unknown_user'], 'a bigint out of range, and one in range');
ALTER TABLE public.keyed ALTER user_id TYPE text;
SELECT is(verdicts(ARRAY['7', '07']), ARRAY['mail to k@example.org <k@example.org>', 'unknown_user'], 'a key that changes its type is noticed');
SELECT throws_ok($$ SELECT key_type('numeric', '7') $$, '42804', 'column "user_id" of relation "keyed" has type numeric, which cannot be a key',
	'a key of another type is a problem');
SELECT throws_ok($$ SELECT key_type('char(5)', '7') $$, '42804', NULL, 'character too');

CREATE TABLE public.flagged (user_id text PRIMARY KEY, email text, active text);
SET recipients_probe.recipients = 'flagged';
SELECT throws_ok($$ SELECT verdict('x') $$, '42804', 'column "active" of relation "flagged" has type text, not boolean', 'active must be boolean');

-- ---- Kinds of relations ----

CREATE TABLE public.parted (user_id bigint, email text) PARTITION BY RANGE (user_id);
CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES FROM (1) TO (10);
INSERT INTO public.parted VALUES (1, 'part@example.org');
SET recipients_probe.recipients = 'public.parted';
SELECT is(verdict('1'), 'mail to part@example.org <part@example.org>', 'a partitioned table');
CREATE MATERIALIZED VIEW public.snapshot AS SELECT * FROM public.parted WITH NO DATA;
SET recipients_probe.recipients = 'public.snapshot';
SELECT throws_ok($$ SELECT verdict('1') $$, '55000', NULL, 'a materialized view that has no data yet is a problem');
REFRESH MATERIALIZED VIEW public.snapshot;
SELECT is(verdict('1'), 'mail to part@example.org <part@example.org>', 'a materialized view');

SELECT * FROM finish();
ROLLBACK;
