------------------------------------------------------------------------------------------------------------------------
-- Opting in: which tasks are mailed
------------------------------------------------------------------------------------------------------------------------

CREATE TABLE rhesis_notify.shipped_task_types
(
	task_name text PRIMARY KEY,
	template text NOT NULL,
	subject_template text,
	display_name text
);
COMMENT ON TABLE rhesis_notify.shipped_task_types IS
	'The tasks that are mailed by default. Not dumped: email_notification() and silence() write '
	'your own choices to custom_task_types, which replace these rows';
COMMENT ON COLUMN rhesis_notify.shipped_task_types.task_name IS
	'The task''s full name, or the part after its last dot';
COMMENT ON COLUMN rhesis_notify.shipped_task_types.template IS 'The template of its mails';
COMMENT ON COLUMN rhesis_notify.shipped_task_types.subject_template IS 'Subject of its mails; null: the template''s';
COMMENT ON COLUMN rhesis_notify.shipped_task_types.display_name IS
	'The task''s name in its mails; null: the name that it reports';

INSERT INTO rhesis_notify.shipped_task_types (task_name, template, display_name)
VALUES
	('collect_results', 'test_execution_summary', 'Test Execution Summary'),
	('email_notification_test', 'task_completion', 'Email Notification Test');

CREATE TABLE rhesis_notify.custom_task_types
(
	task_name text PRIMARY KEY
		CONSTRAINT task_name_is_not_empty CHECK (task_name <> ''),
	silent boolean NOT NULL DEFAULT false,
	template text,
	subject_template text,
	display_name text,
	CONSTRAINT silent_or_with_a_template CHECK (silent = (template IS NULL))
);
COMMENT ON TABLE rhesis_notify.custom_task_types IS
	'Registrations by email_notification() and silence(). A row replaces that of the same name in '
	'shipped_task_types';
COMMENT ON COLUMN rhesis_notify.custom_task_types.task_name IS
	'The task''s full name, or the part after its last dot';
COMMENT ON COLUMN rhesis_notify.custom_task_types.silent IS
	'True: the task is not mailed, even if it is in shipped_task_types';
COMMENT ON COLUMN rhesis_notify.custom_task_types.template IS 'The template of its mails';
COMMENT ON COLUMN rhesis_notify.custom_task_types.subject_template IS 'Subject of its mails; null: the template''s';
COMMENT ON COLUMN rhesis_notify.custom_task_types.display_name IS
	'The task''s name in its mails; null: the name that it reports';
COMMENT ON CONSTRAINT task_name_is_not_empty ON rhesis_notify.custom_task_types IS
	'Registrations are found by the task''s name';
COMMENT ON CONSTRAINT silent_or_with_a_template ON rhesis_notify.custom_task_types IS
	'A task that is mailed needs a template, and a silent task has none';

SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.custom_task_types', '');

CREATE VIEW rhesis_notify.task_types WITH (security_invoker = true) AS
	SELECT task_name, silent, template, subject_template, display_name, 'registered'::text AS origin
	FROM rhesis_notify.custom_task_types
	UNION ALL
	SELECT shipped.task_name, false, shipped.template, shipped.subject_template, shipped.display_name, 'shipped'
	FROM rhesis_notify.shipped_task_types AS shipped
	WHERE NOT EXISTS
		(SELECT FROM rhesis_notify.custom_task_types AS registered WHERE registered.task_name = shipped.task_name);
COMMENT ON VIEW rhesis_notify.task_types IS
	'Which tasks are mailed, and how. A task is looked up by its full name, else by the part '
	'after its last dot. A row of task_notifications that names a template is mailed in any case';
COMMENT ON COLUMN rhesis_notify.task_types.task_name IS
	'The task''s full name, or the part after its last dot';
COMMENT ON COLUMN rhesis_notify.task_types.silent IS 'True: the task is not mailed';
COMMENT ON COLUMN rhesis_notify.task_types.template IS 'The template of its mails';
COMMENT ON COLUMN rhesis_notify.task_types.subject_template IS 'Subject of its mails; null: the template''s';
COMMENT ON COLUMN rhesis_notify.task_types.display_name IS
	'The task''s name in its mails; null: the name that it reports';
COMMENT ON COLUMN rhesis_notify.task_types.origin IS 'shipped with the extension, or registered here';

CREATE FUNCTION rhesis_notify.email_notification(task_name text, template text DEFAULT 'task_completion',
												 subject_template text DEFAULT NULL, display_name text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF NOT EXISTS (SELECT FROM rhesis_notify.shipped_templates AS shipped
				   WHERE shipped.name OPERATOR(pg_catalog.=) email_notification.template)
		AND NOT EXISTS (SELECT FROM rhesis_notify.templates AS own
						WHERE own.name OPERATOR(pg_catalog.=) email_notification.template)
	THEN
		RAISE EXCEPTION 'template "%" does not exist', email_notification.template
			USING ERRCODE = 'undefined_object',
				HINT = 'Use a shipped template, such as task_completion, or add one to rhesis_notify.templates first.';
	END IF;

	INSERT INTO rhesis_notify.custom_task_types AS registered
		(task_name, silent, template, subject_template, display_name)
	VALUES
		(email_notification.task_name, false, email_notification.template,
		 NULLIF(email_notification.subject_template, ''), NULLIF(email_notification.display_name, ''))
	ON CONFLICT ON CONSTRAINT custom_task_types_pkey DO UPDATE
		SET silent = excluded.silent, template = excluded.template, subject_template = excluded.subject_template,
			display_name = excluded.display_name;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.email_notification(text, text, text, text) IS
	'Registers a task''s full name, or the part after its last dot: from now on every finished '
	'task of that name is mailed. Another call replaces the registration. template must exist '
	'(else undefined_object). subject_template: null or empty means the template''s subject. '
	'display_name is the task''s name in its mails: null or empty means the name that it reports';

CREATE FUNCTION rhesis_notify.silence(task_name text) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	INSERT INTO rhesis_notify.custom_task_types (task_name, silent)
	VALUES (silence.task_name, true)
	ON CONFLICT ON CONSTRAINT custom_task_types_pkey DO UPDATE
		SET silent = true, template = NULL, subject_template = NULL, display_name = NULL;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.silence(text) IS
	'Ends a registration, even a shipped one: from now on finished tasks of that name (a full '
	'name, or the part after the last dot) are skipped (silent_task), unless their row names a '
	'template';
