-- The messages for the author of a broken template, and the output of preview() when another
-- template replaces it.
\set SHOW_CONTEXT never
\set VERBOSITY default
\pset null '-'

BEGIN;
\set ON_ERROR_ROLLBACK on
SET LOCAL rhesis_notify.recipients = 'public.people';
CREATE TABLE public.people (user_id text, email text);
INSERT INTO public.people VALUES ('john', 'john@example.org');

-- Refused when it is written.
INSERT INTO rhesis_notify.templates (name, html) VALUES ('weekly', E'<h1>{{task_name}}</h1>\n{{#is_failed}}<p>{{error_message}}</p>\n');
INSERT INTO rhesis_notify.templates (name, text) VALUES ('weekly', E'one\ntwo {{task name}}');
INSERT INTO rhesis_notify.templates (name, subject) VALUES ('weekly', 'Done: {{task_name');
INSERT INTO rhesis_notify.templates (name, html) VALUES ('weekly', E'<p>\n{{< branding}}{{$content}}hello{{/content}}{{/branding}}');
INSERT INTO rhesis_notify.templates (name, html) VALUES ('weekly', repeat('x', 1024 * 1024 + 1));

-- Legal, but probably a mistake.
INSERT INTO rhesis_notify.templates (name, text) SELECT 'text_' || number, source
FROM unnest(ARRAY[U&'{{\00A0task_name}}', U&'{{task_name\200E}}', U&'{{task\00ADname}}', '{{#is_failed}}a{{else}}b{{/is_failed}}', '{{ELSE}}',
	'{{this.name}}', '{{loop.index}}', '{{a|upper}}', '{{a.b()}}', '{{ task_name&nbsp;}}', '{{a=b}}', '{{ $task_name }}', '{{task_name.upper}}',
	'{{taskName}}', '{{Task-Name}}', '{{recipent_name}}', '{{reciipent_name}}', '{{recpiient_name}}', '{ task_name }', '${task_name}',
	'{% if x %}', '<%= task_name %>', '{{<layout}}a{{$content}}b{{/content}}{{/layout}}', E'{{<layout}}\n{{task_name}}\n{{/layout}}',
	'{{<layout}}{{$contnet}}b{{/contnet}}{{/layout}}', '{{result.total_tests}}', '{{task.status}}', '{{! not {{task_name}} }}{{! a comment }}']) WITH ORDINALITY AS given (source, number);
INSERT INTO rhesis_notify.templates (name, subject) SELECT 'subject_' || number, source
FROM unnest(ARRAY['{status.title}', '{status!u}', '{status:>10}', '{status.strip()}', '{taskName}', '{{status|title}}']) WITH ORDINALITY AS given (source, number);
INSERT INTO rhesis_notify.templates (organization_id, name, html) SELECT 'org_' || number, 'layout', source
FROM unnest(ARRAY['x', '<!-- {{$content}}{{/content}} -->', '<p title="{{$content}}{{/content}}">', '<style>{{$ content }}{{/content}}</style>',
	'{{$Content}}{{/Content}}']) WITH ORDINALITY AS given (source, number);

INSERT INTO rhesis_notify.templates (organization_id, name, html) SELECT 'some_' || number, 'layout', source
FROM unnest(ARRAY['<p>{{#is_failed}}{{$content}}{{/content}}{{/is_failed}}</p>', '<p>{{$banner}}{{$content}}{{/content}}{{/banner}}</p>', '{{{$content}}}',
	E'<p>\n{{#a}}{{#b}}{{$content}}{{/content}}{{/b}}{{/a}}{{#b}}{{$content}}{{/content}}{{/b}}</p>']) WITH ORDINALITY AS given (source, number);

-- Good templates cause no message.
INSERT INTO rhesis_notify.templates (name, text) SELECT 'good_' || number, source
FROM unnest(ARRAY['{{#rows}}{{.}}{{name}}{{a.b}}{{/rows}}{{run_ids}}{{größe}}', '{{=<% %>=}}<% task_name %>', '{{# is_failed }}a {b} {}{{/ is_failed }}',
	'{{<layout}} {{! beside }} {{$content}}{{task_name}}{{/content}} {{/layout}}', '{{tests_skipped}} {{error_messages}} {{result.other}} {{run.status}} {{! { }} {{!a}}{{task_name}}']) WITH ORDINALITY AS given (source, number);
INSERT INTO rhesis_notify.templates (name, subject) VALUES ('good_6', '{task_name} {status.title()} {x} {} { {{status}}');
INSERT INTO rhesis_notify.templates (organization_id, name, html) VALUES ('org_6', 'layout', '<body><p class="{{a}}">{{>layout}}<!-- {{$content}}{{/content}} -->{{$content}}{{/content}}</p></body>'),
	('org_7', 'layout', '<head><title>{{$title}}{{/title}}</title></head><body>{{#a}}<p>{{/a}}{{$content}}{{/content}}</body>'),
	('org_8', 'layout', '{{#is_failed}}<b>{{$content}}{{/content}}</b>{{/is_failed}}{{^is_failed}}{{$content}}{{/content}}{{/is_failed}}'),
	('org_9', 'layout', '{{#is_success}}<b>{{$content}}{{/content}}</b>{{/is_success}}{{#is_failed}}{{$content}}{{/content}}{{/is_failed}}');

-- A template and its partial in one statement.
INSERT INTO rhesis_notify.templates (name, html) VALUES
	('weekly', '{{<branding}}{{$content}}hello{{/content}}{{/branding}}'), ('branding', '<b>{{$content}}{{/content}}</b>');
SELECT html FROM rhesis_notify.render_template('weekly', '{}');
UPDATE rhesis_notify.templates SET html = '{{/b}}' WHERE name = 'branding';

-- If a template cannot be rendered, render_template() raises an error ...
DELETE FROM rhesis_notify.templates WHERE name = 'branding';
SELECT html FROM rhesis_notify.render_template('weekly', '{}');
SELECT html FROM rhesis_notify.render_template('monthly', '{}');
SELECT subject FROM rhesis_notify.render_template('task_completion', '{"status": "success"}');

-- ... and a mail uses another template.
CREATE FUNCTION pg_temp.preview(template text, subject_template text DEFAULT NULL)
RETURNS TABLE (subject text, heading text, reason text) LANGUAGE sql AS $$
	WITH task AS (
		INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, template, subject_template)
		VALUES (concat(template, subject_template), 'run', 'failed', 'john', template, subject_template) RETURNING id)
	SELECT subject, substring(html FROM '<title>.*</title>'), reason FROM task, rhesis_notify.preview(task.id)
$$;
SELECT * FROM pg_temp.preview('weekly');
SELECT * FROM pg_temp.preview('monthly');
SELECT * FROM pg_temp.preview('task_completion', 'Run {run_number}: {status.title()}');
SELECT * FROM pg_temp.preview('task_completion', '{status.swapcase()}');
SELECT * FROM pg_temp.preview('task_completion', '{{#is_failed}}');
SELECT * FROM pg_temp.preview('monthly', '{{no_such_name}}');
SELECT * FROM rhesis_notify.preview(-1);
ROLLBACK;
