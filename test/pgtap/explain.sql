-- explain(): the decisions about a notification, one by one. test/t/explain.pl tests it with a
-- running worker. The whole test is one transaction that is rolled back, so no worker sees its
-- rows, and now() is constant.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS rhesis_notify;
SET LOCAL client_min_messages = notice;
SET LOCAL rhesis_notify.frontend_url = 'https://app.example.com';
SELECT * FROM no_plan();

-- Set the birth of the database as adopt_database() does: rows that are older than the database
-- belong to it.
UPDATE rhesis_notify.database_birth SET born = '-infinity';
CREATE TABLE public.organization (id text PRIMARY KEY, name text);
CREATE TABLE public."user" (id bigint PRIMARY KEY, email text, name text, organization_id text, is_active boolean DEFAULT true);
INSERT INTO public.organization VALUES ('acme', 'Acme GmbH'), ('globex', 'Globex');
INSERT INTO public."user" VALUES (1, 'jane@example.com', 'Jane', 'acme', true), (2, NULL, 'Nomail', 'acme', true),
	(3, 'left@example.com', 'Left', 'acme', false), (4, 'bot@placeholder.rhesis.ai', 'Bot', 'acme', true), (5, 'none', 'None', 'acme', true);

CREATE FUNCTION pg_temp.report(name text, task_name text DEFAULT 'app.export', user_id text DEFAULT '1', organization_id text DEFAULT 'acme',
							   template text DEFAULT 'task_completion', subject_template text DEFAULT NULL)
RETURNS bigint LANGUAGE sql AS $$
	INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, organization_id, template, subject_template)
	VALUES (name, task_name, 'success', user_id, organization_id, template, subject_template) RETURNING id
$$;
-- steps() returns the steps of an explanation in order. step() returns decision, detail and advice
-- of one step. Times are shortened to minutes, because the test takes some seconds.
CREATE FUNCTION pg_temp.steps(id bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(step, ', ' ORDER BY ordinality) FROM rhesis_notify.explain(id) WITH ORDINALITY
$$;
CREATE FUNCTION pg_temp.step(id bigint, name text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' | ', decision,
			regexp_replace(regexp_replace(detail, '\d{4}-\d\d-\d\d \S+ \(([^)]*)\)', '(\1)', 'g'), '\d+s ago', 'now', 'g'),
			advice), E'\n' ORDER BY ordinality)
	FROM rhesis_notify.explain(id) WITH ORDINALITY WHERE step = name
$$;

-- A notification that waits.
SELECT pg_temp.report('waits') AS id \gset
SELECT is(pg_temp.steps(:id), 'task, opted in, age, recipient, template, copy, pause, worker, mail server, pace, state, next',
		  'the decisions come in the worker''s order');
SELECT is(pg_temp.step(:id, 'task'), 'success | app.export, task id waits, reported (now)', 'which task it is');
SELECT is(pg_temp.step(:id, 'opted in'), 'yes | the row names its template', 'opted in by the row');
SELECT is(pg_temp.step(:id, 'recipient'), 'jane@example.com | user 1, organization acme (Acme GmbH), looked up in public."user"',
		  'who gets it: looked up as the worker does it');
SELECT is(pg_temp.step(:id, 'template'), 'task_completion | subject from the extension; html from the extension; text from the extension',
		  'where each part of the template comes from');
SELECT is(pg_temp.step(:id, 'pause'), 'not paused', 'whether mail is paused');
SELECT is(pg_temp.step(:id, 'pace'), 'no limit', 'the pace');
SELECT is(pg_temp.step(:id, 'state'), 'pending | attempts: 0', 'the state');
SELECT alike(pg_temp.step(:id, 'next'), 'attempt 1 of 12 |%', 'and what comes next');

SELECT pg_temp.report('waits behind it') AS behind \gset
SET LOCAL rhesis_notify.max_rate = 14;
SELECT is(pg_temp.step(:behind, 'pace'), '14 mails a second | rhesis_notify.max_rate; due before it: 1', 'what goes before it');
SET LOCAL rhesis_notify.max_rate = 0;
SELECT rhesis_notify.pause() \g /dev/null
SELECT matches(pg_temp.step(:id, 'pause'), '^paused \| by \S+, \(now\) \| SELECT rhesis_notify\.resume\(\);$', 'who has paused it, and what to do');
SELECT is(pg_temp.step(:id, 'next'), 'attempt 1 of 12 | after resume()', 'and when it goes on');
SELECT rhesis_notify.resume() \g /dev/null

-- Opting in.
SELECT pg_temp.report('silent', 'app.whatever', template => NULL) AS id \gset
SELECT is(pg_temp.step(:id, 'opted in'), 'no | the row names no template, and no registration is of ''app.whatever'' or ''whatever'' | '
		  'To mail it: SELECT rhesis_notify.email_notification(''whatever''); or let the task name a template.',
		  'not opted in, and how it would be');
SELECT is(pg_temp.step(:id, 'recipient'), NULL, 'then nobody is looked up');
SELECT alike(pg_temp.step(:id, 'next'), 'is skipped, silent_task |%', 'and it will be skipped');
SELECT rhesis_notify.email_notification('whatever', subject_template => 'Done: {task_name}') \g /dev/null
SELECT is(pg_temp.step(:id, 'opted in'), 'yes | ''whatever'' is registered by email_notification()', 'opted in by a registration');
SELECT alike(pg_temp.step(:id, 'template'), 'task_completion | subject from the registration;%', 'which has the subject');
SELECT rhesis_notify.silence('app.whatever') \g /dev/null
SELECT alike(pg_temp.step(:id, 'opted in'), 'no | silence() was called for ''app.whatever'' |%', 'the full name counts first, silence() too');
SELECT pg_temp.report('shipped', 'rhesis.results.collect_results', template => NULL) AS id \gset
SELECT is(pg_temp.step(:id, 'opted in'), 'yes | ''collect_results'' is registered from the start', 'opted in by what ships');

-- Recipients.
SELECT is(pg_temp.step(pg_temp.report('u' || n, user_id => user_id, organization_id => organization), 'recipient'), expected, 'a recipient: ' || expected)
FROM (VALUES
	(1, NULL, 'acme', 'no_user | the row has no user_id | The task must report a user_id.'),
	(2, '7', 'acme', 'unknown_user | user 7, organization acme, looked up in public."user" | Look the id up in the relation. A user who is deleted gets no mail.'),
	(3, 'x', NULL, 'unknown_user | user x, no organization, looked up in public."user" | Look the id up in the relation. A user who is deleted gets no mail.'),
	(4, '1', 'globex', 'wrong_organization | user 1, organization globex, looked up in public."user" | The user must belong to the organization that the row names; without one, to exactly one organization.'),
	(5, '2', 'acme', 'no_email | user 2, organization acme, looked up in public."user" | Give the user an address.'),
	(6, '3', 'acme', 'inactive_user | user 3, organization acme, looked up in public."user" | Only active users get mail.'),
	(7, '4', 'acme', 'placeholder_email | user 4, organization acme, looked up in public."user" | Addresses in rhesis_notify.placeholder_domains get no mail. Give the user another address.'),
	(8, '5', 'acme', 'invalid_email | it has no @; user 5, organization acme, looked up in public."user" | Correct the user''s address.')) AS recipient (n, user_id, organization, expected);

-- Returns the problem of an address.
CREATE FUNCTION pg_temp.problem(address text) RETURNS text LANGUAGE sql AS $$
	UPDATE public."user" SET email = $1 WHERE id = 5;
	SELECT split_part(split_part(pg_temp.step(pg_temp.report('address ' || md5($1), user_id => '5'), 'recipient'), ' | ', 2), ';', 1);
$$;
SELECT is(pg_temp.problem(address), expected, 'an address: ' || expected)
FROM (VALUES
	('none', 'it has no @'),
	('jane doe@example.com', 'it has a space or a control character'),
	(repeat('a', 60) || '@' || repeat('b.', 150) || 'com', 'it is longer than 254 bytes'),
	(repeat('a', 70) || '@example.com', 'the part before the @ is longer than 64 bytes'),
	('jäne@example.com', 'the part before the @ has a character beyond ASCII, which needs SMTPUTF8: it is not supported'),
	('jane@example..com', 'the domain is empty or has an empty label'),
	('jane@', 'the domain is empty or has an empty label'),
	('@example.com', 'the part before the @ is empty or ends with a dot'),
	('jane@-x.com', 'a label of the domain begins or ends with a hyphen')) AS address (address, expected);
SELECT is(pg_temp.problem(' jane@exämple.de '), 'user 5, organization acme (Acme GmbH), looked up in public."user"', 'blanks and a domain beyond ASCII are no problem');

-- Templates: each part comes from the first place that has it.
INSERT INTO rhesis_notify.templates (organization_id, name, text) VALUES ('acme', 'task_completion', 'Acme');
INSERT INTO rhesis_notify.templates (name, html) VALUES ('task_completion', '<p>{{task_name}}</p>');
SELECT pg_temp.report('parts', subject_template => 'Mine') AS id \gset
SELECT is(pg_temp.step(:id, 'template'), 'task_completion | subject from the row; html from rhesis_notify.templates; text from the organization''s own',
		  'parts of different origin');
SELECT pg_temp.report('bad subject', subject_template => '{nonsense}') AS id \gset
SELECT matches(pg_temp.step(:id, 'template'),
	'^task_completion \| subject template "\{nonsense\}": .*\. subject from the extension; html .* \| The mail falls back to another template: correct this one\.$',
	'a subject that can''t be used');
SELECT pg_temp.report('no template', template => 'nonsense') AS id \gset
SELECT is(pg_temp.step(:id, 'template'), 'nonsense | there is no template "nonsense". subject from the extension, task_completion; '
	'html from rhesis_notify.templates, task_completion; text from the organization''s own, task_completion | The mail falls back to another template: correct this one.',
	'a template that does not exist');

-- Too old.
SELECT pg_temp.report('old') AS id \gset
UPDATE rhesis_notify.task_notifications SET created_at = now() - interval '4 days' WHERE id = :id;
SELECT is(pg_temp.step(:id, 'age'), 'expired | not mailed after (24h 0m ago) | If the mail is still useful, raise rhesis_notify.expire_after before retry().', 'too old');
SELECT alike(pg_temp.step(:id, 'next'), 'is skipped, expired |%', 'and so it will be skipped');
SET LOCAL rhesis_notify.expire_after = 0;
SELECT is(pg_temp.step(:id, 'age'), 'in time | rhesis_notify.expire_after is 0: never', 'nothing is too old without expiry');
SET LOCAL rhesis_notify.expire_after = '3d';

-- Finished notifications.
CREATE FUNCTION pg_temp.finish(id bigint, state text, reason text DEFAULT NULL, attempts integer DEFAULT 0, reply text DEFAULT NULL, email text DEFAULT NULL)
RETURNS bigint LANGUAGE sql AS $$
	UPDATE rhesis_notify.task_notifications AS n SET delivery_status = state::rhesis_notify.delivery_state, delivery_reason = reason,
		attempts = finish.attempts, smtp_reply = reply, recipient_email = email, message_id = '<1@example.com>', finished_at = now()
	WHERE n.id = finish.id RETURNING n.id
$$;
SELECT pg_temp.finish(pg_temp.report('sent'), 'sent', NULL, 1, '250 2.0.0 Ok: queued as 4F2A', 'jane@old.example.com') AS id \gset
SELECT is(pg_temp.steps(:id), 'task, opted in, age, recipient, template, state, next', 'what has ended does not ask for pause and pace');
SELECT is(pg_temp.step(:id, 'recipient'), 'jane@example.com | user 1, organization acme (Acme GmbH), looked up in public."user"; the last attempt was to jane@old.example.com',
	'an address that has changed since');
SELECT is(pg_temp.step(:id, 'state'), 'sent | attempts: 1, since (now); 250 2.0.0 Ok: queued as 4F2A', 'sent, with the server''s words');
SELECT is(pg_temp.step(:id, 'next'), 'nothing | the row is removed after (in 29d 23h) | If it did not arrive, search the mail server''s log for Message-ID <1@example.com>, and look into the spam folder.',
	'and where to ask if it did not arrive');

SELECT pg_temp.finish(pg_temp.report('was no email', user_id => '2'), 'skipped', 'no_email') AS id \gset
SELECT is(pg_temp.step(:id, 'state'), 'skipped, no_email | attempts: 0, since (now)', 'skipped, and why');
SELECT is(pg_temp.step(:id, 'template'), NULL, 'what was not decided any more is not explained');
SELECT is(pg_temp.step(:id, 'next'), format('nothing | the row is removed after (in 29d 23h) | When the cause (no_email) is gone: SELECT rhesis_notify.retry(%s);', :id), 'the cause stands');
UPDATE public."user" SET email = 'now@example.com' WHERE id = 2;
SELECT is(pg_temp.step(:id, 'next'), format('nothing | the row is removed after (in 29d 23h) | Nothing prevents it now. To send it: SELECT rhesis_notify.retry(%s);', :id), 'the cause is gone');
UPDATE rhesis_notify.task_notifications SET created_at = now() - interval '4 days' WHERE id = :id;
SELECT alike(pg_temp.step(:id, 'next'), '% | retry() refuses notifications older than rhesis_notify.expire_after: raise that first.', 'what retry() would say');

-- Actions of operators, and failed attempts.
SELECT pg_temp.report('worked on') AS id \gset
INSERT INTO rhesis_notify.delivery_events (notification_id, event, smtp_code, reply, detail, occurred_at)
SELECT :id, 'deferred', 450, '450 4.2.0 Mailbox busy', '{"message": "at RCPT TO"}', now() - n * interval '1 minute' FROM generate_series(51, 1, -1) AS n;
SELECT rhesis_notify.cancel(:id) \g /dev/null
SELECT is(split_part(pg_temp.step(:id, 'attempt'), E'\n', 1), '2 earlier events | in rhesis_notify.delivery_events', 'many attempts are cut short');
SELECT is(split_part(pg_temp.step(:id, 'attempt'), E'\n', -1), 'deferred | (1m now), at RCPT TO: 450 4.2.0 Mailbox busy', 'an attempt, with the server''s words');
SELECT matches(pg_temp.step(:id, 'operator'), '^cancelled \| \(now\), by \S+, was pending$', 'who has cancelled it');
SELECT is(pg_temp.step(:id, 'state'), 'cancelled | attempts: 0, since (now)', 'cancelled');

UPDATE rhesis_notify.task_notifications SET delivery_status = 'sending', claimed_by = 4711 WHERE id = :behind;
SELECT is(pg_temp.step(:behind, 'state'), 'sending | attempts: 0, by a worker that has ended (number 4711)', 'a claim that nobody holds');
SELECT alike(pg_temp.step(:behind, 'next'), 'is sent again, in doubt | within a minute%', 'is sent again');
SET LOCAL rhesis_notify.in_doubt = hold;
SELECT alike(pg_temp.step(:behind, 'next'), 'is held, in_doubt | within a minute% | Then retry() or cancel() it.', 'or held');
UPDATE rhesis_notify.task_notifications SET delivery_status = 'held', delivery_reason = 'in_doubt', claimed_by = NULL WHERE id = :behind;
SELECT is(pg_temp.step(:behind, 'next'), format('nothing | it waits for retry() or cancel() | Look for its Message-ID in the mail server''s log, '
	'then SELECT rhesis_notify.retry(%1$s); or SELECT rhesis_notify.cancel(%1$s);', :behind), 'until somebody decides');

-- Long names are shortened.
SELECT pg_temp.report('long', task_name => repeat('ü', 100000), user_id => repeat('7', 100000)) AS id \gset
SELECT cmp_ok((SELECT max(octet_length(concat(decision, detail, advice))) FROM rhesis_notify.explain(:id)), '<', 5000, 'no row is too long to read');

-- Relations that cannot be read.
SELECT pg_temp.report('unreadable') AS id \gset
ALTER TABLE public."user" RENAME email TO mail;
SELECT is(pg_temp.step(:id, 'recipient'), format('cannot be read | relation "user" has no column "email". public."user" is read as role "%s". | '
	'Set rhesis_notify.recipients to a table or view that has the columns user_id and email.', current_user), 'a relation that can''t be read, as whom, and what to do');
SELECT alike(pg_temp.step(:id, 'next'), 'waits until recipients can be read |%', 'waits');
CREATE VIEW public.people AS SELECT id AS user_id, CASE id WHEN 1 THEN (1 / (id - 1))::text ELSE mail END AS email, organization_id FROM public."user";
SET LOCAL rhesis_notify.recipients = 'public.people';
SELECT is(pg_temp.step(:id, 'recipient'), 'recipients_error | division by zero (SQLSTATE 22012) | This user''s row makes the relation fail. Correct the row, or the view.', 'a row that makes it fail');

-- Errors.
SELECT throws_ok('SELECT * FROM rhesis_notify.explain(0)', 'P0002', 'notification 0 does not exist', 'one that does not exist is an error');
SELECT is_empty('SELECT * FROM rhesis_notify.explain(NULL)', 'null is explained by nothing');

SELECT * FROM finish();
ROLLBACK;
