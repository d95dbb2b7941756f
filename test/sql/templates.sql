-- What is said to somebody who writes a template that can't work, and what preview() says when something else takes its place.
\set SHOW_CONTEXT never
\set VERBOSITY default
\pset null '-'

BEGIN;
\set ON_ERROR_ROLLBACK on
SET LOCAL rhesis_notify.recipients = 'public.people';
CREATE TABLE public.people (user_id text, email text);
INSERT INTO public.people VALUES ('john', 'john@example.org');

-- Refused when written.
INSERT INTO rhesis_notify.templates (name, html) VALUES ('weekly', E'<h1>{{task_name}}</h1>\n{{#is_failed}}<p>{{error_message}}</p>\n');
INSERT INTO rhesis_notify.templates (name, text) VALUES ('weekly', E'one\ntwo {{task name}}');
INSERT INTO rhesis_notify.templates (name, subject) VALUES ('weekly', 'Done: {{task_name');
INSERT INTO rhesis_notify.templates (name, html) VALUES ('weekly', E'<p>\n{{< branding}}{{$content}}hello{{/content}}{{/branding}}');
INSERT INTO rhesis_notify.templates (name, html) VALUES ('weekly', repeat('x', 1024 * 1024 + 1));

-- A template and its partial in one statement.
INSERT INTO rhesis_notify.templates (name, html) VALUES
	('weekly', '{{<branding}}{{$content}}hello{{/content}}{{/branding}}'), ('branding', '<b>{{$content}}{{/content}}</b>');
SELECT html FROM rhesis_notify.render_template('weekly', '{}');
UPDATE rhesis_notify.templates SET html = '{{/b}}' WHERE name = 'branding';

-- What can't be rendered is an error to who tries it out ...
DELETE FROM rhesis_notify.templates WHERE name = 'branding';
SELECT html FROM rhesis_notify.render_template('weekly', '{}');
SELECT html FROM rhesis_notify.render_template('monthly', '{}');
SELECT subject FROM rhesis_notify.render_template('task_completion', '{"status": "success"}');

-- ... and no hindrance to a mail.
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
