-- rhesis_notify: every SQL object of the extension.
--
-- The build makes the current version's install script of this file and of templates/. What changes here changes also in the
-- update script from the version before.
-- Whatever a user writes lives in tables that are dumped (pg_extension_config_dump); what we ship lives in tables that are not,
-- and users' rows are laid over it. pg_dump goes by name: custom_task_types and database_pause are called so because they come before the queue,
-- which a worker may find at any moment while a dump is being restored.
-- Nothing is granted to PUBLIC: section "Privileges" at the end takes back what PostgreSQL gives by default.

\echo Use "CREATE EXTENSION rhesis_notify" to load this file. \quit

-- The triggers that leave out what replication brings must not take the rows below for that.
SET LOCAL session_replication_role = origin;

-- The schema is created here, not by the control file: a schema of that name that somebody else has prepared is refused,
-- and DROP EXTENSION leaves nothing behind.
CREATE SCHEMA rhesis_notify;
COMMENT ON SCHEMA rhesis_notify IS 'Mails people when their tasks are done';


------------------------------------------------------------------------------------------------------------------------
-- The library
------------------------------------------------------------------------------------------------------------------------

-- The library that the server has loaded knows these objects, or nothing is done.
DO $do$
BEGIN
	CREATE FUNCTION rhesis_notify.require_library(version text) RETURNS void
	LANGUAGE c STRICT
	AS 'MODULE_PATHNAME', 'rhesis_notify_require_library';
EXCEPTION WHEN undefined_function THEN
	RAISE EXCEPTION 'the library of rhesis_notify that the server has loaded is older than version 1.2 of its objects'
		USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Restart the server, so that it loads the one that is installed.';
END
$do$;
SELECT rhesis_notify.require_library('1.2');
DROP FUNCTION rhesis_notify.require_library(text);


------------------------------------------------------------------------------------------------------------------------
-- Waking the workers
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION rhesis_notify.wake_workers() RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'rhesis_notify_wake_workers';
COMMENT ON FUNCTION rhesis_notify.wake_workers() IS
	'Wakes this database''s workers when the current transaction commits, and has them try at once what they wait for: a mail server '
	'that is left alone, recipients that cannot be read. It is tried again some seconds later when that is called often. An insert '
	'into task_notifications wakes those that could send its mail';

CREATE FUNCTION rhesis_notify.wake_trigger() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'rhesis_notify_wake_trigger';
COMMENT ON FUNCTION rhesis_notify.wake_trigger() IS
	'Trigger function: wakes this database''s workers when the current transaction commits';


------------------------------------------------------------------------------------------------------------------------
-- The queue: one row per finished task
------------------------------------------------------------------------------------------------------------------------

CREATE TYPE rhesis_notify.delivery_state AS ENUM
	('pending', 'sending', 'deferred', 'held', 'sent', 'failed', 'skipped', 'cancelled');
COMMENT ON TYPE rhesis_notify.delivery_state IS
	'pending: waiting for a worker; sending: claimed by a worker, on its way; deferred: a temporary failure, due again at '
	'next_attempt_at; held: stands still until retry() or cancel(); sent: accepted by the SMTP server; failed: given up, '
	'since it was refused, its attempts are used up or it cannot be rendered; skipped: no mail is owed, the reason says '
	'why; cancelled: stopped by cancel(), or in a copy by adopt_database()';

CREATE TABLE rhesis_notify.task_notifications
(
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- What the task writes. Its id is no word of a language, and compared byte by byte its index costs less.
	task_id text COLLATE "C" NOT NULL UNIQUE
		CONSTRAINT task_id_has_1_to_500_characters CHECK (pg_catalog.length(task_id) BETWEEN 1 AND 500),
	task_name text NOT NULL
		CONSTRAINT task_name_has_1_to_100000_characters CHECK (pg_catalog.length(task_name) BETWEEN 1 AND 100000),
	status text NOT NULL
		CONSTRAINT status_is_success_or_failed CHECK (status IN ('success', 'failed')),
	-- No key, name or subject is longer; a row must not be able to fill the worker's memory.
	user_id text
		CONSTRAINT user_id_has_at_most_100000_characters CHECK (pg_catalog.length(user_id) <= 100000),
	organization_id text
		CONSTRAINT organization_id_has_at_most_100000_characters CHECK (pg_catalog.length(organization_id) <= 100000),
	template text
		CONSTRAINT template_has_at_most_100000_characters CHECK (pg_catalog.length(template) <= 100000),
	subject_template text
		CONSTRAINT subject_template_has_at_most_100000_characters CHECK (pg_catalog.length(subject_template) <= 100000),
	result jsonb
		CONSTRAINT result_is_an_object CHECK (pg_catalog.jsonb_typeof(result) = 'object'),
	error_message text,
	started_at timestamptz,
	completed_at timestamptz DEFAULT pg_catalog.now(),
	-- What the database and the worker write.
	created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
	delivery_status rhesis_notify.delivery_state NOT NULL DEFAULT 'pending',
	delivery_reason text,
	attempts integer NOT NULL DEFAULT 0
		CONSTRAINT attempts_are_not_negative CHECK (attempts >= 0),
	next_attempt_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
	claimed_by bigint,
	recipient_email text,
	message_id text,
	smtp_reply text,
	finished_at timestamptz,
	CONSTRAINT claimed_while_sending CHECK ((claimed_by IS NOT NULL) = (delivery_status = 'sending')),
	CONSTRAINT finished_in_a_final_state CHECK
		((finished_at IS NOT NULL) = (delivery_status IN ('sent', 'failed', 'skipped', 'cancelled')))
)
-- Vacuum follows a queue closely and finishes soon, but it reads the indexes of all that is kept: with a long history it waits for a
-- tenth of that. The claim does not wait for it. Half of each page is kept for the new versions of its rows: a claim writes to no index.
WITH (
	autovacuum_vacuum_threshold = 1000,
	autovacuum_vacuum_insert_threshold = 10000,
	autovacuum_analyze_threshold = 1000,
	autovacuum_analyze_scale_factor = 0.05,
	autovacuum_vacuum_cost_delay = 0,
	autovacuum_vacuum_scale_factor = 0.1,
	autovacuum_vacuum_insert_scale_factor = 0.1,
	fillfactor = 50
);

COMMENT ON TABLE rhesis_notify.task_notifications IS
	'One row per finished task: written by the task in its own transaction, mailed by the worker after its commit';
COMMENT ON COLUMN rhesis_notify.task_notifications.id IS 'Given by the database';
COMMENT ON COLUMN rhesis_notify.task_notifications.task_id IS
	'The task''s id. Unique: a task that reports twice is mailed once';
COMMENT ON COLUMN rhesis_notify.task_notifications.task_name IS
	'The task''s registered name, such as rhesis.backend.tasks.execution.results.collect_results';
COMMENT ON COLUMN rhesis_notify.task_notifications.status IS
	'The task''s final outcome: success or failed. A task that will be retried writes nothing';
COMMENT ON COLUMN rhesis_notify.task_notifications.user_id IS
	'Who submitted the task, as text whatever type the app''s key has. Null or empty: nobody, so no mail';
COMMENT ON COLUMN rhesis_notify.task_notifications.organization_id IS 'The tenant';
COMMENT ON COLUMN rhesis_notify.task_notifications.template IS
	'Which template to use; setting it opts this task in. Null or empty: the registration of the task''s name decides';
COMMENT ON COLUMN rhesis_notify.task_notifications.subject_template IS
	'Subject for this mail; null or empty: the registration''s, else the template''s';
COMMENT ON COLUMN rhesis_notify.task_notifications.result IS
	'What the task returned, an object: further variables for the template. Read up to 1 MB';
COMMENT ON COLUMN rhesis_notify.task_notifications.error_message IS
	'Why a failed task failed. Any size; a mail shows its beginning';
COMMENT ON COLUMN rhesis_notify.task_notifications.started_at IS
	'When the task began; with completed_at it gives the execution time';
COMMENT ON COLUMN rhesis_notify.task_notifications.completed_at IS 'When the task ended';
COMMENT ON COLUMN rhesis_notify.task_notifications.created_at IS
	'When the row was written; rhesis_notify.expire_after counts from here';
COMMENT ON COLUMN rhesis_notify.task_notifications.delivery_status IS 'Where the mail is, see type delivery_state';
COMMENT ON COLUMN rhesis_notify.task_notifications.delivery_reason IS
	'Why it was deferred, held, failed, skipped or, in a copy, cancelled: a code, such as silent_task or smtp_permanent; null while '
	'pending and once sent';
COMMENT ON COLUMN rhesis_notify.task_notifications.attempts IS
	'SMTP attempts made for this message; retry() starts again from 0';
COMMENT ON COLUMN rhesis_notify.task_notifications.next_attempt_at IS 'When the mail is due, or was due last';
COMMENT ON COLUMN rhesis_notify.task_notifications.claimed_by IS
	'The epoch of the worker that holds the row while it is sending';
COMMENT ON COLUMN rhesis_notify.task_notifications.recipient_email IS 'The address used, as it was when the mail was sent';
COMMENT ON COLUMN rhesis_notify.task_notifications.message_id IS 'The mail''s Message-ID: the same on every attempt';
COMMENT ON COLUMN rhesis_notify.task_notifications.smtp_reply IS
	'The SMTP server''s last reply, printable and cut at 1,000 characters';
COMMENT ON COLUMN rhesis_notify.task_notifications.finished_at IS
	'When the state became final; rhesis_notify.retention counts from here';
COMMENT ON CONSTRAINT task_id_has_1_to_500_characters ON rhesis_notify.task_notifications IS 'The index has to hold it';
COMMENT ON CONSTRAINT task_name_has_1_to_100000_characters ON rhesis_notify.task_notifications IS 'Registrations are found by it';
COMMENT ON CONSTRAINT user_id_has_at_most_100000_characters ON rhesis_notify.task_notifications IS
	'A row must not be able to fill the worker''s memory';
COMMENT ON CONSTRAINT organization_id_has_at_most_100000_characters ON rhesis_notify.task_notifications IS
	'A row must not be able to fill the worker''s memory';
COMMENT ON CONSTRAINT template_has_at_most_100000_characters ON rhesis_notify.task_notifications IS
	'A row must not be able to fill the worker''s memory';
COMMENT ON CONSTRAINT subject_template_has_at_most_100000_characters ON rhesis_notify.task_notifications IS
	'A row must not be able to fill the worker''s memory';
COMMENT ON CONSTRAINT status_is_success_or_failed ON rhesis_notify.task_notifications IS 'Only final outcomes are reported';
COMMENT ON CONSTRAINT result_is_an_object ON rhesis_notify.task_notifications IS 'Its keys become template variables';
COMMENT ON CONSTRAINT attempts_are_not_negative ON rhesis_notify.task_notifications IS 'They are counted up from 0';
COMMENT ON CONSTRAINT claimed_while_sending ON rhesis_notify.task_notifications IS
	'A row that is being sent names the worker that answers for it; no other row does';
COMMENT ON CONSTRAINT finished_in_a_final_state ON rhesis_notify.task_notifications IS
	'A final state has its time, so that retention finds it; no other state does';

-- The claim reads the head of this index and nothing else; its condition is repeated in src/queue/queue_internal.h. No index knows whether a
-- row waits or is being sent, so that a claim changes none (it is a HOT update).
CREATE INDEX task_notifications_due ON rhesis_notify.task_notifications (next_attempt_at, id)
	WHERE finished_at IS NULL;
COMMENT ON INDEX rhesis_notify.task_notifications_due IS 'What is not finished, in the order in which it is worked off';

CREATE INDEX task_notifications_finished ON rhesis_notify.task_notifications (finished_at)
	WHERE finished_at IS NOT NULL;
COMMENT ON INDEX rhesis_notify.task_notifications_finished IS 'Finds what retention removes';

CREATE TRIGGER wake_workers AFTER INSERT ON rhesis_notify.task_notifications
	FOR EACH STATEMENT EXECUTE FUNCTION rhesis_notify.wake_trigger();
COMMENT ON TRIGGER wake_workers ON rhesis_notify.task_notifications IS
	'Costs the task nothing but a flag; the workers wake when its transaction commits';

SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.task_notifications', '');
SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.task_notifications_id_seq', '');
COMMENT ON SEQUENCE rhesis_notify.task_notifications_id_seq IS 'Numbers task_notifications';


CREATE TABLE rhesis_notify.delivery_events
(
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	notification_id bigint NOT NULL REFERENCES rhesis_notify.task_notifications ON DELETE CASCADE,
	occurred_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	event text NOT NULL,
	smtp_code integer,
	enhanced_code text,
	reply text,
	detail jsonb
);
COMMENT ON TABLE rhesis_notify.delivery_events IS
	'What happened on the way: each attempt that did not succeed, and what else an operator should know. Rows are only added, and '
	'leave with their notification. A successful send has no row: the notification says it all';
COMMENT ON COLUMN rhesis_notify.delivery_events.id IS 'Given by the database';
COMMENT ON COLUMN rhesis_notify.delivery_events.notification_id IS 'The row of task_notifications';
COMMENT ON COLUMN rhesis_notify.delivery_events.occurred_at IS 'When it happened';
COMMENT ON COLUMN rhesis_notify.delivery_events.event IS
	'deferred: an attempt that is to be repeated; failed: an attempt after which the mail was given up; in_doubt: the SMTP '
	'server may or may not have accepted the mail; template_fallback: a template or subject could not be used and '
	'another one was; result_cut: the result is too large to be read whole; retried: somebody called retry(); cancelled: somebody called cancel(), or in a copy adopt_database()';
COMMENT ON COLUMN rhesis_notify.delivery_events.smtp_code IS 'The server''s reply code, such as 451';
COMMENT ON COLUMN rhesis_notify.delivery_events.enhanced_code IS 'The server''s enhanced status code, such as 4.7.1';
COMMENT ON COLUMN rhesis_notify.delivery_events.reply IS 'The server''s reply, printable and cut at 1,000 characters';
COMMENT ON COLUMN rhesis_notify.delivery_events.detail IS 'An object; its message says what happened in words';

CREATE INDEX delivery_events_notification ON rhesis_notify.delivery_events (notification_id);
COMMENT ON INDEX rhesis_notify.delivery_events_notification IS 'The events of one notification';

CREATE INDEX delivery_events_in_doubt ON rhesis_notify.delivery_events (notification_id) WHERE event = 'in_doubt';
COMMENT ON INDEX rhesis_notify.delivery_events_in_doubt IS 'Finds what may be held: only what was in doubt is';

SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.delivery_events', '');
SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.delivery_events_id_seq', '');
COMMENT ON SEQUENCE rhesis_notify.delivery_events_id_seq IS 'Numbers delivery_events';


CREATE SEQUENCE rhesis_notify.worker_epoch;
COMMENT ON SEQUENCE rhesis_notify.worker_epoch IS
	'Numbers workers, one number for each start of one. It begins with the microsecond at which the extension was created and is '
	'not dumped, so that the rows of a restored dump never name a worker of the new database';
SELECT pg_catalog.setval('rhesis_notify.worker_epoch',
						 (EXTRACT(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint);


CREATE FUNCTION rhesis_notify.task_completed(task_id text, task_name text, status text, user_id text DEFAULT NULL,
											 organization_id text DEFAULT NULL, result jsonb DEFAULT NULL,
											 error_message text DEFAULT NULL, started_at timestamptz DEFAULT NULL,
											 completed_at timestamptz DEFAULT NULL, template text DEFAULT NULL,
											 subject_template text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	refused_by text;
BEGIN
	-- Neither a conflict target nor RETURNING: both would ask the policy for reading, which hides the rows of every
	-- organization while the tenant setting is not set.
	INSERT INTO rhesis_notify.task_notifications
		(task_id, task_name, status, user_id, organization_id, template, subject_template, result, error_message, started_at,
		 completed_at)
	VALUES
		(task_completed.task_id, task_completed.task_name, task_completed.status, task_completed.user_id,
		 task_completed.organization_id, task_completed.template, task_completed.subject_template, task_completed.result,
		 task_completed.error_message, task_completed.started_at,
		 COALESCE(task_completed.completed_at, pg_catalog.now()))
	ON CONFLICT DO NOTHING;

	-- Any unique index can do that, also that of the id. Once more, to learn which: it costs a subtransaction, and happens seldom.
	IF NOT FOUND THEN
		BEGIN
			INSERT INTO rhesis_notify.task_notifications
				(task_id, task_name, status, user_id, organization_id, template, subject_template, result, error_message,
				 started_at, completed_at)
			VALUES
				(task_completed.task_id, task_completed.task_name, task_completed.status, task_completed.user_id,
				 task_completed.organization_id, task_completed.template, task_completed.subject_template,
				 task_completed.result, task_completed.error_message, task_completed.started_at,
				 COALESCE(task_completed.completed_at, pg_catalog.now()));
		EXCEPTION WHEN unique_violation THEN
			GET STACKED DIAGNOSTICS refused_by = CONSTRAINT_NAME;
			IF refused_by OPERATOR(pg_catalog.=) 'task_notifications_task_id_key' THEN
				RETURN NULL;
			END IF;
			IF refused_by OPERATOR(pg_catalog.=) 'task_notifications_pkey' THEN
				RAISE EXCEPTION 'the ids of rhesis_notify.task_notifications are used up to beyond its sequence'
					USING ERRCODE = 'object_not_in_prerequisite_state',
						DETAIL = 'The task was not reported. Logical replication copies rows, but not the state of a sequence.',
						HINT = 'SELECT pg_catalog.setval(''rhesis_notify.task_notifications_id_seq'', '
							'(SELECT pg_catalog.max(id) FROM rhesis_notify.task_notifications));';
			END IF;
			RAISE;
		END;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'a trigger or a rule of table "task_notifications" suppresses the insert'
				USING ERRCODE = 'triggered_action_exception',
					DETAIL = 'The task was not reported.',
					HINT = 'Look for triggers and rules that were added to rhesis_notify.task_notifications. Without them, begin a new session.';
		END IF;
	END IF;
	RETURN pg_catalog.currval('rhesis_notify.task_notifications_id_seq');
END
$function$;
COMMENT ON FUNCTION rhesis_notify.task_completed(text, text, text, text, text, jsonb, text, timestamptz, timestamptz, text, text) IS
	'Reports a finished task, in the transaction of its last write: inserts into task_notifications and returns the new id, '
	'or null when a task of this task_id has reported before. The arguments are the columns of that name; completed_at is '
	'now() where none is given. What the table refuses, such as a status that is neither success nor failed, is its error '
	'(check_violation). An id that the sequence gives a second time is an error too (object_not_in_prerequisite_state), and so is a '
	'trigger or a rule of yours that suppresses the row (triggered_action_exception)';


------------------------------------------------------------------------------------------------------------------------
-- Templates
------------------------------------------------------------------------------------------------------------------------

CREATE TABLE rhesis_notify.shipped_templates
(
	name text PRIMARY KEY,
	subject text,
	html text,
	text text
);
COMMENT ON TABLE rhesis_notify.shipped_templates IS
	'The templates that come with the extension. Not dumped: to change one, add a row to templates';
COMMENT ON COLUMN rhesis_notify.shipped_templates.name IS
	'What task_notifications.template, a registration or a partial tag names';
COMMENT ON COLUMN rhesis_notify.shipped_templates.subject IS 'Mustache template of the subject; null for a partial';
COMMENT ON COLUMN rhesis_notify.shipped_templates.html IS 'Mustache template of the HTML part';
COMMENT ON COLUMN rhesis_notify.shipped_templates.text IS 'Mustache template of the plain-text part';

CREATE TABLE rhesis_notify.templates
(
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	organization_id text,
	name text NOT NULL
		CONSTRAINT name_is_not_empty CHECK (name <> ''),
	subject text,
	html text,
	text text,
	CONSTRAINT templates_organization_and_name UNIQUE NULLS NOT DISTINCT (organization_id, name),
	CONSTRAINT a_part_is_given CHECK (pg_catalog.num_nonnulls(subject, html, text) > 0)
);
COMMENT ON TABLE rhesis_notify.templates IS
	'Templates of your own, laid over the shipped ones part by part: the organization''s first, then everybody''s, then the shipped '
	'one. A partial such as layout is replaced in the same way';
COMMENT ON COLUMN rhesis_notify.templates.id IS 'Given by the database';
COMMENT ON COLUMN rhesis_notify.templates.organization_id IS 'For this organization alone; null: for everybody';
COMMENT ON COLUMN rhesis_notify.templates.name IS 'What task_notifications.template, a registration or a partial tag names';
COMMENT ON COLUMN rhesis_notify.templates.subject IS 'Mustache template of the subject; null: the next one''s';
COMMENT ON COLUMN rhesis_notify.templates.html IS 'Mustache template of the HTML part; null: the next one''s';
COMMENT ON COLUMN rhesis_notify.templates.text IS 'Mustache template of the plain-text part; null: the next one''s';
COMMENT ON CONSTRAINT templates_organization_and_name ON rhesis_notify.templates IS
	'One row for a template and an organization, or for everybody';
COMMENT ON CONSTRAINT name_is_not_empty ON rhesis_notify.templates IS 'Templates are found by name';
COMMENT ON CONSTRAINT a_part_is_given ON rhesis_notify.templates IS 'A row without any part would change nothing';

SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.templates', '');
SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.templates_id_seq', '');
COMMENT ON SEQUENCE rhesis_notify.templates_id_seq IS 'Numbers templates';

CREATE FUNCTION rhesis_notify.check_template() RETURNS trigger
LANGUAGE c
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_check_template';
COMMENT ON FUNCTION rhesis_notify.check_template() IS
	'Trigger: refuses a template that cannot be parsed or names a partial that does not exist';

CREATE FUNCTION rhesis_notify.templates_changed() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'rhesis_notify_templates_changed';
COMMENT ON FUNCTION rhesis_notify.templates_changed() IS
	'Trigger: makes every session let go of the parsed templates that it keeps';

-- After the statement, so that a template and its partial may come in one.
CREATE TRIGGER check_template AFTER INSERT OR UPDATE ON rhesis_notify.templates
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.check_template();
COMMENT ON TRIGGER check_template ON rhesis_notify.templates IS 'A template that cannot work is refused when it is written';

-- ALWAYS: what a replica's apply worker writes must not be missed either.
CREATE TRIGGER templates_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON rhesis_notify.templates
	FOR EACH STATEMENT EXECUTE FUNCTION rhesis_notify.templates_changed();
ALTER TABLE rhesis_notify.templates ENABLE ALWAYS TRIGGER templates_changed;
COMMENT ON TRIGGER templates_changed ON rhesis_notify.templates IS
	'Parsed templates are kept until this says that they changed';

CREATE TRIGGER templates_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON rhesis_notify.shipped_templates
	FOR EACH STATEMENT EXECUTE FUNCTION rhesis_notify.templates_changed();
ALTER TABLE rhesis_notify.shipped_templates ENABLE ALWAYS TRIGGER templates_changed;
COMMENT ON TRIGGER templates_changed ON rhesis_notify.shipped_templates IS
	'Parsed templates are kept until this says that they changed';


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
	'The tasks that are mailed from the start. Not dumped: email_notification() and silence() lay your own choice over it';
COMMENT ON COLUMN rhesis_notify.shipped_task_types.task_name IS 'The task''s full name, or its last part after a dot';
COMMENT ON COLUMN rhesis_notify.shipped_task_types.template IS 'The template of its mails';
COMMENT ON COLUMN rhesis_notify.shipped_task_types.subject_template IS 'Subject of its mails; null: the template''s';
COMMENT ON COLUMN rhesis_notify.shipped_task_types.display_name IS 'What its mails call it; null: the task''s name';

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
	'What email_notification() and silence() have written, laid over shipped_task_types';
COMMENT ON COLUMN rhesis_notify.custom_task_types.task_name IS 'The task''s full name, or its last part after a dot';
COMMENT ON COLUMN rhesis_notify.custom_task_types.silent IS 'Not mailed, whatever is shipped';
COMMENT ON COLUMN rhesis_notify.custom_task_types.template IS 'The template of its mails';
COMMENT ON COLUMN rhesis_notify.custom_task_types.subject_template IS 'Subject of its mails; null: the template''s';
COMMENT ON COLUMN rhesis_notify.custom_task_types.display_name IS 'What its mails call it; null: the task''s name';
COMMENT ON CONSTRAINT task_name_is_not_empty ON rhesis_notify.custom_task_types IS 'Registrations are found by it';
COMMENT ON CONSTRAINT silent_or_with_a_template ON rhesis_notify.custom_task_types IS
	'A task that is mailed needs a template, one that is not needs none';

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
	'Which tasks are mailed, and how. A task is looked up by its full name, then by the last part of it after a dot; a row of '
	'task_notifications with a template of its own is mailed in any case';
COMMENT ON COLUMN rhesis_notify.task_types.task_name IS 'The task''s full name, or its last part after a dot';
COMMENT ON COLUMN rhesis_notify.task_types.silent IS 'Not mailed';
COMMENT ON COLUMN rhesis_notify.task_types.template IS 'The template of its mails';
COMMENT ON COLUMN rhesis_notify.task_types.subject_template IS 'Subject of its mails; null: the template''s';
COMMENT ON COLUMN rhesis_notify.task_types.display_name IS 'What its mails call it; null: the task''s name';
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
	'Registers a task''s name, in full or its last part after a dot: from now on every finished task of that name is '
	'mailed. Registering it again replaces that. template has to exist (else undefined_object); subject_template, null or '
	'empty: the template''s subject; display_name, what its mails call it, null or empty: the task''s name';

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
	'Takes a registration back, a shipped one too: from now on finished tasks of that name, in full or its last part after '
	'a dot, are skipped (silent_task), unless their row names a template';


------------------------------------------------------------------------------------------------------------------------
-- Mustache, rendering, preview
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION rhesis_notify.mustache(template text, variables jsonb, partials jsonb DEFAULT '{}',
									   escape_html boolean DEFAULT true)
RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'rhesis_notify_mustache';
COMMENT ON FUNCTION rhesis_notify.mustache(text, jsonb, jsonb, boolean) IS
	'Renders a Mustache template (spec 1.4 with inheritance, without lambdas). variables is an object; partials is an '
	'object of names and templates; escape_html false leaves {{name}} as it is. Null when an argument is null. What cannot '
	'be parsed or rendered is an error that names the line and the tag';

CREATE FUNCTION rhesis_notify.render_template(name text, variables jsonb, organization_id text DEFAULT NULL,
											  OUT subject text, OUT html text, OUT text text)
LANGUAGE c
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_render_template';
COMMENT ON FUNCTION rhesis_notify.render_template(text, jsonb, text) IS
	'A template as an organization''s mail shows it (null: as everybody''s), with variables of your own. from_name, frontend_url, '
	'result_url and what follows from status are added where you give none. What is wrong with the template is an error';

CREATE FUNCTION rhesis_notify.preview(notification_id bigint, OUT subject text, OUT html text, OUT text text,
									  OUT recipient_email text, OUT reason text)
LANGUAGE c STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_preview';
COMMENT ON FUNCTION rhesis_notify.preview(bigint) IS
	'The mail of a notification, as it would be sent now; nothing is sent. Where no mail is owed, or none can be rendered, '
	'reason says why. notification_id is the id in task_notifications (else no_data_found)';

CREATE FUNCTION rhesis_notify.preview_message(notification_id bigint) RETURNS text
LANGUAGE c STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_preview_message';
COMMENT ON FUNCTION rhesis_notify.preview_message(bigint) IS
	'The mail of a notification byte by byte, as the SMTP server would get it now (before dots are doubled); nothing is sent. Null, '
	'with a notice that says why, where no mail is owed or none can be composed';

CREATE FUNCTION rhesis_notify.render_diff(name text, html text DEFAULT NULL, text text DEFAULT NULL,
										  subject text DEFAULT NULL, last integer DEFAULT 1000,
										  organization_id text DEFAULT NULL)
RETURNS TABLE (notification_id bigint, what text, detail text, current_subject text, proposed_subject text)
LANGUAGE c
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_render_diff';
COMMENT ON FUNCTION rhesis_notify.render_diff(text, text, text, text, integer, text) IS
	'What a change of a template would do: renders the last notifications of that template (of a partial, which is a template '
	'without a subject, of any) as they are now and as if this row were in templates, null parts as they are. One row for each '
	'mail that would not be the same: it fails, loses variable (one that has a value), or differs';

CREATE FUNCTION rhesis_notify.template_variables(name text, organization_id text DEFAULT NULL)
RETURNS TABLE (variable text, used_as text, part text, template text, line integer, description text, example text)
LANGUAGE c
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_template_variables';
COMMENT ON FUNCTION rhesis_notify.template_variables(text, text) IS
	'What a template uses, its partials included: a row for each name, with how (variable, section, partial), in which part, and '
	'where first; then the variables that it could use and does not. A name without a description is a key of the task''s result, '
	'or of something in it. organization_id: as that organization''s mails use it';


------------------------------------------------------------------------------------------------------------------------
-- Sending a mail now, testing the server
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION rhesis_notify.email_notification_test(message text DEFAULT 'This is a test of email notifications.',
													  user_id text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	organization text;
	recipient text := COALESCE(NULLIF(email_notification_test.user_id, ''),
							   NULLIF(pg_catalog.current_setting('app.current_user', true), ''));
	notification_id bigint;
BEGIN
	IF recipient IS NULL THEN
		RAISE EXCEPTION 'there is nobody to mail'
			USING ERRCODE = 'null_value_not_allowed',
				DETAIL = 'No user id was given, and the setting app.current_user is not set in this session.',
				HINT = 'Name a user: SELECT rhesis_notify.email_notification_test(user_id => ''...'').';
	END IF;

	-- Without the library in the server, nobody would mail it: then this is an error that says what to do.
	PERFORM FROM rhesis_notify.worker_slots();
	organization := NULLIF(pg_catalog.current_setting(
		NULLIF(pg_catalog.current_setting('rhesis_notify.organization_setting'), ''), true), '');

	INSERT INTO rhesis_notify.task_notifications
		(task_id, task_name, status, user_id, organization_id, result, started_at, completed_at)
	VALUES
		(pg_catalog.concat('email-notification-test-', pg_catalog.gen_random_uuid()), 'email_notification_test', 'success',
		 recipient, organization, pg_catalog.jsonb_build_object('message', message), pg_catalog.now(), pg_catalog.now())
	RETURNING id INTO notification_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'a trigger or a rule of table "task_notifications" suppresses the insert'
			USING ERRCODE = 'triggered_action_exception',
				HINT = 'Look for triggers and rules that were added to rhesis_notify.task_notifications.';
	END IF;
	RETURN notification_id;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.email_notification_test(text, text) IS
	'Queues a test mail and returns the notification''s id. It goes to the user given, else to the one in the setting '
	'app.current_user, in the session''s organization; the message is the template''s variable of that name';


------------------------------------------------------------------------------------------------------------------------
-- An operator's hand
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION rhesis_notify.skip_used_event_ids() RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	PERFORM pg_catalog.setval('rhesis_notify.delivery_events_id_seq', last.id)
	FROM (SELECT e.id FROM rhesis_notify.delivery_events AS e ORDER BY e.id DESC LIMIT 1) AS last
	CROSS JOIN rhesis_notify.delivery_events_id_seq AS s
	WHERE last.id OPERATOR(pg_catalog.>)
		CASE WHEN s.is_called THEN s.last_value ELSE s.last_value OPERATOR(pg_catalog.-) 1 END;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.skip_used_event_ids() IS
	'Where the sequence of delivery_events.id is behind the rows, as after logical replication, has it go on behind them. '
	'retry(), cancel() and adopt_database() call it, so that what they do has its events';

CREATE FUNCTION rhesis_notify.retry(id bigint) RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	expire_after interval;
	notification record;
BEGIN
	-- Without the library in the server, nobody would mail it: then this is an error that says what to do.
	PERFORM FROM rhesis_notify.worker_slots();
	expire_after := pg_catalog.current_setting('rhesis_notify.expire_after')::interval;

	SELECT n.delivery_status, n.delivery_reason, n.attempts, n.created_at INTO notification
	FROM rhesis_notify.task_notifications AS n
	WHERE n.id OPERATOR(pg_catalog.=) retry.id
	FOR NO KEY UPDATE;

	IF NOT FOUND THEN
		RAISE EXCEPTION 'notification % does not exist', retry.id USING ERRCODE = 'no_data_found';
	END IF;
	IF notification.delivery_status::text OPERATOR(pg_catalog.=) ANY ('{pending,sending,sent}'::text[]) THEN
		RAISE NOTICE 'notification % is not retried: it is %', retry.id, notification.delivery_status;
		RETURN false;
	END IF;
	IF expire_after OPERATOR(pg_catalog.>) '0'::interval
		AND notification.created_at OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) expire_after)
	THEN
		RAISE NOTICE 'notification % is not retried: it is older than rhesis_notify.expire_after (%)', retry.id, expire_after;
		RETURN false;
	END IF;

	UPDATE rhesis_notify.task_notifications AS n
	SET delivery_status = 'pending', delivery_reason = NULL, attempts = 0, next_attempt_at = pg_catalog.now(),
		finished_at = NULL
	WHERE n.id OPERATOR(pg_catalog.=) retry.id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'notification % is not retried: the table refuses the update', retry.id
			USING ERRCODE = 'triggered_action_exception',
				HINT = 'A trigger or a rule that was added to rhesis_notify.task_notifications suppresses it.';
	END IF;

	PERFORM rhesis_notify.skip_used_event_ids();
	INSERT INTO rhesis_notify.delivery_events (notification_id, event, detail)
	VALUES (retry.id, 'retried', pg_catalog.jsonb_build_object(
		'message', pg_catalog.format('was %s; attempts: %s', pg_catalog.concat_ws(', ',
			notification.delivery_status, notification.delivery_reason), notification.attempts),
		'by', SESSION_USER));

	PERFORM rhesis_notify.wake_workers();
	RETURN true;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.retry(bigint) IS
	'Makes a notification due at once, with all its attempts before it: one that is held, deferred, failed, skipped or cancelled. '
	'A mail server that is left alone is tried at once, with one mail (again some seconds later when this is called '
	'often). False, with a notice, when it is pending, sending, sent or older than rhesis_notify.expire_after. id is '
	'that of task_notifications (else no_data_found)';

CREATE FUNCTION rhesis_notify.retry_all(since timestamptz, state rhesis_notify.delivery_state) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	expire_after interval;
	retried bigint := 0;
	finished_id bigint;
BEGIN
	IF state IS NULL OR state::text OPERATOR(pg_catalog.<>) ALL ('{failed,skipped,cancelled}'::text[]) THEN
		RAISE EXCEPTION 'notifications that are % cannot be retried all together', COALESCE(state::text, 'null')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Use ''failed'', ''skipped'' or ''cancelled''.';
	END IF;
	-- Without the library in the server, nobody would mail it: then this is an error that says what to do.
	PERFORM FROM rhesis_notify.worker_slots();
	expire_after := pg_catalog.current_setting('rhesis_notify.expire_after')::interval;

	FOR finished_id IN
		SELECT n.id FROM rhesis_notify.task_notifications AS n
		WHERE pg_catalog.enum_eq(n.delivery_status, retry_all.state)
			AND n.finished_at OPERATOR(pg_catalog.>=) since
			AND (expire_after OPERATOR(pg_catalog.=) '0'::interval
				 OR n.created_at OPERATOR(pg_catalog.>=) (pg_catalog.now() OPERATOR(pg_catalog.-) expire_after))
		ORDER BY n.id
	LOOP
		IF rhesis_notify.retry(finished_id) THEN
			retried := retried OPERATOR(pg_catalog.+) 1;
		END IF;
	END LOOP;
	RETURN retried;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.retry_all(timestamptz, rhesis_notify.delivery_state) IS
	'Retries the notifications that have become failed, skipped or cancelled since the given time, but for those older than '
	'rhesis_notify.expire_after; returns how many. Any other state is an error (invalid_parameter_value)';

CREATE FUNCTION rhesis_notify.retry_failed(since timestamptz) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	RETURN rhesis_notify.retry_all(since, 'failed');
END
$function$;
COMMENT ON FUNCTION rhesis_notify.retry_failed(timestamptz) IS
	'Retries the notifications that have failed since the given time, but for those older than rhesis_notify.expire_after; returns '
	'how many';

CREATE FUNCTION rhesis_notify.cancel(id bigint) RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	state rhesis_notify.delivery_state;
BEGIN
	SELECT n.delivery_status INTO state
	FROM rhesis_notify.task_notifications AS n
	WHERE n.id OPERATOR(pg_catalog.=) cancel.id
	FOR NO KEY UPDATE;

	IF NOT FOUND THEN
		RAISE EXCEPTION 'notification % does not exist', cancel.id USING ERRCODE = 'no_data_found';
	END IF;
	IF state::text OPERATOR(pg_catalog.<>) ALL ('{pending,deferred,held}'::text[]) THEN
		RAISE NOTICE 'notification % is not cancelled: it is %', cancel.id, state;
		RETURN false;
	END IF;

	UPDATE rhesis_notify.task_notifications AS n
	SET delivery_status = 'cancelled', finished_at = pg_catalog.clock_timestamp()
	WHERE n.id OPERATOR(pg_catalog.=) cancel.id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'notification % is not cancelled: the table refuses the update', cancel.id
			USING ERRCODE = 'triggered_action_exception',
				HINT = 'A trigger or a rule that was added to rhesis_notify.task_notifications suppresses it.';
	END IF;

	PERFORM rhesis_notify.skip_used_event_ids();
	INSERT INTO rhesis_notify.delivery_events (notification_id, event, detail)
	VALUES (cancel.id, 'cancelled', pg_catalog.jsonb_build_object(
		'message', pg_catalog.format('was %s', state), 'by', SESSION_USER));
	RETURN true;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.cancel(bigint) IS
	'Stops a notification that is pending, deferred or held: when it says true, no mail of it goes out. False, with a '
	'notice, when it is sending or already finished. id is that of task_notifications (else no_data_found)';

CREATE FUNCTION rhesis_notify.purge(older_than interval) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	role text := pg_catalog.current_setting('session_replication_role');
	done boolean := false;
	before timestamptz := pg_catalog.now() OPERATOR(pg_catalog.-) older_than;
	removed bigint := 0;
	removed_now bigint;
	batch integer := 1024;
	ids bigint[];
	times timestamptz[];
	deferred text;
	place_time timestamptz := '-infinity';
	place_id bigint := -9223372036854775808;
	kept bigint := 0;
	first_kept bigint;
	problem_state text;
	problem text;
	state text;
	message text;
BEGIN
	-- Foreign keys do not act in a replica's session.
	PERFORM pg_catalog.set_config('session_replication_role', 'origin', true) WHERE role OPERATOR(pg_catalog.=) 'replica';

	-- At the commit, a constraint would refuse all of it.
	SELECT 'SET CONSTRAINTS ' OPERATOR(pg_catalog.||)
		pg_catalog.string_agg(pg_catalog.format('%I.%I', s.nspname, c.conname), ', ') OPERATOR(pg_catalog.||) ' IMMEDIATE'
	INTO deferred
	FROM pg_catalog.pg_constraint AS c JOIN pg_catalog.pg_namespace AS s ON s.oid OPERATOR(pg_catalog.=) c.connamespace
	WHERE c.confrelid OPERATOR(pg_catalog.=) 'rhesis_notify.task_notifications'::regclass AND c.condeferrable;

	-- All at once, if nothing of the application refuses that.
	BEGIN
		DELETE FROM rhesis_notify.task_notifications AS n
		WHERE n.finished_at OPERATOR(pg_catalog.<) before;
		GET DIAGNOSTICS removed = ROW_COUNT;
		IF deferred IS NOT NULL THEN
			EXECUTE deferred;
		END IF;
		done := true;
	EXCEPTION WHEN OTHERS THEN
		-- Not what is the server's trouble, or another session's.
		IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{08,25,40,53,54,55,57,58,F0,XX}'::text[]) THEN
			RAISE;
		END IF;
		removed := 0;
	END;

	-- Else in batches, each halved until the rows that cannot go stand alone.
	WHILE NOT done LOOP
		SELECT pg_catalog.array_agg(o.id ORDER BY o.finished_at, o.id),
			pg_catalog.array_agg(o.finished_at ORDER BY o.finished_at, o.id)
		INTO ids, times
		FROM (SELECT n.id, n.finished_at FROM rhesis_notify.task_notifications AS n
			  WHERE n.finished_at OPERATOR(pg_catalog.<) before
				AND n.finished_at OPERATOR(pg_catalog.>=) place_time
				AND (n.finished_at OPERATOR(pg_catalog.>) place_time OR n.id OPERATOR(pg_catalog.>) place_id)
			  ORDER BY n.finished_at, n.id LIMIT batch) AS o;
		EXIT WHEN ids IS NULL;

		BEGIN
			DELETE FROM rhesis_notify.task_notifications AS n WHERE n.id OPERATOR(pg_catalog.=) ANY (ids);
			GET DIAGNOSTICS removed_now = ROW_COUNT;
			IF deferred IS NOT NULL THEN
				EXECUTE deferred;
			END IF;
			removed := removed OPERATOR(pg_catalog.+) removed_now;
			batch := LEAST(batch OPERATOR(pg_catalog.*) 2, 1024);
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
			IF pg_catalog.left(state, 2) OPERATOR(pg_catalog.=) ANY ('{08,25,40,53,54,55,57,58,F0,XX}'::text[]) THEN
				RAISE;
			END IF;
			IF pg_catalog.cardinality(ids) OPERATOR(pg_catalog.>) 1 THEN
				batch := pg_catalog.cardinality(ids) OPERATOR(pg_catalog./) 2;
				CONTINUE;
			END IF;
			IF kept OPERATOR(pg_catalog.=) 0 THEN
				first_kept := ids[1];
				problem_state := state;
				problem := message;
			END IF;
			kept := kept OPERATOR(pg_catalog.+) 1;
		END;
		place_time := times[pg_catalog.cardinality(times)];
		place_id := ids[pg_catalog.cardinality(ids)];
	END LOOP;

	IF kept OPERATOR(pg_catalog.>) 0 THEN
		RAISE WARNING 'finished notifications cannot be removed: %', problem
			USING ERRCODE = problem_state,
				DETAIL = pg_catalog.format('Kept: %s; the first is notification %s.', kept, first_kept),
				HINT = 'A foreign key to rhesis_notify.task_notifications needs ON DELETE CASCADE or SET NULL and an index; a trigger must not refuse the deletion. What can be removed is.';
	END IF;
	PERFORM pg_catalog.set_config('session_replication_role', role, true) WHERE role OPERATOR(pg_catalog.=) 'replica';
	RETURN removed;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.purge(interval) IS
	'Removes what was finished longer ago than that, with its events, in one transaction; returns how many notifications. Those that '
	'a foreign key or a trigger of the application keeps stay, with one WARNING that says why. rhesis_notify.retention does the same by '
	'itself, in small batches';

CREATE TABLE rhesis_notify.database_pause
(
	paused boolean PRIMARY KEY DEFAULT true
		CONSTRAINT only_one_row CHECK (paused),
	since timestamptz NOT NULL DEFAULT pg_catalog.now(),
	paused_by text NOT NULL DEFAULT SESSION_USER
);
COMMENT ON TABLE rhesis_notify.database_pause IS 'Holds a row while this database''s mail is paused; see pause() and resume()';
COMMENT ON COLUMN rhesis_notify.database_pause.paused IS 'Always true: there is one row or none';
COMMENT ON COLUMN rhesis_notify.database_pause.since IS 'When pause() was called';
COMMENT ON COLUMN rhesis_notify.database_pause.paused_by IS 'The role that called it';
COMMENT ON CONSTRAINT only_one_row ON rhesis_notify.database_pause IS 'A database is paused or not';

SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.database_pause', '');

CREATE FUNCTION rhesis_notify.pause() RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	INSERT INTO rhesis_notify.database_pause DEFAULT VALUES ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RAISE NOTICE 'the mail of this database is already paused';
		RETURN false;
	END IF;
	PERFORM rhesis_notify.wake_workers();
	RETURN true;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.pause() IS
	'Stops this database''s mail: rows wait, until resume(), also over a restart or a failover. What is on the wire goes '
	'out. True; false, with a notice, when it was paused already';

CREATE FUNCTION rhesis_notify.resume() RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	role text := pg_catalog.current_setting('session_replication_role');
	was_paused boolean;
BEGIN
	-- In a replica's session the trigger keep_own_pause would keep the row.
	PERFORM pg_catalog.set_config('session_replication_role', 'origin', true) WHERE role OPERATOR(pg_catalog.=) 'replica';
	DELETE FROM rhesis_notify.database_pause;
	was_paused := FOUND;
	PERFORM pg_catalog.set_config('session_replication_role', role, true) WHERE role OPERATOR(pg_catalog.=) 'replica';

	IF NOT was_paused THEN
		RAISE NOTICE 'the mail of this database is not paused';
		RETURN false;
	END IF;
	PERFORM rhesis_notify.wake_workers();
	RETURN true;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.resume() IS
	'Takes pause() back. True; false, with a notice, when the mail was not paused';


------------------------------------------------------------------------------------------------------------------------
-- Copies: is this database itself?
------------------------------------------------------------------------------------------------------------------------

CREATE TABLE rhesis_notify.database_identity
(
	token uuid PRIMARY KEY,
	system_identifier bigint NOT NULL,
	database_oid oid NOT NULL,
	instance text NOT NULL,
	adopted_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE rhesis_notify.database_identity IS
	'Which database this is. Dumped: a restored dump brings the row of its original, whose token is not that of database_birth, and so '
	'the database is known to be a copy. adopt_database() replaces it; nobody else writes to it';
COMMENT ON COLUMN rhesis_notify.database_identity.token IS 'The same as in database_birth, or this database is a copy';
COMMENT ON COLUMN rhesis_notify.database_identity.system_identifier IS
	'The server''s, see pg_control_system(). Another one is that of a server that pg_upgrade has made: the worker takes it over';
COMMENT ON COLUMN rhesis_notify.database_identity.database_oid IS
	'The database''s oid in pg_database; another one is that of a copy by CREATE DATABASE ... TEMPLATE';
COMMENT ON COLUMN rhesis_notify.database_identity.instance IS
	'rhesis_notify.instance as it was then, empty for none; with another one the database is a copy';
COMMENT ON COLUMN rhesis_notify.database_identity.adopted_at IS 'When the extension was created, or adopt_database() was called';

CREATE TABLE rhesis_notify.database_birth
(
	token uuid PRIMARY KEY,
	born timestamptz NOT NULL
);
COMMENT ON TABLE rhesis_notify.database_birth IS
	'The twin of database_identity, which is not dumped: it is as old as this database''s extension';
COMMENT ON COLUMN rhesis_notify.database_birth.token IS 'The same as in database_identity, or this database is a copy';
COMMENT ON COLUMN rhesis_notify.database_birth.born IS
	'A minute before the extension was created: a notification that is due and was created before came with a restore or with the '
	'first copy of a subscription. -infinity after adopt_database(), and after an update from 1.0';

-- The rows of a database that is nobody's copy.
WITH identity AS
	(INSERT INTO rhesis_notify.database_identity (token, system_identifier, database_oid, instance)
	 SELECT pg_catalog.gen_random_uuid(), control.system_identifier, this.oid,
		COALESCE(pg_catalog.current_setting('rhesis_notify.instance', true), '')
	 FROM pg_catalog.pg_control_system() AS control
	 JOIN pg_catalog.pg_database AS this ON this.datname = pg_catalog.current_database()
	 RETURNING token)
INSERT INTO rhesis_notify.database_birth (token, born)
SELECT token, pg_catalog.now() - interval '1 minute' FROM identity;

SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.database_identity', '');

CREATE FUNCTION rhesis_notify.copy_sign() RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_copy_sign';
COMMENT ON FUNCTION rhesis_notify.copy_sign() IS
	'By what this database is taken for a copy of another one, in words; null: it is itself. Of what waits the first 100,000 '
	'notifications are looked through';

CREATE FUNCTION rhesis_notify.adopt_database(send_pending boolean) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	role text := pg_catalog.current_setting('session_replication_role');
	decided bigint;
BEGIN
	IF send_pending IS NULL THEN
		RAISE EXCEPTION 'argument "send_pending" of adopt_database must not be null'
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Use true to send the mail that waits in this copy, false to cancel it.';
	END IF;

	LOCK TABLE rhesis_notify.database_identity IN SHARE ROW EXCLUSIVE MODE;
	IF rhesis_notify.copy_sign() IS NULL
		AND NOT EXISTS (SELECT FROM rhesis_notify.task_notifications AS n
						JOIN rhesis_notify.database_birth AS b ON n.created_at OPERATOR(pg_catalog.<) b.born
						WHERE n.finished_at IS NULL)
	THEN
		RAISE NOTICE 'nothing is changed: this database is not a copy'
			USING HINT = 'A copied data directory is told from its original by rhesis_notify.instance alone. Single '
				'notifications are stopped by rhesis_notify.cancel(id).';
		RETURN 0;
	END IF;

	-- In a replica's session the triggers ignore_replicated would keep the rows.
	PERFORM pg_catalog.set_config('session_replication_role', 'origin', true) WHERE role OPERATOR(pg_catalog.=) 'replica';

	-- pg_restore --disable-triggers leaves all triggers of a table as ordinary ones, which do not see what replication brings.
	IF EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
			   WHERE t.tgrelid OPERATOR(pg_catalog.=) ANY ('{rhesis_notify.templates,rhesis_notify.database_pause}'::regclass[])
				AND t.tgname OPERATOR(pg_catalog.=) ANY ('{templates_changed,keep_own_pause}'::name[])
				AND t.tgenabled OPERATOR(pg_catalog.=) 'O')
	THEN
		ALTER TABLE rhesis_notify.templates ENABLE ALWAYS TRIGGER templates_changed;
		ALTER TABLE rhesis_notify.database_pause ENABLE REPLICA TRIGGER keep_own_pause;
	END IF;

	DELETE FROM rhesis_notify.database_birth;
	DELETE FROM rhesis_notify.database_identity;
	WITH identity AS
		(INSERT INTO rhesis_notify.database_identity (token, system_identifier, database_oid, instance)
		 SELECT pg_catalog.gen_random_uuid(), control.system_identifier, this.oid,
			COALESCE(pg_catalog.current_setting('rhesis_notify.instance', true), '')
		 FROM pg_catalog.pg_control_system() AS control
		 JOIN pg_catalog.pg_database AS this ON this.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
		 RETURNING token)
	INSERT INTO rhesis_notify.database_birth (token, born)
	SELECT token, '-infinity' FROM identity;

	-- What was being sent may have been mailed by the original: with true the worker decides, as after a crash.
	IF send_pending THEN
		SELECT pg_catalog.count(*) INTO decided
		FROM rhesis_notify.task_notifications AS n
		WHERE n.finished_at IS NULL AND pg_catalog.enum_ne(n.delivery_status, 'held'::rhesis_notify.delivery_state);
	ELSE
		PERFORM rhesis_notify.skip_used_event_ids();
		WITH old AS MATERIALIZED
			(SELECT n.id, n.delivery_status, n.delivery_reason
			 FROM rhesis_notify.task_notifications AS n
			 WHERE n.finished_at IS NULL
			 FOR NO KEY UPDATE),
		cancelled AS
			(UPDATE rhesis_notify.task_notifications AS n
			 SET delivery_status = 'cancelled', delivery_reason = 'copied', claimed_by = NULL,
				finished_at = pg_catalog.clock_timestamp()
			 FROM old WHERE n.id OPERATOR(pg_catalog.=) old.id)
		INSERT INTO rhesis_notify.delivery_events (notification_id, event, detail)
		SELECT old.id, 'cancelled', pg_catalog.jsonb_build_object(
			'message', pg_catalog.format('was %s in a copy: adopt_database(false)',
				pg_catalog.concat_ws(', ', old.delivery_status, old.delivery_reason)),
			'by', SESSION_USER)
		FROM old;
		GET DIAGNOSTICS decided = ROW_COUNT;
	END IF;

	PERFORM pg_catalog.set_config('session_replication_role', role, true) WHERE role OPERATOR(pg_catalog.=) 'replica';
	PERFORM rhesis_notify.wake_workers();
	RETURN decided;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.adopt_database(boolean) IS
	'Ends that this database is a copy, in which nothing is mailed: true sends what waits, with this database''s templates; what was '
	'being sent when it was copied is in doubt, as after a crash, and what is held stays so. false cancels all of it (reason copied; '
	'retry_all() takes it back). Returns how many notifications these are. A pause stays. Nothing is changed, with a notice, where '
	'the database is not a copy. send_pending must not be null (null_value_not_allowed)';


------------------------------------------------------------------------------------------------------------------------
-- Logical replication
------------------------------------------------------------------------------------------------------------------------

-- A publication FOR ALL TABLES publishes each server's own rows, too. REPLICA triggers see what replication brings, and nothing else.
-- The functions look for themselves: pg_restore --disable-triggers leaves each trigger enabled as an ordinary one.
CREATE FUNCTION rhesis_notify.ignore_replicated() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'replica' THEN
		RETURN NULL;
	END IF;
	RETURN COALESCE(NEW, OLD);
END
$function$;
COMMENT ON FUNCTION rhesis_notify.ignore_replicated() IS
	'Trigger function: leaves out what replication brings for a table whose rows are each server''s own';

CREATE FUNCTION rhesis_notify.keep_own_pause() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.<>) 'replica' THEN
		RETURN COALESCE(NEW, OLD);
	END IF;
	IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' AND NOT EXISTS (SELECT FROM rhesis_notify.database_pause) THEN
		RETURN NEW;
	END IF;
	RETURN NULL;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.keep_own_pause() IS
	'Trigger function: a pause that replication brings is taken over where there is none, its end is not';

CREATE TRIGGER ignore_replicated BEFORE INSERT OR UPDATE OR DELETE ON rhesis_notify.shipped_templates
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.ignore_replicated();
ALTER TABLE rhesis_notify.shipped_templates ENABLE REPLICA TRIGGER ignore_replicated;
COMMENT ON TRIGGER ignore_replicated ON rhesis_notify.shipped_templates IS
	'They came with this servers own extension';

CREATE TRIGGER ignore_replicated BEFORE INSERT OR UPDATE OR DELETE ON rhesis_notify.shipped_task_types
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.ignore_replicated();
ALTER TABLE rhesis_notify.shipped_task_types ENABLE REPLICA TRIGGER ignore_replicated;
COMMENT ON TRIGGER ignore_replicated ON rhesis_notify.shipped_task_types IS
	'They came with this servers own extension';

CREATE TRIGGER ignore_replicated BEFORE INSERT OR UPDATE OR DELETE ON rhesis_notify.database_birth
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.ignore_replicated();
ALTER TABLE rhesis_notify.database_birth ENABLE REPLICA TRIGGER ignore_replicated;
COMMENT ON TRIGGER ignore_replicated ON rhesis_notify.database_birth IS
	'A publishers identity makes this database a copy; its birth must not';

CREATE TRIGGER keep_own_pause BEFORE INSERT OR UPDATE OR DELETE ON rhesis_notify.database_pause
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.keep_own_pause();
ALTER TABLE rhesis_notify.database_pause ENABLE REPLICA TRIGGER keep_own_pause;
COMMENT ON TRIGGER keep_own_pause ON rhesis_notify.database_pause IS
	'A pause ends where somebody says so';


------------------------------------------------------------------------------------------------------------------------
-- Looking at it
------------------------------------------------------------------------------------------------------------------------

CREATE VIEW rhesis_notify.delivery_status WITH (security_invoker = true) AS
	SELECT id,
		pg_catalog.date_trunc('second', created_at) AS created_at,
		pg_catalog.split_part(task_name, '.', -1) AS task,
		COALESCE(recipient_email, 'user ' || user_id, 'nobody') AS recipient,
		delivery_status AS state,
		delivery_reason AS reason,
		attempts,
		CASE WHEN delivery_status IN ('pending', 'deferred')
			THEN pg_catalog.date_trunc('second', next_attempt_at) END AS due_at,
		pg_catalog.date_trunc('second', finished_at) AS finished_at,
		smtp_reply
	FROM rhesis_notify.task_notifications
	ORDER BY task_notifications.id DESC;
COMMENT ON VIEW rhesis_notify.delivery_status IS 'One line per notification, the newest first, for reading';
COMMENT ON COLUMN rhesis_notify.delivery_status.id IS
	'The row of task_notifications; what retry(), cancel() and preview() take';
COMMENT ON COLUMN rhesis_notify.delivery_status.created_at IS 'When the task reported';
COMMENT ON COLUMN rhesis_notify.delivery_status.task IS 'The last part of the task''s name';
COMMENT ON COLUMN rhesis_notify.delivery_status.recipient IS 'The address used, or the user as long as no address was';
COMMENT ON COLUMN rhesis_notify.delivery_status.state IS 'Where the mail is, see type delivery_state';
COMMENT ON COLUMN rhesis_notify.delivery_status.reason IS
	'Why it was deferred, held, failed or skipped: a code, such as silent_task or smtp_permanent';
COMMENT ON COLUMN rhesis_notify.delivery_status.attempts IS 'SMTP attempts made';
COMMENT ON COLUMN rhesis_notify.delivery_status.due_at IS 'When the next attempt is due';
COMMENT ON COLUMN rhesis_notify.delivery_status.finished_at IS 'When the state became final';
COMMENT ON COLUMN rhesis_notify.delivery_status.smtp_reply IS 'The SMTP server''s last reply';

CREATE VIEW rhesis_notify.queue_status WITH (security_invoker = true) AS
	SELECT state.name AS state,
		COALESCE(queue.notifications, 0) AS notifications,
		COALESCE(queue.due, 0) AS due,
		queue.oldest_due
	FROM pg_catalog.unnest(pg_catalog.enum_range(NULL::rhesis_notify.delivery_state)) AS state (name)
	LEFT JOIN
		(SELECT delivery_status,
			pg_catalog.count(*) AS notifications,
			pg_catalog.count(*) FILTER (WHERE is_due) AS due,
			pg_catalog.date_trunc('second', pg_catalog.now() - pg_catalog.min(next_attempt_at)
				FILTER (WHERE is_due AND pg_catalog.isfinite(next_attempt_at))) AS oldest_due
		 FROM
			(SELECT delivery_status, next_attempt_at,
				(pg_catalog.enum_eq(delivery_status, 'pending') OR pg_catalog.enum_eq(delivery_status, 'deferred'))
					AND next_attempt_at <= pg_catalog.now() AS is_due
			 FROM rhesis_notify.task_notifications) AS notification
		 GROUP BY delivery_status) AS queue
		ON pg_catalog.enum_eq(queue.delivery_status, state.name)
	ORDER BY state.name;
COMMENT ON VIEW rhesis_notify.queue_status IS
	'How many notifications are in which state, and for how long the oldest has been due';
COMMENT ON COLUMN rhesis_notify.queue_status.state IS 'See type delivery_state';
COMMENT ON COLUMN rhesis_notify.queue_status.notifications IS 'How many are in it';
COMMENT ON COLUMN rhesis_notify.queue_status.due IS 'How many of them should be sent now';
COMMENT ON COLUMN rhesis_notify.queue_status.oldest_due IS
	'For how long the oldest of those has been due: seconds when all is well';

CREATE FUNCTION rhesis_notify.worker_slots()
RETURNS TABLE (pid integer, database name, worker_number integer, epoch bigint, state text, in_flight integer,
			   connections integer, sent bigint, deferred bigint, failed bigint, in_doubt bigint, last_error text,
			   last_error_at timestamptz, paused boolean, backing_off_until timestamptz, started_at timestamptz)
LANGUAGE c VOLATILE STRICT PARALLEL SAFE
ROWS 10
AS 'MODULE_PATHNAME', 'rhesis_notify_worker_slots';
COMMENT ON FUNCTION rhesis_notify.worker_slots() IS
	'The worker processes of this server, as shared memory has them; see worker_status';

CREATE VIEW rhesis_notify.worker_status WITH (security_invoker = true) AS
	SELECT pid, database, worker_number AS worker, state, in_flight, connections, sent, deferred, failed, in_doubt,
		last_error, last_error_at, paused, backing_off_until, started_at
	FROM rhesis_notify.worker_slots()
	WHERE database = pg_catalog.current_database() OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
	ORDER BY database, worker_number;
COMMENT ON VIEW rhesis_notify.worker_status IS
	'One row per worker process; counts are those since the start of the server. Other databases'' workers are shown to '
	'pg_read_all_stats, which pg_monitor has';
COMMENT ON COLUMN rhesis_notify.worker_status.pid IS 'The process, as in pg_stat_activity';
COMMENT ON COLUMN rhesis_notify.worker_status.database IS 'The database it serves';
COMMENT ON COLUMN rhesis_notify.worker_status.worker IS 'Its number, from 1 to rhesis_notify.workers';
COMMENT ON COLUMN rhesis_notify.worker_status.state IS
	'What it is doing: starting, idle, sending, looking up recipients (for longer than usual), paused, a copy (nothing is mailed until adopt_database()), mail off (settings are incomplete), backing off (the SMTP server is '
	'in trouble), waiting for recipients (the app''s relations cannot be read), waiting after an error (of the queue''s '
	'own), waiting for a standby (a commit waits for a synchronous one), stopping or stopped';
COMMENT ON COLUMN rhesis_notify.worker_status.in_flight IS 'Mails on the wire';
COMMENT ON COLUMN rhesis_notify.worker_status.connections IS 'Connections to the SMTP server';
COMMENT ON COLUMN rhesis_notify.worker_status.sent IS 'Mails that the server has accepted';
COMMENT ON COLUMN rhesis_notify.worker_status.deferred IS
	'Attempts that are to be repeated, and mails given back since the server is in trouble';
COMMENT ON COLUMN rhesis_notify.worker_status.failed IS 'Mails that were given up';
COMMENT ON COLUMN rhesis_notify.worker_status.in_doubt IS 'Mails that the server may or may not have accepted';
COMMENT ON COLUMN rhesis_notify.worker_status.last_error IS
	'The last trouble, of the server or of ours; kept when it is over, see last_error_at. Its words may name anybody''s address: they are '
	'for roles that may read every organization''s notifications, such as an operator. Others see a reply''s code';
COMMENT ON COLUMN rhesis_notify.worker_status.last_error_at IS 'When it happened';
COMMENT ON COLUMN rhesis_notify.worker_status.paused IS 'pause() was called in its database';
COMMENT ON COLUMN rhesis_notify.worker_status.backing_off_until IS
	'It leaves the SMTP server alone until then; null when it does not';
COMMENT ON COLUMN rhesis_notify.worker_status.started_at IS 'When the process started';


CREATE FUNCTION rhesis_notify.explain(id bigint)
RETURNS TABLE (step text, decision text, detail text, advice text)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 12
AS 'MODULE_PATHNAME', 'rhesis_notify_explain';
COMMENT ON FUNCTION rhesis_notify.explain(bigint) IS
	'Why a notification is where it is: one row for each decision, in the worker''s order: task, opted in, age, recipient, template; '
	'pause, worker, mail server and pace while it waits; its attempts with the server''s replies; its state; what comes next, and '
	'when. Decisions are taken anew, as of now, and nothing is changed; attempts and state are what was recorded. advice says what '
	'to do. The error no_data_found (P0002) when there is no such notification';


CREATE FUNCTION rhesis_notify.health()
RETURNS TABLE (check_name text, ok boolean, value text, advice text)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 12
AS 'MODULE_PATHNAME', 'rhesis_notify_health';
COMMENT ON FUNCTION rhesis_notify.health() IS
	'Whether this database''s mail goes out: one row for each check, with what was found and, where it is not ok, what to do. It opens '
	'no connection: of the mail server it tells what the workers know, and since when. Not ok are also: a pause, a mail that has been '
	'due for 5 minutes, a mail that is held, and more than one failed mail in 20 within an hour. It costs what metrics() does, and the '
	'reading of what ended in the last hour, at most 100,000 rows';

CREATE FUNCTION rhesis_notify.metrics() RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_metrics';
COMMENT ON FUNCTION rhesis_notify.metrics() IS
	'This database''s workers and queue in Prometheus'' text format. Times are in seconds; counters end in _total and begin with the '
	'start of the server. No address, reply or setting is in it. What is due is counted in its index: a million take about 0.1 s. Of '
	'rows that are not finished at most 100,000 are read, and counted; the rows that are finished cost nothing';

CREATE FUNCTION rhesis_notify.metric_samples(about text DEFAULT NULL)
RETURNS TABLE (name text, type text, help text, labels jsonb, value double precision)
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 25
AS 'MODULE_PATHNAME', 'rhesis_notify_metric_samples';
COMMENT ON FUNCTION rhesis_notify.metric_samples(text) IS
	'The same as rows, for exporters that run SQL: one for each sample of metrics(). about: worker, queue or database, the word behind '
	'rhesis_notify_ in the names; null: all. Anything else is an error (invalid_parameter_value)';


------------------------------------------------------------------------------------------------------------------------
-- SMTP in the caller's own session
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION rhesis_notify.send_task_completion_email(recipient_email text, recipient_name text, task_name text,
	task_id text, status text, execution_time text DEFAULT NULL, error_message text DEFAULT NULL,
	test_run_id text DEFAULT NULL, frontend_url text DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_send_task_completion_email';
COMMENT ON FUNCTION rhesis_notify.send_task_completion_email(text, text, text, text, text, text, text, text, text) IS
	'Sends one mail now, in this session, past the queue: true when the SMTP server accepted it; false otherwise, with the reason '
	'as a WARNING. It waits for the server, at most rhesis_notify.connect_timeout and rhesis_notify.send_timeout, and can be '
	'cancelled. A rollback does not call the mail back';

CREATE FUNCTION rhesis_notify.check_smtp(OUT step text, OUT ok boolean, OUT detail text, OUT elapsed_ms double precision)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
ROWS 7
AS 'MODULE_PATHNAME', 'rhesis_notify_check_smtp';
COMMENT ON FUNCTION rhesis_notify.check_smtp() IS
	'Tries the SMTP settings, step by step: settings, name lookup, connect, TLS, authentication, MAIL FROM, RCPT TO the own '
	'address (then RSET: nothing is sent). One row for each step that was reached, the failed one with what to do about it; '
	'elapsed_ms is its own time in milliseconds';


------------------------------------------------------------------------------------------------------------------------
-- Privileges
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION rhesis_notify.grant_to(grantee regrole, privileges text DEFAULT 'task') RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF grantee IS NULL THEN
		RAISE EXCEPTION 'grantee must not be null'
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Name a role: SELECT rhesis_notify.grant_to(''app'').';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid OPERATOR(pg_catalog.=) grantee) THEN
		RAISE EXCEPTION 'role "%" does not exist', grantee
			USING ERRCODE = 'undefined_object',
				HINT = 'Create it with CREATE ROLE, or name another one.';
	END IF;
	IF privileges IS NULL OR privileges OPERATOR(pg_catalog.<>) ALL ('{task,operator,monitor}'::text[]) THEN
		RAISE EXCEPTION 'unknown set of privileges "%"', privileges
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Use ''task'' for the role that tasks run as, ''operator'' for one that works the queue, ''monitor'' for one '
					'that reads metrics.';
	END IF;

	EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA rhesis_notify TO %s', grantee);
	IF privileges OPERATOR(pg_catalog.=) 'monitor' THEN
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION rhesis_notify.metrics(), rhesis_notify.metric_samples(text) TO %s',
			grantee);
		RETURN;
	END IF;

	EXECUTE pg_catalog.format('GRANT SELECT ON rhesis_notify.task_notifications, rhesis_notify.shipped_task_types, '
		'rhesis_notify.custom_task_types, rhesis_notify.task_types, rhesis_notify.delivery_status, '
		'rhesis_notify.queue_status, rhesis_notify.worker_status TO %s', grantee);
	EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION rhesis_notify.worker_slots() TO %s', grantee);

	IF privileges OPERATOR(pg_catalog.=) 'task' THEN
		EXECUTE pg_catalog.format('GRANT INSERT (task_id, task_name, status, user_id, organization_id, template, '
			'subject_template, result, error_message, started_at, completed_at) '
			'ON rhesis_notify.task_notifications TO %s', grantee);
		EXECUTE pg_catalog.format('GRANT SELECT ON SEQUENCE rhesis_notify.task_notifications_id_seq TO %s', grantee);
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION rhesis_notify.task_completed TO %s', grantee);
	ELSE
		EXECUTE pg_catalog.format('GRANT SELECT ON rhesis_notify.delivery_events, rhesis_notify.shipped_templates, '
			'rhesis_notify.database_pause TO %s', grantee);
		EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON rhesis_notify.templates TO %s', grantee);
		-- Each function by its name, so that none is granted by accident: a trigger function is for our triggers alone. A new
		-- function of an operator is added here, and in the update script's copy; test/pgtap/privileges.sql says if one is missing.
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION rhesis_notify.adopt_database, rhesis_notify.cancel, rhesis_notify.check_smtp, '
			'rhesis_notify.copy_sign, rhesis_notify.retry_all, '
			'rhesis_notify.email_notification, rhesis_notify.email_notification_test, rhesis_notify.explain, '
			'rhesis_notify.health, rhesis_notify.metric_samples, rhesis_notify.metrics, rhesis_notify.mustache, '
			'rhesis_notify.pause, rhesis_notify.preview, rhesis_notify.preview_message, rhesis_notify.purge, '
			'rhesis_notify.render_diff, rhesis_notify.render_template, rhesis_notify.resume, rhesis_notify.retry, '
			'rhesis_notify.retry_failed, rhesis_notify.send_task_completion_email, rhesis_notify.silence, rhesis_notify.skip_used_event_ids, '
			'rhesis_notify.task_completed, rhesis_notify.template_variables, rhesis_notify.wake_workers TO %s', grantee);
	END IF;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.grant_to(regrole, text) IS
	'Gives a role what it needs. ''task'': to report tasks (not who is mailed, nor the state of a mail) and to see what became of '
	'those of its organization. ''operator'': to see every organization''s, and to call every function of the extension but this '
	'one and those of its triggers. ''monitor'': to call metrics() and metric_samples(), which tell no address; the role may be pg_monitor. DROP OWNED BY takes all of it back';

-- Row security keeps one organization's rows from another's requests. It guards against mistakes of the app: a role that may SET
-- the setting can choose its organization. The owner is not bound. The setting's name is itself a setting; its default is
-- repeated here, so that tasks go on where the library is not loaded. Functions of ours would have to be granted to who inserts.
ALTER TABLE rhesis_notify.task_notifications ENABLE ROW LEVEL SECURITY;

CREATE POLICY read_own_organization ON rhesis_notify.task_notifications FOR SELECT
	USING (organization_id IS NOT DISTINCT FROM (SELECT NULLIF(pg_catalog.current_setting(NULLIF(COALESCE(
		pg_catalog.current_setting('rhesis_notify.organization_setting', true), 'app.current_organization'), ''), true), '')));
COMMENT ON POLICY read_own_organization ON rhesis_notify.task_notifications IS
	'A role reads the rows of the organization that its session has set; those without one while it is not set or empty';

CREATE POLICY read_as_operator ON rhesis_notify.task_notifications FOR SELECT
	USING ((SELECT pg_catalog.has_function_privilege('rhesis_notify.retry(bigint)'::regprocedure, 'EXECUTE')));
COMMENT ON POLICY read_as_operator ON rhesis_notify.task_notifications IS
	'A role that works the queue (one that may call retry) reads the rows of every organization';

CREATE POLICY insert_own_organization ON rhesis_notify.task_notifications FOR INSERT
	WITH CHECK (
		NULLIF(pg_catalog.current_setting(NULLIF(COALESCE(
			pg_catalog.current_setting('rhesis_notify.organization_setting', true), 'app.current_organization'), ''), true), '')
			IS NULL
		OR organization_id IS NOT DISTINCT FROM pg_catalog.current_setting(COALESCE(
			pg_catalog.current_setting('rhesis_notify.organization_setting', true), 'app.current_organization'), true));
COMMENT ON POLICY insert_own_organization ON rhesis_notify.task_notifications IS
	'A role inserts rows of the organization that its session has set, and of any while it is not set or empty';

-- What PostgreSQL grants to PUBLIC by default. Keep this last: it covers everything above. (Not the types of tables' and views'
-- rows: their privileges mean nothing, and pg_dump warns of those that an extension has changed.)
REVOKE ALL ON ALL TABLES IN SCHEMA rhesis_notify FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA rhesis_notify FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA rhesis_notify FROM PUBLIC;
REVOKE ALL ON TYPE rhesis_notify.delivery_state FROM PUBLIC;

-- ALTER DEFAULT PRIVILEGES of the role that creates the extension may have given other roles something: that takes the place of
-- grant_to for nobody.
DO $do$
DECLARE
	other text;
BEGIN
	FOR other IN
		SELECT DISTINCT acl.grantee::regrole::text
		FROM pg_catalog.pg_namespace AS n
		CROSS JOIN LATERAL
			(SELECT n.nspacl AS acls
			 UNION ALL SELECT c.relacl FROM pg_catalog.pg_class AS c WHERE c.relnamespace OPERATOR(pg_catalog.=) n.oid
			 UNION ALL SELECT p.proacl FROM pg_catalog.pg_proc AS p WHERE p.pronamespace OPERATOR(pg_catalog.=) n.oid
			 UNION ALL SELECT t.typacl FROM pg_catalog.pg_type AS t WHERE t.typnamespace OPERATOR(pg_catalog.=) n.oid) AS object
		CROSS JOIN LATERAL pg_catalog.aclexplode(object.acls) AS acl
		WHERE n.nspname OPERATOR(pg_catalog.=) 'rhesis_notify' AND acl.grantee OPERATOR(pg_catalog.<>) ALL (ARRAY[0, n.nspowner])
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA rhesis_notify FROM %s', other);
		EXECUTE pg_catalog.format('REVOKE ALL ON ALL TABLES IN SCHEMA rhesis_notify FROM %s', other);
		EXECUTE pg_catalog.format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA rhesis_notify FROM %s', other);
		EXECUTE pg_catalog.format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA rhesis_notify FROM %s', other);
		EXECUTE pg_catalog.format('REVOKE ALL ON TYPE rhesis_notify.delivery_state FROM %s', other);
	END LOOP;
END
$do$;
