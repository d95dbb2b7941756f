------------------------------------------------------------------------------------------------------------------------
-- The queue: one row per finished task
------------------------------------------------------------------------------------------------------------------------

CREATE TYPE rhesis_notify.delivery_state AS ENUM
	('pending', 'sending', 'deferred', 'held', 'sent', 'failed', 'skipped', 'cancelled');
COMMENT ON TYPE rhesis_notify.delivery_state IS
	'pending: waits for a worker; sending: claimed by a worker; deferred: a temporary failure, '
	'due again at next_attempt_at; held: waits for retry() or cancel(); sent: accepted by the '
	'SMTP server; failed: given up, because it was refused, its attempts are used up or it cannot '
	'be rendered; skipped: no mail is owed, and the reason says why; cancelled: stopped by '
	'cancel(), or in a copy by adopt_database()';

CREATE TABLE rhesis_notify.task_notifications
(
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- The task writes the columns down to completed_at. task_id is not a word of a language, and an
	-- index in bytewise order is cheaper.
	task_id text COLLATE "C" NOT NULL UNIQUE
		CONSTRAINT task_id_has_1_to_500_characters CHECK (pg_catalog.length(task_id) BETWEEN 1 AND 500),
	task_name text NOT NULL
		CONSTRAINT task_name_has_1_to_100000_characters CHECK (pg_catalog.length(task_name) BETWEEN 1 AND 100000),
	status text NOT NULL
		CONSTRAINT status_is_success_or_failed CHECK (status IN ('success', 'failed')),
	-- The limits of these texts keep a row from filling the worker's memory. No real key, name or
	-- subject is longer.
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
	-- The database and the worker write the following columns.
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
-- Vacuum runs often on the queue, and soon finishes. But it reads the indexes of all rows that are
-- kept, so with a long history it waits until a tenth of the rows has changed. The claim does not
-- wait for vacuum. Half of each page is kept free for new versions of its rows, so that a claim
-- writes to no index.
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
	'The user who submitted the task, as text, whatever type the application''s key has. Null or '
	'empty: no user, so no mail';
COMMENT ON COLUMN rhesis_notify.task_notifications.organization_id IS 'The tenant';
COMMENT ON COLUMN rhesis_notify.task_notifications.template IS
	'The template of the mail. A row that names a template is mailed even if the task is not '
	'registered or is silenced. Null or empty: the registration of the task''s name decides';
COMMENT ON COLUMN rhesis_notify.task_notifications.subject_template IS
	'The subject of this mail. Null or empty: the registration''s, else the template''s';
COMMENT ON COLUMN rhesis_notify.task_notifications.result IS
	'The task''s result, an object: its keys are further variables for the template. If it is '
	'larger than 1 MB, only ids, counts, names and other small values of its top level are read; '
	'if it is larger than 16 MB, nothing is read';
COMMENT ON COLUMN rhesis_notify.task_notifications.error_message IS
	'Why the task failed. Any size; a mail shows the beginning and the end of a long text';
COMMENT ON COLUMN rhesis_notify.task_notifications.started_at IS
	'When the task began; with completed_at it gives the execution time';
COMMENT ON COLUMN rhesis_notify.task_notifications.completed_at IS 'When the task ended';
COMMENT ON COLUMN rhesis_notify.task_notifications.created_at IS
	'When the row was written; rhesis_notify.expire_after counts from here';
COMMENT ON COLUMN rhesis_notify.task_notifications.delivery_status IS
	'The state of the mail, see type delivery_state';
COMMENT ON COLUMN rhesis_notify.task_notifications.delivery_reason IS
	'Why it was deferred, held, failed, skipped or, in a copy, cancelled: a code, such as '
	'silent_task or smtp_permanent. Null in the states pending and sent';
COMMENT ON COLUMN rhesis_notify.task_notifications.attempts IS
	'Attempts made to send or to prepare this mail. An attempt that meets an error of the mail '
	'server itself does not count. retry() starts again from 0';
COMMENT ON COLUMN rhesis_notify.task_notifications.next_attempt_at IS 'When the mail is due, or was due last';
COMMENT ON COLUMN rhesis_notify.task_notifications.claimed_by IS
	'The epoch of the worker that holds the row while the state is sending';
COMMENT ON COLUMN rhesis_notify.task_notifications.recipient_email IS
	'The recipient''s address, as it was at the last attempt';
COMMENT ON COLUMN rhesis_notify.task_notifications.message_id IS 'The mail''s Message-ID: the same on every attempt';
COMMENT ON COLUMN rhesis_notify.task_notifications.smtp_reply IS
	'The SMTP server''s last reply, printable and cut at 1,000 characters';
COMMENT ON COLUMN rhesis_notify.task_notifications.finished_at IS
	'When the state became final; rhesis_notify.retention counts from here';
COMMENT ON CONSTRAINT task_id_has_1_to_500_characters ON rhesis_notify.task_notifications IS
	'An index entry must have space for the id';
COMMENT ON CONSTRAINT task_name_has_1_to_100000_characters ON rhesis_notify.task_notifications IS
	'Registrations are found by the task''s name';
COMMENT ON CONSTRAINT user_id_has_at_most_100000_characters ON rhesis_notify.task_notifications IS
	'A row must not be able to fill the worker''s memory';
COMMENT ON CONSTRAINT organization_id_has_at_most_100000_characters ON rhesis_notify.task_notifications IS
	'A row must not be able to fill the worker''s memory';
COMMENT ON CONSTRAINT template_has_at_most_100000_characters ON rhesis_notify.task_notifications IS
	'A row must not be able to fill the worker''s memory';
COMMENT ON CONSTRAINT subject_template_has_at_most_100000_characters ON rhesis_notify.task_notifications IS
	'A row must not be able to fill the worker''s memory';
COMMENT ON CONSTRAINT status_is_success_or_failed ON rhesis_notify.task_notifications IS 'Only final outcomes are reported';
COMMENT ON CONSTRAINT result_is_an_object ON rhesis_notify.task_notifications IS
	'The keys of the object become template variables';
COMMENT ON CONSTRAINT attempts_are_not_negative ON rhesis_notify.task_notifications IS 'Attempts are counted up from 0';
COMMENT ON CONSTRAINT claimed_while_sending ON rhesis_notify.task_notifications IS
	'A row names its worker exactly while it is being sent';
COMMENT ON CONSTRAINT finished_in_a_final_state ON rhesis_notify.task_notifications IS
	'A row has finished_at exactly while its state is final: retention finds rows by finished_at';

-- The claim reads only the head of this index. src/queue/queue_internal.h repeats the condition of
-- the index. No index depends on whether a row waits or is being sent, so a claim changes no index
-- (it is a HOT update).
CREATE INDEX task_notifications_due ON rhesis_notify.task_notifications (next_attempt_at, id)
	WHERE finished_at IS NULL;
COMMENT ON INDEX rhesis_notify.task_notifications_due IS
	'Unfinished notifications, in the order in which they are mailed';

CREATE INDEX task_notifications_finished ON rhesis_notify.task_notifications (finished_at)
	WHERE finished_at IS NOT NULL;
COMMENT ON INDEX rhesis_notify.task_notifications_finished IS
	'Finds the notifications that retention removes';

CREATE TRIGGER wake_workers AFTER INSERT ON rhesis_notify.task_notifications
	FOR EACH STATEMENT EXECUTE FUNCTION rhesis_notify.wake_trigger();
COMMENT ON TRIGGER wake_workers ON rhesis_notify.task_notifications IS
	'Only sets a flag in the task''s transaction. The workers wake when the transaction commits';

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
	'The history of notifications: each attempt that did not succeed, and other events that an '
	'operator should know. Rows are only added, and are deleted with their notification. A '
	'successful attempt has no row';
COMMENT ON COLUMN rhesis_notify.delivery_events.id IS 'Given by the database';
COMMENT ON COLUMN rhesis_notify.delivery_events.notification_id IS 'The row of task_notifications';
COMMENT ON COLUMN rhesis_notify.delivery_events.occurred_at IS 'When it happened';
COMMENT ON COLUMN rhesis_notify.delivery_events.event IS
	'deferred: an attempt that will be repeated; failed: an attempt after which the mail was '
	'given up; in_doubt: the SMTP server may or may not have accepted the mail; '
	'template_fallback: another template or subject replaced one that could not be used; '
	'result_cut: the result was too large to be read whole; retried: somebody called retry(); '
	'cancelled: somebody called cancel(), or in a copy adopt_database()';
COMMENT ON COLUMN rhesis_notify.delivery_events.smtp_code IS 'The server''s reply code, such as 451';
COMMENT ON COLUMN rhesis_notify.delivery_events.enhanced_code IS 'The server''s enhanced status code, such as 4.7.1';
COMMENT ON COLUMN rhesis_notify.delivery_events.reply IS 'The server''s reply, printable and cut at 1,000 characters';
COMMENT ON COLUMN rhesis_notify.delivery_events.detail IS 'An object; its message says what happened in words';

CREATE INDEX delivery_events_notification ON rhesis_notify.delivery_events (notification_id);
COMMENT ON INDEX rhesis_notify.delivery_events_notification IS 'The events of one notification';

CREATE INDEX delivery_events_in_doubt ON rhesis_notify.delivery_events (notification_id) WHERE event = 'in_doubt';
COMMENT ON INDEX rhesis_notify.delivery_events_in_doubt IS
	'Finds held notifications: each of them has an event in_doubt';

SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.delivery_events', '');
SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.delivery_events_id_seq', '');
COMMENT ON SEQUENCE rhesis_notify.delivery_events_id_seq IS 'Numbers delivery_events';


CREATE SEQUENCE rhesis_notify.worker_epoch;
COMMENT ON SEQUENCE rhesis_notify.worker_epoch IS
	'Numbers workers: each start of a worker gets a number. It begins with the microsecond at '
	'which the extension was created, and is not dumped. So the rows of a restored dump never '
	'name a worker of the new database';
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
	-- Use neither a conflict target nor RETURNING: both need the policy for reading, which hides
	-- the rows of every organization while the tenant setting is not set.
	INSERT INTO rhesis_notify.task_notifications
		(task_id, task_name, status, user_id, organization_id, template, subject_template, result, error_message, started_at,
		 completed_at)
	VALUES
		(task_completed.task_id, task_completed.task_name, task_completed.status, task_completed.user_id,
		 task_completed.organization_id, task_completed.template, task_completed.subject_template, task_completed.result,
		 task_completed.error_message, task_completed.started_at,
		 COALESCE(task_completed.completed_at, pg_catalog.now()))
	ON CONFLICT DO NOTHING;

	-- Any unique index, even that of the id, may have caused the conflict. Insert again to learn
	-- which one: that costs a subtransaction, but is rare.
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
				RAISE EXCEPTION 'the sequence of rhesis_notify.task_notifications.id is behind the rows'
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
					HINT = 'Look for triggers and rules that were added to rhesis_notify.task_notifications. If there are none, begin a new session.';
		END IF;
	END IF;
	RETURN pg_catalog.currval('rhesis_notify.task_notifications_id_seq');
END
$function$;
COMMENT ON FUNCTION rhesis_notify.task_completed(text, text, text, text, text, jsonb, text, timestamptz, timestamptz, text, text) IS
	'Reports a finished task, in the transaction of its last write: inserts into '
	'task_notifications and returns the new id, or null if a task with this task_id has reported '
	'before. The arguments are the columns of the same name; completed_at is now() if it is null. '
	'A value that the table refuses, such as a status that is neither success nor failed, is the '
	'table''s error (check_violation). It is also an error if the sequence gives an id a second '
	'time (object_not_in_prerequisite_state), or if a trigger or a rule of yours suppresses the '
	'row (triggered_action_exception)';
