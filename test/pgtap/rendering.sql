-- The contents of a mail: every variable, both notations of subjects, overrides and their
-- replacements. It runs in its own database, as superuser, and leaves only extensions there.
\set ECHO none
\set QUIET 1
\set ON_ERROR_STOP true
\pset format unaligned
\pset tuples_only true
\pset pager off
SET client_min_messages = warning;

CREATE EXTENSION IF NOT EXISTS rhesis_notify;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS dblink;

BEGIN;
SET LOCAL rhesis_notify.frontend_url = 'https://app.rhesis.ai';
SET LOCAL rhesis_notify.from_email = '"Rhesis AI" <engineering@rhesis.ai>';
SET LOCAL rhesis_notify.recipients = 'public.people';

CREATE TABLE public.people (user_id text, email text, name text, organization_id text, organization_name text, timezone text);
INSERT INTO public.people VALUES
	('john', 'john@example.org', 'John Doe', 'acme', 'Acme & Sons', NULL),
	('mia', 'mia@example.org', '<b>Mia</b> {{task_id}} {status}', NULL, NULL, NULL),
	('bea', 'bea@example.org', 'Bea', 'brot', 'Brot AG', 'Europe/Berlin'),
	('max', 'max@example.org', 'Max', NULL, NULL, 'No/Where'),
	('ny', 'ny@example.org', 'Ny', NULL, NULL, 'EST5EDT'),
	('rio', 'rio@example.org', 'Rio', NULL, NULL, 'Etc/GMT+3'),
	('india', 'india@example.org', 'India', NULL, NULL, 'asia/kolkata'),
	('rule', 'rule@example.org', 'Rule', NULL, NULL, 'XYZ4:05'),
	('digits', 'digits@example.org', 'Digits', NULL, NULL, 'Etc/GMT+3:30'),
	('path', 'path@example.org', 'Path', NULL, NULL, '../../../../etc/localtime'),
	('empty', 'empty@example.org', 'Empty', NULL, NULL, ''),
	('forger', 'ann@example.org', E'Ann,\n\nView Results:\nhttps://evil.example', 'f', E'Ann,\n\nView Results:\nhttps://evil.example', NULL),
	('sys', 'sys@placeholder.rhesis.ai', 'System', NULL, NULL, NULL);

-- Inserts a notification as a task would do it. The keys of "columns" replace the default values.
CREATE FUNCTION pg_temp.notify(columns jsonb DEFAULT '{}') RETURNS bigint LANGUAGE sql AS $$
	INSERT INTO rhesis_notify.task_notifications
		(task_id, task_name, status, user_id, template, subject_template, result, error_message, started_at, completed_at)
	SELECT coalesce(given.task_id, gen_random_uuid()::text), coalesce(given.task_name, 'app.tasks.run'),
		coalesce(given.status, 'success'), coalesce(given.user_id, 'john'),
		CASE WHEN columns ? 'template' THEN given.template ELSE 'task_completion' END,
		given.subject_template, given.result, given.error_message,
		CASE WHEN columns ? 'started_at' THEN given.started_at ELSE '2024-01-15 14:27:40+00' END,
		coalesce(given.completed_at, '2024-01-15 14:30:25+00')
	FROM jsonb_populate_record(NULL::rhesis_notify.task_notifications, columns) AS given
	RETURNING id
$$;

-- Returns the text part of a mail that is made from only this template.
CREATE FUNCTION pg_temp.shown(template text, columns jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	shown text;
BEGIN
	-- The brackets keep a text that shows nothing from being replaced.
	INSERT INTO rhesis_notify.templates (name, text) VALUES ('shown', '[' || template || ']');
	SELECT substr(text, 2, length(text) - 2) INTO shown FROM rhesis_notify.preview(pg_temp.notify(columns || '{"template": "shown"}'));
	DELETE FROM rhesis_notify.templates WHERE name = 'shown';
	RETURN shown;
END
$$;

CREATE FUNCTION pg_temp.subject(subject_template text, columns jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT subject FROM rhesis_notify.preview(pg_temp.notify(columns || jsonb_build_object('subject_template', subject_template)))
$$;

SELECT plan(285);

-- ---- Our variables ----

SELECT is(pg_temp.shown('{{' || name || '}}', columns), expected, coalesce(note, name))
FROM (VALUES
	('recipient_name', '{}'::jsonb, 'John Doe', NULL),
	('recipient_email', '{}', 'john@example.org', NULL),
	('task_name', '{}', 'app.tasks.run', 'task_name, of a task that is not registered'),
	('task_name', '{"task_name": "x.collect_results"}', 'Test Execution Summary', 'task_name, of a registered task'),
	('task_name', '{"result": {"task_name": "Own name"}}', 'Own name', 'task_name, from the result'),
	('task_name', '{"task_name": "collect_results", "result": {"task_name": null}}', 'Test Execution Summary', 'task_name, null in the result'),
	('task_id', '{"task_id": "t-1"}', 't-1', NULL),
	('status', '{}', 'success', NULL),
	('status', '{"status": "failed"}', 'failed', 'status of a failure'),
	('status_title', '{}', 'Success', NULL),
	('status_title', '{"status": "failed"}', 'Failed', 'status_title of a failure'),
	('status_upper', '{}', 'SUCCESS', NULL),
	('status_upper', '{"status": "failed"}', 'FAILED', 'status_upper of a failure'),
	('status_symbol', '{}', '✅', NULL),
	('status_symbol', '{"status": "failed"}', '❌', 'status_symbol of a failure'),
	('execution_time', '{}', '2m 45s', NULL),
	('execution_time', '{"started_at": "2024-01-15 14:29:40+00"}', '45s', 'execution_time under a minute'),
	('execution_time', '{"started_at": "2024-01-15 14:30:25+00"}', '0s', 'execution_time of nothing'),
	('execution_time', '{"started_at": "2024-01-15 14:29:25+00"}', '1m 0s', 'execution_time of a minute'),
	('execution_time', '{"started_at": "2024-01-15 13:27:24+00"}', '1h 3m', 'execution_time over an hour'),
	('execution_time', '{"started_at": "2024-01-13 14:30:25+00"}', '48h 0m', 'execution_time of days'),
	('execution_time', '{"started_at": "2024-01-15 14:31:00+00"}', '', 'execution_time that runs backwards'),
	('execution_time', '{"started_at": null}', '', 'execution_time without a start'),
	('execution_time', '{"started_at": "-infinity"}', '', 'execution_time since ever'),
	('execution_time', '{"result": {"execution_time": "3 days"}}', '3 days', 'execution_time, from the result'),
	('completed_at', '{}', '2024-01-15 14:30:25 UTC', NULL),
	('completed_at', '{"completed_at": "infinity"}', '', 'completed_at that never comes'),
	('completed_at', '{"result": {"completed_at": "today"}}', 'today', 'completed_at, from the result'),
	('completed_at', '{"result": {"completed_at": "2024-01-15 13:00:01"}}', '2024-01-15 13:00:01 UTC', 'completed_at, from the result, without a zone'),
	('completed_at', '{"result": {"completed_at": "2024-01-15T13:00:01.123456"}}', '2024-01-15 13:00:01 UTC', 'completed_at, from the result, in ISO 8601'),
	('completed_at', '{"result": {"completed_at": "2024-01-15 13:00:01+01"}}', '2024-01-15 13:00:01+01', 'completed_at, from the result, with a zone'),
	('completed_at', '{"user_id": "bea"}', '2024-01-15 15:30:25 CET', 'completed_at in the recipient''s time zone'),
	('completed_at', '{"user_id": "bea", "completed_at": "2024-07-15 23:30:25+00"}', '2024-07-16 01:30:25 CEST', 'completed_at in summer'),
	('completed_at', '{"user_id": "ny"}', '2024-01-15 09:30:25 EST', 'completed_at in a time zone with digits'),
	('completed_at', '{"user_id": "rio"}', '2024-01-15 11:30:25 -03', 'completed_at in a time zone of whole hours'),
	('completed_at', '{"user_id": "india"}', '2024-01-15 20:00:25 IST', 'completed_at in a time zone in small letters'),
	('completed_at', '{"user_id": "max"}', '2024-01-15 14:30:25 UTC', 'completed_at in a time zone that is none'),
	('completed_at', '{"user_id": "rule"}', '2024-01-15 14:30:25 UTC', 'completed_at by a rule instead of a time zone'),
	('completed_at', '{"user_id": "digits"}', '2024-01-15 14:30:25 UTC', 'completed_at by what looks like a time zone'),
	('completed_at', '{"user_id": "path"}', '2024-01-15 14:30:25 UTC', 'completed_at by a path instead of a time zone'),
	('completed_at', '{"user_id": "empty"}', '2024-01-15 14:30:25 UTC', 'completed_at in an empty time zone'),
	('error_message', '{"status": "failed", "error_message": "it broke"}', 'it broke', NULL),
	('frontend_url', '{}', 'https://app.rhesis.ai', NULL),
	('result_url', '{"result": {"test_run_id": "r 1/ä?"}}', 'https://app.rhesis.ai/test-runs/r%201%2F%C3%A4%3F', 'result_url of a test run, percent-encoded'),
	('result_url', '{"result": {"test_set_id": 17}}', 'https://app.rhesis.ai/test-sets/17', 'result_url of a test set'),
	('result_url', '{"result": {"test_set_id": "s", "test_run_id": "r"}}', 'https://app.rhesis.ai/test-runs/r', 'result_url of both'),
	('result_url', '{"result": {"test_set_id": "s", "test_run_id": null}}', 'https://app.rhesis.ai/test-sets/s', 'result_url of a test set, test run null'),
	('result_url', '{"result": {"test_run_id": ""}}', '', 'result_url of an empty id'),
	('result_url', '{"result": {"test_run_id": {"a": 1}}}', '', 'result_url of what is no id'),
	('result_url', '{}', '', 'result_url without an id'),
	('organization_name', '{}', 'Acme & Sons', NULL),
	('organization_id', '{}', 'acme', NULL),
	('from_name', '{}', 'Rhesis AI', NULL)
	) AS cases (name, columns, expected, note);

SELECT is(pg_temp.shown('{{#is_success}}yes{{/is_success}}{{#is_failed}}no{{/is_failed}}'), 'yes', 'is_success');
SELECT is(pg_temp.shown('{{#is_success}}yes{{/is_success}}{{#is_failed}}no{{/is_failed}}', '{"status": "failed"}'), 'no', 'is_failed');

-- ---- The keys of the result ----

SELECT is(pg_temp.shown('{{a}} {{b.c}} {{#d}}{{.}},{{/d}}', '{"result": {"a": 1.50, "b": {"c": "x"}, "d": [1, 2]}}'), '1.50 x 1,2,',
	'each key of the result is a variable');
SELECT is(
	pg_temp.shown('{{recipient_name}}{{recipient_email}}{{task_id}}{{status}}{{status_title}}{{status_upper}}{{status_symbol}}'
		|| '{{is_success}}{{is_failed}}{{error_message}}{{frontend_url}}{{result_url}}{{organization_name}}{{organization_id}}{{from_name}}',
		jsonb_build_object('task_id', 't', 'result', (SELECT jsonb_object_agg(key, 'forged')
			FROM unnest('{recipient_name,recipient_email,task_id,status,status_title,status_upper,status_symbol,is_success,is_failed,'
				'error_message,frontend_url,result_url,organization_name,organization_id,from_name}'::text[]) AS key))),
	'John Doejohn@example.orgtsuccessSuccessSUCCESS✅truefalsehttps://app.rhesis.aiAcme & SonsacmeRhesis AI',
	'no key of the result takes the place of a variable of ours, not even of an empty one');
SELECT is(pg_temp.shown('{{#n}}yes{{/n}}{{^n}}no{{/n}}', jsonb_build_object('result', jsonb_build_object('n', value))), expected,
	'in a section, ' || value::text || ' means ' || expected)
FROM (VALUES ('0'::jsonb, 'no'), ('0.00', 'no'), ('""', 'no'), ('[]', 'no'), ('null', 'no'), ('false', 'no'),
	('1', 'yes'), ('"0"', 'yes'), ('{}', 'yes'), ('[0]', 'yes')) AS cases (value, expected);
SELECT is(pg_temp.shown('{{#n}}yes{{/n}}{{^n}}no{{/n}}'), 'no', 'in a section, a missing name means no');

-- ---- Escaping: only in HTML, and once ----

SELECT ok(html LIKE '%Hello <span dir="auto">&lt;b&gt;Mia&lt;/b&gt; {{task_id}} {status}</span>,%', 'HTML is escaped, and values are not expanded')
FROM rhesis_notify.preview(pg_temp.notify('{"user_id": "mia"}'));
SELECT ok(text LIKE '%Hello <b>Mia</b> {{task_id}} {status},%', 'text is not escaped, and values are not expanded')
FROM rhesis_notify.preview(pg_temp.notify('{"user_id": "mia"}'));
SELECT is(pg_temp.subject('{task_name} {{task_name}}', '{"task_name": "<a> {status} {{status}} &"}'),
	'<a> {status} {{status}} & <a> {status} {{status}} &', 'a subject is not escaped, and values are not expanded');

-- ---- Subjects ----

SELECT is(pg_temp.subject(template, columns), expected, 'subject ' || translate(template, E'\r\n', '  '))
FROM (VALUES
	('Task Complete: {task_name} - {status.title()}', '{}'::jsonb, 'Task Complete: app.tasks.run - Success'),
	('{status.upper()} {status.lower()} {status.capitalize()}', '{}', 'SUCCESS success Success'),
	('{{status_title}}: {{task_name}}', '{}', 'Success: app.tasks.run'),
	('{{#is_failed}}{task_name} failed{{/is_failed}}{{^is_failed}}{{{task_name}}} done{{/is_failed}}', '{}', 'app.tasks.run done'),
	('{{status_title}} and {status.title()}', '{}', 'Success and Success'),
	('{ {x y} {1} {} {status } {a.b} {a.b.c()} {status.title(1)} }', '{}', '{ {x y} {1} {} {status } {a.b} {a.b.c()} {status.title(1)} }'),
	('{{=<% %>=}}<% status %> {status} {{status}}', '{}', 'success {status} {{status}}'),
	('{n} {n.title()} {s.title()}', '{"result": {"n": 12.50, "s": "they''re 2nd éa-ÉB ßx"}}', '12.50 12.50 They''Re 2Nd Éa-Éb ßX'),
	('{s.capitalize()}', '{"result": {"s": "éCOLE Da"}}', 'École da'),
	('{nothing}x', '{"result": {"nothing": null}}', 'x'),
	('a{{#is_success}}{status}{{/is_success}}{status}}', '{}', 'asuccesssuccess}'),
	(E'one\r\ntwo\tthree\u0007', '{}', 'one two three'),
	(E'{status\u001Ftitle}', '{}', '{status title}'),
	('{{a:b}} {{status:title}}', '{"result": {"a:b": "colon"}}', 'colon'),
	('{{#a}}{s.upper()},{{/a}}', '{"result": {"a": [1, 2], "s": "x"}}', 'X,X,'),
	('{a.upper()} {b.title()} {o.lower()} {e.capitalize()}', '{"result": {"a": ["x"], "b": true, "o": {"K": "V"}, "e": ""}}', '["x"] true {"K": "V"}'),
	('{ñ} {status.title} {status.title()', '{}', '{ñ} {status.title} {status.title()'),
	('{{status.title}}{{{status}}}{{&status}}', '{}', 'successsuccess')
	) AS cases (template, columns, expected);
SELECT is(pg_temp.subject('{s}', jsonb_build_object('result', jsonb_build_object('s', E'a\r\nBcc: all@example.org'))),
	'a Bcc: all@example.org', 'a value can''t break a subject''s line');
SELECT is(pg_temp.subject(repeat('ä', 1000)), repeat('ä', 254) || '…', 'a long subject is cut, in characters');
SELECT is(pg_temp.subject('{s.' || method || '()}', jsonb_build_object('result', jsonb_build_object('s', repeat('äé ', 100000)))),
	expected, 'a huge value is cut too, by ' || method)
FROM (VALUES ('upper', left(repeat('ÄÉ ', 100), 254) || '…'), ('title', left(repeat('Äé ', 100), 254) || '…')) AS cases (method, expected);
SELECT is(pg_temp.subject('{{#a}}{{#a}}{{#a}}' || tag || '{{/a}}{{/a}}{{/a}}', jsonb_build_object('result',
		jsonb_build_object('s', repeat('ä', 1000), 'a', (SELECT jsonb_agg(i) FROM generate_series(1, 300) AS i)))),
	'Task Completed: app.tasks.run - Success', 'endless ' || tag || ' ends')
FROM unnest(ARRAY['{s.title()}', '{{#s:title}}x{{/s:title}}', '{{#s}}{{/s}}']) AS tag;
SELECT is(pg_temp.subject(template, '{"template": "test_execution_summary"}'), 'Task Completed: app.tasks.run - Success',
	'the template''s own subject instead of ' || template)
FROM unnest(ARRAY['{no_such_name}', '{status.strip()}', '{{#open}}', '{{task_name', '', ' ', '{{no_such_name}}', '{{>nothing}}', E'{{status\u001Ftitle}}']) AS template;
SELECT is(pg_temp.subject('{recipient_name} {error_message}'), 'John Doe', 'a variable of ours is never unknown');

-- ---- The shipped mails ----

SELECT is(text, $mail$✅ Task Completed

Hello John Doe,

Your task has completed with status: SUCCESS

View Results:
https://app.rhesis.ai/test-runs/abcd1234

Task Details:
- Task Name: Execute Test Configuration
- Task ID: 12345678-1234-5678-9012-123456789012
- Status: Success
- Completed at: 2024-01-15 14:30:25 UTC
- Execution Time: 2m 45s
- Test Run ID: abcd1234

Best regards,
Rhesis AI Team

----------------------------------------------------------------------
You receive this email because you started this task in
Acme & Sons.
It was sent to you alone.
$mail$, 'the text of a success')
FROM rhesis_notify.preview(pg_temp.notify('{"task_name": "Execute Test Configuration", "task_id": "12345678-1234-5678-9012-123456789012",
	"result": {"test_run_id": "abcd1234", "secret": "do not show"}}'));
SELECT is(text, $mail$❌ Task Failed

Hello Max,

Your task has completed with status: FAILED

Error:
one
  two

Task Details:
- Task Name: t
- Task ID: 2
- Status: Failed
- Completed at: 2024-01-15 14:30:25 UTC
- Execution Time: 2m 45s

Best regards,
Rhesis AI Team

----------------------------------------------------------------------
You receive this email because you started this task.
It was sent to you alone.
$mail$, 'the text of a failure')
FROM rhesis_notify.preview(pg_temp.notify('{"task_name": "t", "task_id": "2", "user_id": "max", "status": "failed",
	"error_message": "one\n  two"}'));
SELECT is(text, $mail$❌ 2 of 10 tests could not be run

Hello Max,

Your test run has ended: 2 of 10 tests could not be run

View Results:
https://app.rhesis.ai/test-runs/r1

Test Results:
Passed: 8 | Failed: 0 | Errors: 2 | Total: 10

Two could not be run.

Task Details:
- Task Name: Test Execution Summary
- Task ID: 3
- Status: Success
- Execution Status: Partial
- Completed at: 2024-01-15 14:30:25 UTC
- Execution Time: 2m 45s
- Project: My Project
- Endpoint: Chat
- Endpoint URL: https://e.example/chat
- Test Set: API Tests
- Test Run ID: r1

Best regards,
Rhesis AI Team

----------------------------------------------------------------------
You receive this email because you started this task.
It was sent to you alone.
$mail$, 'the text of a summary')
FROM rhesis_notify.preview(pg_temp.notify('{"task_name": "collect_results", "template": null, "task_id": "3", "user_id": "max",
	"result": {"total_tests": 10, "tests_passed": 8, "tests_failed": 0, "execution_errors": 2, "execution_status": "Partial",
		"status_details": "Two could not be run.", "test_run_id": "r1", "test_set_name": "API Tests", "project_name": "My Project",
		"endpoint_name": "Chat", "endpoint_url": "https://e.example/chat"}}'));

SELECT ok(html LIKE '%' || needle || '%', 'the HTML of a success has ' || needle)
FROM rhesis_notify.preview(pg_temp.notify('{"task_id": "t-9", "result": {"test_run_id": "r&1", "test_set_name": "S<1>", "num_tests_generated": 7}}')),
	unnest(ARRAY['<html lang="en"', '<title>Task Completed: app.tasks.run</title>', '&#9989; Task Completed', 'Hello <span dir="auto">John Doe</span>,',
		'completed with status: <strong>SUCCESS</strong>', 'Task Details', 'app.tasks.run', 't-9', '2024-01-15 14:30:25 UTC', '2m 45s',
		'r&amp;1', 'S&lt;1&gt;', '>7<', 'View Results', 'href="https://app.rhesis.ai/test-runs/r%261"', 'Acme &amp; Sons',
		'Best regards,<br>Rhesis AI Team', 'because you started this task', 'prefers-color-scheme: dark']) AS needle;
SELECT ok(html LIKE '%&#10060; Task Failed%' AND html LIKE '%<pre%it broke</pre>%' AND html NOT LIKE '%View Results%',
	'the HTML of a failure has the error, and no button without an id')
FROM rhesis_notify.preview(pg_temp.notify('{"status": "failed", "error_message": "it broke"}'));
SELECT ok(html NOT LIKE '%do not show%' AND text NOT LIKE '%do not show%' AND subject NOT LIKE '%do not show%',
	'no value of the result is in a mail unless a template names it, ' || template)
FROM unnest('{task_completion,test_execution_summary}'::text[]) AS template,
	rhesis_notify.preview(pg_temp.notify(jsonb_build_object('template', template, 'result', '{"secret": "do not show", "nested": {"a": "do not show"}}'::jsonb)));
SELECT ok(length(html) < 102000 AND html LIKE '%begin %' AND html LIKE '%the middle of this message is left out%' AND html LIKE '%end</pre>%',
	'of a 1 MB error message the mail shows the beginning and the end')
FROM rhesis_notify.preview(pg_temp.notify(jsonb_build_object('status', 'failed',
	'error_message', 'begin ' || repeat('ä&', 30000) || ' end')));
SELECT ok(length(html) < 102000, 'a 1 MB error message does not make a 1 MB mail')
FROM rhesis_notify.preview(pg_temp.notify(jsonb_build_object('status', 'failed', 'error_message', repeat('<"', 500000))));
SELECT is(reason, NULL, 'a result that can''t be shown is no hindrance: ' || result::text)
FROM unnest(ARRAY['{}', '{"total_tests": []}', '{"total_tests": {"a": 1}, "tests_passed": "many"}', '{"": "", ".": ".", "{{": "}}"}']::jsonb[]) AS result,
	rhesis_notify.preview(pg_temp.notify(jsonb_build_object('template', 'test_execution_summary', 'result', result)));

-- ---- Overrides: of the organization, of everybody, and the shipped templates ----

SELECT alike(text, '✅ Task Completed%', 'a template that does not exist: the shipped task_completion')
FROM rhesis_notify.preview(pg_temp.notify('{"template": "no_such_template"}'));

INSERT INTO rhesis_notify.templates (organization_id, name, text) VALUES (NULL, 'task_completion', 'everybody {{status}}');
SELECT results_eq(
	$$ SELECT text, html LIKE '<!DOCTYPE%', subject FROM rhesis_notify.preview(pg_temp.notify()) $$,
	$$ VALUES ('everybody success', true, 'Task Completed: app.tasks.run - Success') $$, 'everybody''s text beneath the shipped rest');

INSERT INTO rhesis_notify.templates (organization_id, name, subject, text) VALUES ('acme', 'task_completion', 'acme {status}', 'acme {{status}}');
SELECT is(text, 'acme success', 'the organization''s goes before everybody''s') FROM rhesis_notify.preview(pg_temp.notify());
SELECT is(subject, 'acme success', 'its subject too') FROM rhesis_notify.preview(pg_temp.notify());
SELECT is(subject, 'row', 'but the row''s goes before it') FROM rhesis_notify.preview(pg_temp.notify('{"subject_template": "row"}'));
SELECT is(text, 'everybody success', 'another organization does not get it')
FROM rhesis_notify.preview(pg_temp.notify('{"user_id": "bea"}'));
SELECT is(text, 'everybody success', 'nor does a user without one') FROM rhesis_notify.preview(pg_temp.notify('{"user_id": "max"}'));

SAVEPOINT before_update;
UPDATE rhesis_notify.templates SET text = 'changed' WHERE organization_id = 'acme';
SELECT is(text, 'changed', 'a changed override counts at once') FROM rhesis_notify.preview(pg_temp.notify());
ROLLBACK TO before_update;
SELECT is(text, 'acme success', 'and not after a rollback') FROM rhesis_notify.preview(pg_temp.notify());

DELETE FROM rhesis_notify.templates;
SELECT alike(text, '✅ Task Completed%', 'without overrides the shipped one is back') FROM rhesis_notify.preview(pg_temp.notify());

INSERT INTO rhesis_notify.templates (organization_id, name, html) VALUES ('acme', 'layout', 'ACME {{$content}}{{/content}} ACME');
SELECT ok(html LIKE 'ACME %Task Details%ACME' AND text LIKE '✅ Task Completed%', 'an overridden layout brands every mail')
FROM unnest('{task_completion,test_execution_summary}'::text[]) AS template,
	rhesis_notify.preview(pg_temp.notify(jsonb_build_object('template', template)));
SELECT ok(html LIKE '<!DOCTYPE%', 'of that organization alone') FROM rhesis_notify.preview(pg_temp.notify('{"user_id": "bea"}'));
DELETE FROM rhesis_notify.templates;

INSERT INTO rhesis_notify.templates (name, html) VALUES ('welcome', '<p>{{>footer}}</p>'), ('footer', '{{status}}');
SELECT results_eq($$ SELECT html, text LIKE '✅ Task Completed%' FROM rhesis_notify.preview(pg_temp.notify('{"template": "welcome"}')) $$,
	$$ VALUES ('<p>success</p>', true) $$, 'a template of one''s own, with a partial that came in the same statement; its text is the default');
DELETE FROM rhesis_notify.templates WHERE name = 'footer';
SELECT ok(html LIKE '<!DOCTYPE%' AND reason IS NULL, 'when its partial is gone, the shipped task_completion goes out')
FROM rhesis_notify.preview(pg_temp.notify('{"template": "welcome"}'));
DELETE FROM rhesis_notify.templates;

INSERT INTO rhesis_notify.templates (organization_id, name, html) VALUES
	('acme', 'layout', '{{>layout}}'), ('acme', 'loop', '{{>loop}}'), (NULL, 'big', '{{#a}}{{#a}}{{#a}}{{#a}}{{b}}{{/a}}{{/a}}{{/a}}{{/a}}'),
	(NULL, 'made_up', '{{#a}}{{>*.}}{{/a}}');
SELECT ok(html LIKE '<!DOCTYPE%' AND reason IS NULL, 'what exceeds a limit is replaced by what ships: ' || template)
FROM unnest('{task_completion,loop,big,made_up}'::text[]) AS template,
	rhesis_notify.preview(pg_temp.notify(jsonb_build_object('template', template,
		'result', jsonb_build_object('b', repeat('x', 1000), 'a', (SELECT jsonb_agg('p' || i) FROM generate_series(1, 300) AS i)))));
DELETE FROM rhesis_notify.templates;

-- ---- Refused when it is written ----

SELECT throws_ok(format('INSERT INTO rhesis_notify.templates (name, %I) VALUES (''x'', %L)', part, source), code, NULL, left(translate(source, E'\n', ' '), 30) || ' is refused, ' || code)
FROM (VALUES
	('html', E'a\n{{#open}}', '42601'), ('text', '{{/closed}}', '42601'), ('subject', '{{name', '42601'), ('html', '{{>no_such}}', '42704'),
	('html', '{{<no_such}}{{/no_such}}', '42704'), ('subject', '{{>layout}}', '42704'), ('html', repeat('x', 1048577), '54000'), ('subject', repeat('x', 1048577), '54000')
	) AS cases (part, source, code);
INSERT INTO rhesis_notify.templates (organization_id, name, text) VALUES ('acme', 'own', 'own'), ('acme', 'user', '{{>own}}{{>*any}}');
SELECT throws_ok($$ UPDATE rhesis_notify.templates SET organization_id = NULL WHERE name = 'user' $$, '42704', NULL,
	'everybody''s template can''t use an organization''s partial');
SELECT is(text, 'own', 'a refused change leaves nothing behind') FROM rhesis_notify.preview(pg_temp.notify('{"template": "user"}'));
DELETE FROM rhesis_notify.templates;

-- ---- render_template() ----

SELECT results_eq(
	$$ SELECT subject, html LIKE '%Task Failed%', text LIKE '%Hello Ada,%https://app.rhesis.ai/test-runs/9%Rhesis AI Team%'
		FROM rhesis_notify.render_template('task_completion', '{"status": "failed", "task_name": "T", "recipient_name": "Ada", "test_run_id": 9}') $$,
	$$ VALUES ('Task Completed: T - Failed', true, true) $$, 'render_template() adds what follows from the given variables');
SELECT ok(text LIKE '%Other Team%', 'and what is given counts')
FROM rhesis_notify.render_template('task_completion', '{"status": "failed", "task_name": "T", "from_name": "Other"}');
INSERT INTO rhesis_notify.templates (organization_id, name, text) VALUES ('acme', 'own', 'acme {{a}}');
SELECT results_eq($$ SELECT * FROM rhesis_notify.render_template('own', '{"a": 1}', 'acme') $$,
	$$ VALUES (NULL::text, NULL::text, 'acme 1') $$, 'an organization''s template, as it is');
SELECT throws_ok($$ SELECT rhesis_notify.render_template('own', '{}') $$, '42704', NULL, 'which is not everybody''s');
SELECT throws_ok($$ SELECT rhesis_notify.render_template('task_completion', '[]') $$, '22023', NULL, 'variables are an object');
SELECT throws_ok($$ SELECT rhesis_notify.render_template('task_completion', NULL) $$, '22004', NULL, 'and not null');
SELECT throws_ok($$ SELECT rhesis_notify.render_template('task_completion', '{}') $$, '22023', NULL, 'a subject that can''t be filled in is an error');
DELETE FROM rhesis_notify.templates;

-- ---- preview() ----

SELECT results_eq(format('SELECT reason, recipient_email, coalesce(subject, html, text) FROM rhesis_notify.preview(%s)', pg_temp.notify(columns)),
	format('VALUES (%L, %L, NULL::text)', reason, email), 'preview() says ' || reason)
FROM (VALUES
	('{"template": null}'::jsonb, 'silent_task', NULL),
	('{"user_id": ""}', 'no_user', NULL),
	('{"user_id": "nobody"}', 'unknown_user', NULL),
	('{"user_id": "sys"}', 'placeholder_email', 'sys@placeholder.rhesis.ai')
	) AS cases (columns, reason, email);
SELECT pg_temp.notify() AS old \gset
UPDATE rhesis_notify.task_notifications SET created_at = now() - interval '4 days' WHERE id = :old;
SELECT is(reason, 'expired', 'preview() says expired') FROM rhesis_notify.preview(:old);
SET LOCAL rhesis_notify.expire_after = 0;
SELECT is(reason, NULL, 'and that nothing expires where that is set') FROM rhesis_notify.preview(:old);
SELECT is(recipient_email, 'john@example.org', 'preview() says to whom') FROM rhesis_notify.preview(pg_temp.notify());
SELECT throws_ok('SELECT rhesis_notify.preview(-1)', 'P0002', NULL, 'a notification that does not exist is an error');
SELECT ok(NOT has_function_privilege('pg_monitor', function::regprocedure, 'EXECUTE'), function || ' is not for everybody')
FROM unnest(ARRAY['rhesis_notify.preview(bigint)', 'rhesis_notify.render_template(text,jsonb,text)']) AS function;

-- ---- A change in another session ----

SELECT dblink_connect('other', format('dbname=%s port=%s host=%s', current_database(), current_setting('port'),
	split_part(current_setting('unix_socket_directories'), ',', 1))) AS connected \gset
SELECT alike(text, '✅ Task Completed%', 'before') FROM rhesis_notify.preview(pg_temp.notify('{"user_id": "bea"}'));
SELECT dblink_exec('other', $$ INSERT INTO rhesis_notify.templates (organization_id, name, text) VALUES ('brot', 'task_completion', 'theirs') $$) AS done \gset
SELECT is(text, 'theirs', 'another session''s override counts when it is committed') FROM rhesis_notify.preview(pg_temp.notify('{"user_id": "bea"}'));
SELECT dblink_exec('other', 'DELETE FROM rhesis_notify.templates') AS done \gset
SELECT alike(text, '✅ Task Completed%', 'and is gone when it is removed') FROM rhesis_notify.preview(pg_temp.notify('{"user_id": "bea"}'));

-- ---- A database whose encoding lacks some characters ----

-- Separate programs do this. DROP DATABASE waits for an answer of every session, and on PostgreSQL
-- 16 a session that waits inside dblink does not answer.
\! dropdb --if-exists --force rendering_latin1
\! createdb --encoding=LATIN1 --locale=C --template=template0 rendering_latin1
SELECT dblink_connect('latin1', format('dbname=rendering_latin1 port=%s host=%s', current_setting('port'),
	split_part(current_setting('unix_socket_directories'), ',', 1))) AS connected \gset
SELECT dblink_exec('latin1', $$ CREATE EXTENSION rhesis_notify $$) AS done \gset
SELECT results_eq(
	$$ SELECT subject, md5(replace(html, '…', '...')), text FROM dblink('latin1', format('SELECT subject, html, left(text, 30) FROM rhesis_notify.render_template(''task_completion'', %L)',
		jsonb_build_object('task_name', repeat('ä', 300), 'recipient_name', 'Jürgen', 'status', 'success')))
		AS mail (subject text, html text, text text) WHERE html LIKE '%Hello <span dir="auto">Jürgen</span>,%' $$,
	$$ SELECT 'Task Completed: ' || repeat('ä', 238) || '...', md5(replace(html, '…', '...')), E'* Task Completed\n\nHello Jürgen'
		FROM rhesis_notify.render_template('task_completion',
			jsonb_build_object('task_name', repeat('ä', 300), 'recipient_name', 'Jürgen', 'status', 'success')) $$,
	'in a LATIN1 database the mail is the same but for emoji and ellipses');
SELECT dblink_disconnect('latin1') AS done \gset
\! dropdb --force rendering_latin1

-- ---- The heading that the counts of a test run lead to ----

SELECT is(pg_temp.shown('{{test_verdict}}|{{#test_verdict_is_bad}}bad{{/test_verdict_is_bad}}{{#test_verdict_is_mixed}}mixed{{/test_verdict_is_mixed}}'
		|| '|{{test_outcome}}|{{test_verdict_symbol}}', jsonb_build_object('status', status, 'result', result)),
	expected, 'verdict on ' || status || ' with ' || result)
FROM (VALUES
	('success', '{}'::jsonb, '||Success|✅'),
	('failed', '{"tests_failed": 3, "total_tests": 3}', '|bad|Failed|❌'),
	('success', '{"total_tests": 39, "tests_passed": 39, "tests_failed": 0, "execution_errors": 0, "execution_status": "Complete"}', '||Success|✅'),
	('success', '{"total_tests": 39, "tests_passed": 0, "tests_failed": 39}', '39 of 39 tests failed|bad|39 of 39 tests failed|❌'),
	('success', '{"total_tests": "39", "tests_failed": "39"}', '39 of 39 tests failed|bad|39 of 39 tests failed|❌'),
	('success', '{"total_tests": 39, "execution_status": "Failed"}', 'Test run failed|bad|Test run failed|❌'),
	('success', '{"total_tests": 39, "execution_status": " timed_out "}', 'Test run failed|bad|Test run failed|❌'),
	('success', '{"execution_status": "ResultStatus.FAILED"}', 'Test run failed|bad|Test run failed|❌'),
	('success', '{"execution_status": "Completed with errors: see the page of this run for the tests that failed"}', 'Test run failed|bad|Test run failed|❌'),
	('success', '{"total_tests": 39, "execution_status": "In Progress"}', 'Test run is incomplete|mixed|Test run is incomplete|⚠️'),
	('success', '{"total_tests": 10, "tests_passed": 8, "tests_failed": 0, "tests_skipped": 2}', '8 of 10 tests passed|mixed|8 of 10 tests passed|⚠️'),
	('success', '{"total_tests": 3e0, "tests_passed": 3.0, "tests_failed": -1, "execution_errors": true}', '||Success|✅'),
	('success', '{"total_tests": {"n": 3}, "tests_passed": ["3"], "tests_failed": "NaN", "execution_errors": null}', '||Success|✅')
	) AS cases (status, result, expected);

CREATE FUNCTION pg_temp.summary(result jsonb) RETURNS TABLE (subject text, html text, text text) LANGUAGE sql AS $$
	SELECT subject, html, text FROM rhesis_notify.preview(pg_temp.notify(jsonb_build_object(
		'template', 'test_execution_summary', 'task_name', 'collect_results', 'result', result)))
$$;
SELECT unnest(ARRAY[is(subject, 'Task Completed: Test Execution Summary - 39 of 39 tests failed', 'a run in which all failed: subject'),
	ok(html ~ '<title>Test Execution Summary: 39 of 39 tests failed</title>', '... title'),
	ok(html ~ 'opacity:0[^>]*>API: 0 passed, 39 failed, 0 errors after 2m 45s\.', '... preheader, which names errors too'),
	ok(html ~ 'class="pad bad"[^>]*>\s*<h1[^>]*>&#10060; 39 of 39 tests failed</h1>', '... heading and colour'),
	ok(html !~ 'Task Completed|SUCCESS|&#9989;', '... nothing says that all is well'),
	ok(html ~ '>Status</td>\s*<td[^>]*>Success</td>', '... the task''s own status is in the details'),
	ok(text ~ '^❌ 39 of 39 tests failed\n', '... the text''s heading'),
	ok(position('View Results' IN html) < position('Task Details' IN html)
		AND position('View Results' IN text) < position('Task Details' IN text), '... the button comes before the long table')])
FROM pg_temp.summary('{"total_tests": 39, "tests_passed": 0, "tests_failed": 39, "execution_errors": 0, "test_set_name": "API", "test_run_id": "r"}');
SELECT unnest(ARRAY[is(subject, 'Task Completed: Test Execution Summary - Success', 'a run in which all passed: subject'),
	ok(html ~ 'class="pad good"[^>]*>\s*<h1[^>]*>&#9989; Task Completed</h1>', '... heading and colour'),
	ok(text LIKE '%with status: SUCCESS%Passed: 3 | Failed: 0 | Errors: 0 | Total: 3%', '... a count of 0 is shown')])
FROM pg_temp.summary('{"total_tests": 3, "tests_passed": 3, "tests_failed": 0, "execution_errors": 0}');
SELECT unnest(ARRAY[ok(html !~ '>Failed</p>|>Errors</p>' AND text ~ 'Test Results:\nPassed: 8 \| Total: 72\n', 'a count that is not known is not mentioned'),
	is(subject, 'Task Completed: Test Execution Summary - 8 of 72 tests passed', '... and not taken for a success')])
FROM pg_temp.summary('{"total_tests": 72, "tests_passed": 8}');
SELECT unnest(ARRAY[ok(text ~ '^⚠️ No tests were run\n' AND text ~ 'Total: 0\n', 'a run without tests')])
FROM pg_temp.summary('{"total_tests": 0}');

-- ---- Values are shortened, and names stay on their line ----

SELECT is(pg_temp.shown('{{' || name || '}}', jsonb_build_object('task_name', names.forged, 'user_id', 'forger', 'result',
		jsonb_build_object('test_set_name', names.forged, 'project_name', names.forged, 'endpoint_url', names.forged))),
	'Ann,  View Results: https://evil.example', name || ' stays on one line')
FROM (VALUES (E'Ann,\n\nView Results:\nhttps://evil.example')) AS names (forged),
	unnest('{recipient_name,task_name,organization_name,test_set_name,project_name,endpoint_url}'::text[]) AS name;
SELECT is(pg_temp.shown('{{a_name}}', jsonb_build_object('result', jsonb_build_object('a_name', E'a' || sign || 'b'))), 'a b',
	'U+' || upper(to_hex(ascii(sign))) || ' breaks no line')
FROM unnest(ARRAY[chr(133), chr(8232), chr(8233), chr(8238), chr(11), chr(12), chr(13)]) AS sign;
SELECT is(pg_temp.shown('{{status_details}}', jsonb_build_object('result', jsonb_build_object('status_details', E'a\nb'))), E'a\nb', 'a text has its lines');
SELECT is(pg_temp.shown('{{a_name}}', jsonb_build_object('result', jsonb_build_object('a_name', 'a' || repeat(sign, 200) || 'View Results:'))), 'a View Results:',
	'a long gap of U+' || upper(to_hex(ascii(sign))) || ' pushes nothing to a line of its own')
FROM unnest(ARRAY[' ', E'\t', E'\n', chr(160), chr(8195), chr(8203), chr(10240), chr(12288), chr(12644), ' ' || chr(160)]) AS sign;
SELECT is(pg_temp.shown('{{a_name}}', '{"result": {"a_name": "a  b   c"}}'), 'a  b   c', 'a few spaces stay');
SELECT is(pg_temp.shown('{{' || name || '}}', jsonb_build_object('result', jsonb_build_object(name, E'5\n\nView Results:'))), '5  View Results:', name || ' stays on one line')
FROM unnest('{num_tests_generated,total_tests,tests_passed,tests_failed,execution_status}'::text[]) AS name;
SELECT is(pg_temp.shown('{{status_details}}|{{error_message}}', jsonb_build_object('error_message', E'a\u001B[31mb\u0085c\n\td', 'result',
		jsonb_build_object('status_details', E'a\u001B[31mb\u0085c\n\td'))), E'a [31mb c\n\td|a [31mb c\n\td', 'a text has no control characters');
SELECT is(length(pg_temp.shown('{{' || name || '}}', jsonb_build_object('task_name', repeat('ä', 100000), 'result',
		jsonb_build_object('status_details', repeat('ä', 100000), 'l', jsonb_build_array(repeat('x', 100000)), 'n', ('1' || repeat('0', 5000))::numeric)))),
	expected, name || ' is cut')
FROM (VALUES ('task_name', 255), ('status_details', 4000), ('l', 4003), ('n', 4003)) AS cases (name, expected);
SELECT ok(octet_length(html) < 102 * 1024 AND octet_length(text) < 102 * 1024, 'the longest values make a mail that Gmail does not cut: ' || template)
FROM unnest('{task_completion,test_execution_summary}'::text[]) AS template,
	rhesis_notify.preview(pg_temp.notify(jsonb_build_object('template', template, 'task_name', repeat('"', 100000), 'task_id', repeat('"', 470) || template,
		'status', 'failed', 'error_message', repeat('"', 100000), 'result', (SELECT jsonb_object_agg(key, repeat('"', 50000)) FROM
		unnest('{status_details,test_run_id,test_set_id,test_set_name,project_name,endpoint_name,endpoint_url,execution_status,num_tests_generated,completed_at}'::text[]) AS key))));

-- ---- Values that are blank or useless ----

SELECT is(pg_temp.shown('{{task_name}}|{{execution_time}}', jsonb_build_object('task_name', 'my.task', 'result', jsonb_build_object('task_name', value, 'execution_time', value))),
	'my.task|2m 45s', 'a result with ' || value::text || ' for its name and time')
FROM unnest(ARRAY['""', '"  "', '"\u00a0\u200b"', '[]', '{"a": 1}', 'false', 'null']::jsonb[]) AS value;
SELECT is(pg_temp.shown('{{#test_set_name}}name{{/test_set_name}}{{#test_set_id}}id{{/test_set_id}}{{#endpoint_url}}url{{/endpoint_url}}{{#error_message}}error{{/error_message}}',
		jsonb_build_object('error_message', E' \n', 'result', jsonb_build_object('test_set_name', blank, 'test_set_id', blank, 'endpoint_url', blank))), '',
	'a value of U+' || upper(to_hex(ascii(blank))) || ' is none')
FROM unnest(ARRAY[' ', E'\n', chr(160), chr(8203), chr(12288)]) AS blank;
SELECT is(pg_temp.shown('{{result_url}}', jsonb_build_object('result', jsonb_build_object('test_run_id', id, 'test_set_id', '7'))), 'https://app.rhesis.ai/test-sets/7',
	format('"%s" is no id of a page', id))
FROM unnest('{.,..,"  ",""}'::text[]) AS id;

-- ---- A blank part is replaced ----

CREATE FUNCTION pg_temp.shipped_instead(part text, source text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	said boolean;
BEGIN
	EXECUTE format('INSERT INTO rhesis_notify.templates (name, %I) VALUES (''task_completion'', %L)', part, source);
	SELECT mail.html LIKE '%<!DOCTYPE html>%' AND mail.text LIKE '%Best regards%' INTO said FROM rhesis_notify.preview(pg_temp.notify()) AS mail;
	DELETE FROM rhesis_notify.templates;
	RETURN said;
END
$$;
SELECT ok(pg_temp.shipped_instead(part, source), format('%s "%s" is replaced', part, translate(source, E'\n\u00A0', '  ')))
FROM (VALUES ('html', ''), ('html', '{{no_such}}'), ('html', '<html><head><title>x</title><style>p {}</style></head><body><!-- x --><p>&nbsp; {{no_such}}</p></body></html>'),
	('text', ''), ('text', E' \n{{no_such}}\u00A0'), ('text', '{{#is_failed}}x{{/is_failed}}')) AS cases (part, source);
SELECT ok(NOT pg_temp.shipped_instead('html', source), format('%L is something', source))
FROM unnest(ARRAY['<img src="x">', '<p>0</p>', 'a < b', '&amp;']) AS source;
INSERT INTO rhesis_notify.templates (organization_id, name, text) VALUES ('brot', 'task_completion', '{{no_such}}'), (NULL, 'task_completion', 'of everybody');
SELECT is(text, 'of everybody', 'the next template is everybody''s') FROM rhesis_notify.preview(pg_temp.notify('{"user_id": "bea"}'));
DELETE FROM rhesis_notify.templates;

-- ---- A result of more than 1 MB ----

SELECT ok(text LIKE '%https://app.rhesis.ai/test-runs/r1%' AND text LIKE '%Test Set: API%', 'a result of 3 MB: its small keys are there, and with them the link')
FROM rhesis_notify.preview(pg_temp.notify(jsonb_build_object('result', jsonb_build_object('test_run_id', 'r1', 'test_set_name', 'API', 'rows', repeat('x', 3000000)))));
SELECT ok(text LIKE '%https://app.rhesis.ai/test-runs/r1%' AND subject LIKE '% - 4 tests failed', 'a result of 40,000 keys: what a mail needs is there')
FROM rhesis_notify.preview(pg_temp.notify(jsonb_build_object('template', 'test_execution_summary', 'result',
	(SELECT jsonb_object_agg('k' || i, repeat('z', 30)) || '{"test_run_id": "r1", "tests_failed": 4}' FROM generate_series(1, 40000) AS i))));
SELECT is(pg_temp.shown('{{result_url}}', jsonb_build_object('result', jsonb_build_object('test_run_id', blank, 'test_set_id', 's'))), 'https://app.rhesis.ai/test-sets/s',
	'a blank id is none')
FROM unnest(ARRAY['', '  ', E'\n', chr(160), chr(8203)]) AS blank;

SELECT * FROM finish();
ROLLBACK;
