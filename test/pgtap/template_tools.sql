-- Tools for the author of a template: the message of a refusal, template_variables(),
-- preview_message(), render_diff(). It runs in its own database, as superuser, and leaves only
-- extensions there.
\set ECHO none
\set QUIET 1
\set ON_ERROR_STOP true
\pset format unaligned
\pset tuples_only true
\pset pager off
SET client_min_messages = warning;

CREATE EXTENSION IF NOT EXISTS rhesis_notify;
CREATE EXTENSION IF NOT EXISTS pgtap;

BEGIN;
SET LOCAL rhesis_notify.frontend_url = 'https://app.rhesis.ai';
SET LOCAL rhesis_notify.from_email = '"Rhesis AI" <engineering@rhesis.ai>';
SET LOCAL rhesis_notify.recipients = 'public.people';

CREATE TABLE public.people (user_id text, email text, name text, organization_id text, organization_name text);
INSERT INTO public.people VALUES
	('john', 'john@example.org', 'John Doe', 'acme', 'Acme & Sons'),
	('bea', 'bea@example.org', 'Bea', 'brot', 'Brot AG'),
	('mia', 'mia@example.org', 'Mia', NULL, NULL);

-- Inserts a notification as a task would do it. The keys of "columns" replace the default values.
CREATE FUNCTION pg_temp.notify(columns jsonb DEFAULT '{}') RETURNS bigint LANGUAGE sql AS $$
	INSERT INTO rhesis_notify.task_notifications
		(task_id, task_name, status, user_id, organization_id, template, subject_template, result, error_message, completed_at)
	SELECT coalesce(given.task_id, gen_random_uuid()::text), coalesce(given.task_name, 'app.tasks.run'),
		coalesce(given.status, 'success'), coalesce(given.user_id, 'john'), given.organization_id,
		CASE WHEN columns ? 'template' THEN given.template ELSE 'task_completion' END,
		given.subject_template, given.result, given.error_message, '2024-01-15 14:30:25+00'
	FROM jsonb_populate_record(NULL::rhesis_notify.task_notifications, columns) AS given
	RETURNING id
$$;

-- Returns the message of a statement that fails.
CREATE FUNCTION pg_temp.complaint(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', message, nullif(detail, ''), nullif(hint, ''));
END
$$;

SELECT * FROM no_plan();

-- ---- A broken template is refused, with its line and its tag ----

SELECT is(pg_temp.complaint(format('INSERT INTO rhesis_notify.templates (name, %I) VALUES (''x'', %L)', part, source)), says, part || ' is refused: ' || translate(source, E'\n', ' '))
FROM (VALUES
	('html', E'a\n{{#open}}', E'html of template "x" cannot be parsed\nLine 2, {{#open}}: tag is not closed by a closing tag.\n'
		'Add {{/name}} with the same name after what it encloses.'),
	('text', E'\n\n{{/closed}}', E'text of template "x" cannot be parsed\nLine 3, {{/closed}}: closing tag has no opening tag.\n'
		'Remove it, or open a section of that name before it.'),
	('html', E'a\n\n {{> no_such}}', E'html of template "x" uses a partial that does not exist\n'
		'Line 3, {{>no_such}}: there is no template of that name with a part "html".\nAdd the partial first, or both in one statement.'),
	('text', '{{<no_such}}{{/no_such}}', E'text of template "x" uses a partial that does not exist\n'
		'Line 1, {{<no_such}}: there is no template of that name with a part "text".\nAdd the partial first, or both in one statement.'),
	('subject', '{{>layout}}', E'subject of template "x" uses a partial that does not exist\n'
		'Line 1, {{>layout}}: there is no template of that name with a part "subject".\nAdd the partial first, or both in one statement.')
	) AS cases (part, source, says);

-- ---- template_variables() ----

INSERT INTO rhesis_notify.templates (name, subject, html) VALUES
	('mine', '{status.upper()} {status} {{count}}', E'\n{{#entries}}{{name}}\n{{name}}{{owner.name}}{{.}}{{/entries}}\n{{>footer}}\n{{>*which}}{{! word }}'),
	('footer', NULL, E'\n{{from_name}}{{>footer}}');
SELECT results_eq(
	$$ SELECT variable, used_as, part, template, line FROM rhesis_notify.template_variables('mine') WHERE used_as IS NOT NULL $$,
	$$ VALUES
		('status', 'variable', 'subject', 'mine', 1), ('count', 'variable', 'subject', 'mine', 1),
		('entries', 'section', 'html', 'mine', 2), ('name', 'variable', 'html', 'mine', 2), ('owner.name', 'variable', 'html', 'mine', 3),
		('.', 'variable', 'html', 'mine', 3), ('footer', 'partial', 'html', 'mine', 4), ('which', 'variable', 'html', 'mine', 5),
		('from_name', 'variable', 'html', 'footer', 2), ('footer', 'partial', 'html', 'footer', 2) $$,
	'what a template uses, once for each use, its partials too');
SELECT set_eq(
	$$ SELECT variable FROM rhesis_notify.template_variables('mine') WHERE used_as IS NULL UNION ALL VALUES ('status'), ('from_name') $$,
	$$ SELECT DISTINCT variable FROM rhesis_notify.template_variables('layout') WHERE description IS NOT NULL $$,
	'and what it could use');
SELECT is_empty(
	$$ SELECT variable FROM rhesis_notify.template_variables('mine') WHERE (description IS NULL) <> (example IS NULL)
		OR (description IS NULL AND variable NOT IN ('count', 'entries', 'name', 'owner.name', '.', 'footer', 'which')) $$,
	'each variable of ours has a description and an example');
SELECT is_empty(
	$$ SELECT DISTINCT variable FROM unnest('{task_completion,test_execution_summary}'::text[]) AS shipped,
			rhesis_notify.template_variables(shipped)
		WHERE used_as <> 'partial' AND description IS NULL AND variable <> '.' $$,
	'the shipped templates use no variable that is not described');
SELECT is(subject, listed.variable || ':', 'there is a variable ' || listed.variable)
FROM rhesis_notify.template_variables('mine') AS listed,
	rhesis_notify.preview(pg_temp.notify(jsonb_build_object('subject_template', listed.variable || ':{{#none}}{' || listed.variable || '}{{/none}}')))
WHERE listed.description IS NOT NULL AND listed.description NOT LIKE 'From the task''s result:%';
INSERT INTO rhesis_notify.templates (organization_id, name, text) VALUES ('acme', 'mine', '{{theirs}}');
SELECT is((count(*) FILTER (WHERE variable = 'theirs'))::int, expected, 'the variables of ' || coalesce(organization_id, 'everybody'))
FROM (VALUES ('acme', 1), ('brot', 0), (NULL, 0)) AS cases (organization_id, expected),
	rhesis_notify.template_variables('mine', organization_id)
GROUP BY organization_id, expected;
SELECT throws_ok($$ SELECT rhesis_notify.template_variables('no_such') $$, '42704', 'there is no template "no_such"', 'a template must exist');
SELECT throws_ok($$ SELECT rhesis_notify.template_variables(NULL) $$, '22004', NULL, 'and have a name');
INSERT INTO rhesis_notify.templates (name, html) VALUES ('endless', (SELECT string_agg('{{>*a}}{{v' || i || '}}', '') FROM generate_series(1, 2000) AS i));
SELECT is(count(*) FILTER (WHERE used_as IS NOT NULL), 2001::bigint, 'a long list') FROM rhesis_notify.template_variables('endless');
DELETE FROM rhesis_notify.templates;

-- ---- preview_message() ----

SELECT alike(rhesis_notify.preview_message(pg_temp.notify('{"status": "failed", "error_message": "one\n.\n. dot"}')),
	E'Date: %\r\nTo: John Doe <john@example.org>\r\nSubject: Task Completed: app.tasks.run - Failed\r\n%\r\n\r\n'
		'--%\r\none\r\n=2E\r\n=2E dot\r\n%--\r\n', 'preview_message() shows headers and parts');
SELECT ok(rhesis_notify.preview_message(pg_temp.notify()) ~ '^[\x01-\x7f]*$', 'nothing but ASCII');
SELECT is(rhesis_notify.preview_message(pg_temp.notify('{"template": null}')), NULL, 'null where no mail is owed');
SELECT is(rhesis_notify.preview_message(pg_temp.notify('{"user_id": "nobody"}')), NULL, 'null where nobody gets it');
SET LOCAL rhesis_notify.redirect_all_to = 'staging@example.org';
SELECT matches(rhesis_notify.preview_message(pg_temp.notify()), E'\nTo: John Doe <staging@example\\.org>\r\n.*john@example\\.org', 'to staging, where that is set');
SET LOCAL rhesis_notify.redirect_all_to = '';
SELECT throws_ok('SELECT rhesis_notify.preview_message(-1)', 'P0002', NULL, 'a notification that does not exist is an error');

-- ---- render_diff() ----

DELETE FROM rhesis_notify.task_notifications;
SELECT pg_temp.notify('{"organization_id": "acme"}') AS acme, pg_temp.notify('{"user_id": "bea"}') AS brot,
	pg_temp.notify('{"user_id": "mia", "status": "failed", "error_message": "it broke"}') AS failed,
	pg_temp.notify('{"user_id": "mia", "template": "test_execution_summary", "result": {"total_tests": 1}}') AS summary,
	pg_temp.notify('{"template": null, "task_name": "silent"}') AS silent, pg_temp.notify('{"user_id": "nobody"}') AS nobody,
	pg_temp.notify('{"template": null, "task_name": "x.email_notification_test"}') AS registered \gset

-- Returns the lines of a diff for each notification, as one text.
CREATE FUNCTION pg_temp.said(VARIADIC call text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
BEGIN
	EXECUTE 'SELECT string_agg(concat_ws('' '', notification_id - $1, what, detail), ''; '' ORDER BY notification_id) FROM rhesis_notify.render_diff('
		|| array_to_string(call, ', ') || ')' INTO said USING (SELECT min(id) FROM rhesis_notify.task_notifications);
	RETURN said;
END
$$;

SELECT is(pg_temp.said($$ 'task_completion' $$), NULL, 'no part is proposed: nothing differs');
SELECT is(pg_temp.said($$ 'task_completion' $$, 'subject => (SELECT subject FROM rhesis_notify.shipped_templates WHERE name = ''task_completion'')'), NULL,
	'the same part is proposed: nothing differs');
SELECT is(pg_temp.said($$ 'task_completion' $$, $$ subject => 'Done: {task_name} {status}' $$),
	'0 differs subject; 1 differs subject; 2 differs subject; 6 differs subject', 'another subject: the mails of that template differ');
SELECT results_eq($$ SELECT current_subject, proposed_subject FROM rhesis_notify.render_diff('task_completion', subject => 'Done: {task_name} {status}', last => 1) $$,
	$$ VALUES ('Task Completed: Email Notification Test - Success', 'Done: Email Notification Test success') $$, 'both subjects, of the last one');
SELECT is(pg_temp.said($$ 'task_completion' $$, $$ subject => 'Done: {task_nmae}' $$, 'last => 1'),
	'6 fails subject of template "task_completion": there is no variable "task_nmae"', 'a subject that can''t be filled in fails');
SELECT is(pg_temp.said($$ 'task_completion' $$, $$ subject => 'Done' $$), '0 loses variable subject: task_name, status; 1 loses variable subject: task_name, status; '
	'2 loses variable subject: task_name, status; 6 loses variable subject: task_name, status', 'what is not shown any more is lost');
SELECT is(pg_temp.said($$ 'task_completion' $$, 'text => ' || quote_literal(replace(text, '{{error_message}}', 'see the log'))), '2 differs text',
	'what still has a say is not lost, what has no value neither')
FROM rhesis_notify.shipped_templates WHERE name = 'task_completion';
SELECT is(pg_temp.said($$ 'task_completion' $$, 'text => ' || quote_literal(regexp_replace(text, '\{\{#error_message\}\}.*\{\{/error_message\}\}\n', ''))),
	'2 loses variable text: error_message', 'a variable that has a value is lost where it has one')
FROM rhesis_notify.shipped_templates WHERE name = 'task_completion';
SELECT is(pg_temp.said($$ 'layout' $$, $$ html => '{{$content}}{{/content}}{{from_name}}{{recipient_name}}{{organization_name}}{{status_upper}}{{#is_failed}}!{{/is_failed}}{{result_url}}' $$),
	'0 differs html; 1 differs html; 2 differs html; 3 loses variable html: test_outcome; 6 differs html', 'a partial: any mail may use it');
SELECT is(pg_temp.said($$ 'layout' $$, $$ html => '{{$content}}{{/content}}{{from_name}}{{recipient_name}}{{organization_name}}{{status_upper}}{{#is_failed}}!{{/is_failed}}' $$,
	$$ organization_id => 'acme' $$), '0 differs html; 6 differs html', 'an organization''s: only its own mails');
INSERT INTO rhesis_notify.templates (organization_id, name, subject) VALUES ('acme', 'task_completion', 'acme {task_name}');
SELECT is(pg_temp.said($$ 'task_completion' $$, $$ subject => 'Done: {task_name} {status}' $$), '1 differs subject; 2 differs subject',
	'where an organization has its own, everybody''s changes nothing');
SELECT is(pg_temp.said($$ 'task_completion' $$, $$ organization_id => 'acme' $$, $$ subject => 'acme: {task_name}' $$), '0 differs subject; 6 differs subject',
	'the organization''s current one counts');
SELECT pg_temp.notify('{"organization_id": ""}') AS empty \gset
SELECT is(pg_temp.said($$ 'task_completion' $$, $$ organization_id => 'acme' $$, $$ subject => 'acme: {task_name}' $$, 'last => 1'), '7 differs subject',
	'an empty organization is none');
DELETE FROM rhesis_notify.task_notifications WHERE id = :empty;
DELETE FROM rhesis_notify.templates;
INSERT INTO rhesis_notify.templates (name, html) VALUES ('big', '{{#a}}{{#a}}{{#a}}{{#a}}{{/a}}{{/a}}{{/a}}{{/a}}');
SELECT is(pg_temp.said($$ 'layout' $$, $$ html => '{{>layout}}' $$, 'last => 1'),
	'6 fails html of template "layout": line 1, {{>layout}}: partials are nested too deeply', 'a proposal that exceeds a limit fails');
SELECT pg_temp.notify(jsonb_build_object('template', 'big', 'result', jsonb_build_object('a', (SELECT jsonb_agg(i) FROM generate_series(1, 300) AS i)))) AS big \gset
SELECT is(pg_temp.said($$ 'big' $$, $$ html => '{{#a}}{{#a}}{{#a}}{{#a}} {{/a}}{{/a}}{{/a}}{{/a}}' $$, 'last => 1'), NULL, 'what fails as before is no news');
SELECT is(pg_temp.complaint(format($$ SELECT rhesis_notify.render_diff('task_completion', html => %L) $$, source)), says, 'refused: ' || source)
FROM (VALUES ('{{#open}}', E'html of template "task_completion" cannot be parsed\nLine 1, {{#open}}: tag is not closed by a closing tag.\n'
		'Add {{/name}} with the same name after what it encloses.'),
	('{{>no_such}}', E'html of template "task_completion" uses a partial that does not exist\n'
		'Line 1, {{>no_such}}: there is no template of that name with a part "html".\nAdd the partial first, or both in one statement.')) AS cases (source, says);
SELECT throws_ok(format('SELECT rhesis_notify.render_diff(%s)', arguments), code, NULL, 'refused: ' || arguments)
FROM (VALUES ('NULL', '22004'), ($$ 'no_such' $$, '42704'), ($$ 'layout', last => 0 $$, '22023'), ($$ 'layout', last => NULL $$, '22023')) AS cases (arguments, code);
SELECT is(count(*), 0::bigint, 'nothing was written') FROM rhesis_notify.templates WHERE name <> 'big';

-- A thousand hostile mails.
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, template, result)
SELECT 'many ' || n, 'many', 'success', 'john', 'big', jsonb_build_object('a', (SELECT jsonb_agg(i) FROM generate_series(1, 300) AS i))
FROM generate_series(1, 1000) AS n;
CREATE FUNCTION pg_temp.is_cancelled() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rhesis_notify.render_diff('big', text => 'x');
	RETURN false;
EXCEPTION WHEN query_canceled THEN
	RETURN true;
END
$$;
SET LOCAL statement_timeout = '500ms';
SELECT ok(pg_temp.is_cancelled(), 'a long one can be cancelled');
SET LOCAL statement_timeout = 0;

SELECT ok(NOT has_function_privilege('pg_monitor', function, 'EXECUTE'), function || ' is not for everybody')
FROM unnest('{"rhesis_notify.preview_message(bigint)","rhesis_notify.template_variables(text,text)",'
	'"rhesis_notify.render_diff(text,text,text,text,integer,text)"}'::text[]) AS function;

SELECT * FROM finish();
ROLLBACK;
