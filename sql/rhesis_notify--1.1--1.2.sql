-- rhesis_notify: what version 1.2 changes in the objects of 1.1. test/t/extension_update.pl compares
-- the outcome with a fresh install.

\echo Use "ALTER EXTENSION rhesis_notify UPDATE TO '1.2'" to load this file. \quit

-- Refuse these objects unless the library that the server has loaded knows them.
DO $do$
BEGIN
	CREATE FUNCTION rhesis_notify.require_library(version text) RETURNS void
	LANGUAGE c STRICT
	AS 'MODULE_PATHNAME', 'rhesis_notify_require_library';
EXCEPTION WHEN undefined_function THEN
	RAISE EXCEPTION 'the library of rhesis_notify that the server has loaded is older than version 1.2 of its objects'
		USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Restart the server, so that it loads the installed library.';
END
$do$;
SELECT rhesis_notify.require_library('1.2');
DROP FUNCTION rhesis_notify.require_library(text);

-- Functions whose text has changed.

CREATE OR REPLACE FUNCTION rhesis_notify.task_completed(task_id text, task_name text, status text, user_id text DEFAULT NULL,
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

CREATE OR REPLACE FUNCTION rhesis_notify.email_notification_test(message text DEFAULT 'This is a test of email notifications.',
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

	-- Without the library in the server, no worker runs. worker_slots() then raises an error that
	-- says what to do.
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

CREATE OR REPLACE FUNCTION rhesis_notify.retry(id bigint) RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	expire_after interval;
	notification record;
BEGIN
	-- Without the library in the server, no worker runs. worker_slots() then raises an error that
	-- says what to do.
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

CREATE OR REPLACE FUNCTION rhesis_notify.retry_all(since timestamptz, state rhesis_notify.delivery_state) RETURNS bigint
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
	-- Without the library in the server, no worker runs. worker_slots() then raises an error that
	-- says what to do.
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

CREATE OR REPLACE FUNCTION rhesis_notify.purge(older_than interval) RETURNS bigint
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
	-- Foreign keys do nothing in a replica's session.
	PERFORM pg_catalog.set_config('session_replication_role', 'origin', true) WHERE role OPERATOR(pg_catalog.=) 'replica';

	-- Check deferred constraints early: at the commit, one row would undo the whole deletion.
	SELECT 'SET CONSTRAINTS ' OPERATOR(pg_catalog.||)
		pg_catalog.string_agg(pg_catalog.format('%I.%I', s.nspname, c.conname), ', ') OPERATOR(pg_catalog.||) ' IMMEDIATE'
	INTO deferred
	FROM pg_catalog.pg_constraint AS c JOIN pg_catalog.pg_namespace AS s ON s.oid OPERATOR(pg_catalog.=) c.connamespace
	WHERE c.confrelid OPERATOR(pg_catalog.=) 'rhesis_notify.task_notifications'::regclass AND c.condeferrable;

	-- Delete all rows at once, if no constraint or trigger of the application refuses that.
	BEGIN
		DELETE FROM rhesis_notify.task_notifications AS n
		WHERE n.finished_at OPERATOR(pg_catalog.<) before;
		GET DIAGNOSTICS removed = ROW_COUNT;
		IF deferred IS NOT NULL THEN
			EXECUTE deferred;
		END IF;
		done := true;
	EXCEPTION WHEN OTHERS THEN
		-- Handle only errors that may be about a row, not those of the server or of another
		-- session.
		IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{08,25,40,53,54,55,57,58,F0,XX}'::text[]) THEN
			RAISE;
		END IF;
		removed := 0;
	END;

	-- Otherwise delete in batches. Halve a batch that fails, until rows that cannot be deleted are
	-- alone.
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
				HINT = 'A foreign key to rhesis_notify.task_notifications needs ON DELETE CASCADE or SET NULL and an index; a trigger must not refuse the deletion. All other rows were removed.';
	END IF;
	PERFORM pg_catalog.set_config('session_replication_role', role, true) WHERE role OPERATOR(pg_catalog.=) 'replica';
	RETURN removed;
END
$function$;

CREATE OR REPLACE FUNCTION rhesis_notify.resume() RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	role text := pg_catalog.current_setting('session_replication_role');
	was_paused boolean;
BEGIN
	-- With session_replication_role = replica, the trigger keep_own_pause would ignore the change.
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

CREATE OR REPLACE FUNCTION rhesis_notify.adopt_database(send_pending boolean) RETURNS bigint
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
			USING HINT = 'Only rhesis_notify.instance distinguishes a copied data directory from its original. To stop single '
				'notifications, call rhesis_notify.cancel(id).';
		RETURN 0;
	END IF;

	-- With session_replication_role = replica, the triggers ignore_replicated would ignore the
	-- changes below.
	PERFORM pg_catalog.set_config('session_replication_role', 'origin', true) WHERE role OPERATOR(pg_catalog.=) 'replica';

	-- pg_restore --disable-triggers turns all triggers of a table into ordinary ones, which do not
	-- fire for replicated changes.
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

	-- The original may have mailed a notification that was being sent. With true, the worker
	-- decides about it, as after a crash.
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

CREATE OR REPLACE FUNCTION rhesis_notify.grant_to(grantee regrole, privileges text DEFAULT 'task') RETURNS void
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
		-- Name each function, so that none is granted by accident: trigger functions are only for
		-- our triggers. Add a new function for operators here, and in the update script's copy.
		-- test/pgtap/privileges.sql fails if one is missing.
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

-- Comments whose text has changed.

COMMENT ON FUNCTION rhesis_notify.wake_workers() IS
	'Wakes this database''s workers when the current transaction commits. They then try at once '
	'what they wait for: a mail server after a back-off, or recipients that could not be read. If '
	'this is called often, they try some seconds later. An insert into task_notifications wakes '
	'the workers that could send its mail';
COMMENT ON TYPE rhesis_notify.delivery_state IS
	'pending: waits for a worker; sending: claimed by a worker; deferred: a temporary failure, '
	'due again at next_attempt_at; held: waits for retry() or cancel(); sent: accepted by the '
	'SMTP server; failed: given up, because it was refused, its attempts are used up or it cannot '
	'be rendered; skipped: no mail is owed, and the reason says why; cancelled: stopped by '
	'cancel(), or in a copy by adopt_database()';
COMMENT ON COLUMN rhesis_notify.task_notifications.user_id IS
	'The user who submitted the task, as text, whatever type the application''s key has. Null or '
	'empty: no user, so no mail';
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
COMMENT ON COLUMN rhesis_notify.task_notifications.delivery_status IS
	'The state of the mail, see type delivery_state';
COMMENT ON COLUMN rhesis_notify.task_notifications.delivery_reason IS
	'Why it was deferred, held, failed, skipped or, in a copy, cancelled: a code, such as '
	'silent_task or smtp_permanent. Null in the states pending and sent';
COMMENT ON COLUMN rhesis_notify.task_notifications.attempts IS
	'Attempts made to send or to prepare this mail. An attempt that meets an error of the mail '
	'server itself does not count. retry() starts again from 0';
COMMENT ON COLUMN rhesis_notify.task_notifications.claimed_by IS
	'The epoch of the worker that holds the row while the state is sending';
COMMENT ON COLUMN rhesis_notify.task_notifications.recipient_email IS
	'The recipient''s address, as it was at the last attempt';
COMMENT ON CONSTRAINT task_id_has_1_to_500_characters ON rhesis_notify.task_notifications IS
	'An index entry must have space for the id';
COMMENT ON CONSTRAINT task_name_has_1_to_100000_characters ON rhesis_notify.task_notifications IS
	'Registrations are found by the task''s name';
COMMENT ON CONSTRAINT result_is_an_object ON rhesis_notify.task_notifications IS
	'The keys of the object become template variables';
COMMENT ON CONSTRAINT attempts_are_not_negative ON rhesis_notify.task_notifications IS 'Attempts are counted up from 0';
COMMENT ON CONSTRAINT claimed_while_sending ON rhesis_notify.task_notifications IS
	'A row names its worker exactly while it is being sent';
COMMENT ON CONSTRAINT finished_in_a_final_state ON rhesis_notify.task_notifications IS
	'A row has finished_at exactly while its state is final: retention finds rows by finished_at';
COMMENT ON INDEX rhesis_notify.task_notifications_due IS
	'Unfinished notifications, in the order in which they are mailed';
COMMENT ON INDEX rhesis_notify.task_notifications_finished IS
	'Finds the notifications that retention removes';
COMMENT ON TRIGGER wake_workers ON rhesis_notify.task_notifications IS
	'Only sets a flag in the task''s transaction. The workers wake when the transaction commits';
COMMENT ON TABLE rhesis_notify.delivery_events IS
	'The history of notifications: each attempt that did not succeed, and other events that an '
	'operator should know. Rows are only added, and are deleted with their notification. A '
	'successful attempt has no row';
COMMENT ON COLUMN rhesis_notify.delivery_events.event IS
	'deferred: an attempt that will be repeated; failed: an attempt after which the mail was '
	'given up; in_doubt: the SMTP server may or may not have accepted the mail; '
	'template_fallback: another template or subject replaced one that could not be used; '
	'result_cut: the result was too large to be read whole; retried: somebody called retry(); '
	'cancelled: somebody called cancel(), or in a copy adopt_database()';
COMMENT ON INDEX rhesis_notify.delivery_events_in_doubt IS
	'Finds held notifications: each of them has an event in_doubt';
COMMENT ON SEQUENCE rhesis_notify.worker_epoch IS
	'Numbers workers: each start of a worker gets a number. It begins with the microsecond at '
	'which the extension was created, and is not dumped. So the rows of a restored dump never '
	'name a worker of the new database';
COMMENT ON FUNCTION rhesis_notify.task_completed(text, text, text, text, text, jsonb, text, timestamptz, timestamptz, text, text) IS
	'Reports a finished task, in the transaction of its last write: inserts into '
	'task_notifications and returns the new id, or null if a task with this task_id has reported '
	'before. The arguments are the columns of the same name; completed_at is now() if it is null. '
	'A value that the table refuses, such as a status that is neither success nor failed, is the '
	'table''s error (check_violation). It is also an error if the sequence gives an id a second '
	'time (object_not_in_prerequisite_state), or if a trigger or a rule of yours suppresses the '
	'row (triggered_action_exception)';
COMMENT ON COLUMN rhesis_notify.shipped_templates.name IS
	'The name that task_notifications.template, a registration or a partial tag uses';
COMMENT ON TABLE rhesis_notify.templates IS
	'Your own templates, which replace the shipped ones part by part. A mail takes each part from '
	'the organization''s template, else from the template for all organizations, else from the '
	'shipped one. A partial such as layout is replaced in the same way';
COMMENT ON COLUMN rhesis_notify.templates.organization_id IS
	'The organization that the template is for; null: all organizations';
COMMENT ON COLUMN rhesis_notify.templates.name IS
	'The name that task_notifications.template, a registration or a partial tag uses';
COMMENT ON COLUMN rhesis_notify.templates.subject IS
	'Mustache template of the subject; null: this row does not replace the subject';
COMMENT ON COLUMN rhesis_notify.templates.html IS
	'Mustache template of the HTML part; null: this row does not replace that part';
COMMENT ON COLUMN rhesis_notify.templates.text IS
	'Mustache template of the plain-text part; null: this row does not replace that part';
COMMENT ON CONSTRAINT templates_organization_and_name ON rhesis_notify.templates IS
	'One row for a name and an organization, and one for a name and all organizations';
COMMENT ON FUNCTION rhesis_notify.check_template() IS
	'Trigger function: refuses a template that cannot be parsed or names a partial that does not '
	'exist';
COMMENT ON FUNCTION rhesis_notify.templates_changed() IS
	'Trigger function: makes every session drop the parsed templates that it keeps';
COMMENT ON TRIGGER templates_changed ON rhesis_notify.templates IS
	'Sessions keep parsed templates until this trigger reports a change';
COMMENT ON TRIGGER templates_changed ON rhesis_notify.shipped_templates IS
	'Sessions keep parsed templates until this trigger reports a change';
COMMENT ON TABLE rhesis_notify.shipped_task_types IS
	'The tasks that are mailed by default. Not dumped: email_notification() and silence() write '
	'your own choices to custom_task_types, which replace these rows';
COMMENT ON COLUMN rhesis_notify.shipped_task_types.task_name IS
	'The task''s full name, or the part after its last dot';
COMMENT ON COLUMN rhesis_notify.shipped_task_types.display_name IS
	'The task''s name in its mails; null: the name that it reports';
COMMENT ON TABLE rhesis_notify.custom_task_types IS
	'Registrations by email_notification() and silence(). A row replaces that of the same name in '
	'shipped_task_types';
COMMENT ON COLUMN rhesis_notify.custom_task_types.task_name IS
	'The task''s full name, or the part after its last dot';
COMMENT ON COLUMN rhesis_notify.custom_task_types.silent IS
	'True: the task is not mailed, even if it is in shipped_task_types';
COMMENT ON COLUMN rhesis_notify.custom_task_types.display_name IS
	'The task''s name in its mails; null: the name that it reports';
COMMENT ON CONSTRAINT task_name_is_not_empty ON rhesis_notify.custom_task_types IS
	'Registrations are found by the task''s name';
COMMENT ON CONSTRAINT silent_or_with_a_template ON rhesis_notify.custom_task_types IS
	'A task that is mailed needs a template, and a silent task has none';
COMMENT ON VIEW rhesis_notify.task_types IS
	'Which tasks are mailed, and how. A task is looked up by its full name, else by the part '
	'after its last dot. A row of task_notifications that names a template is mailed in any case';
COMMENT ON COLUMN rhesis_notify.task_types.task_name IS
	'The task''s full name, or the part after its last dot';
COMMENT ON COLUMN rhesis_notify.task_types.silent IS 'True: the task is not mailed';
COMMENT ON COLUMN rhesis_notify.task_types.display_name IS
	'The task''s name in its mails; null: the name that it reports';
COMMENT ON FUNCTION rhesis_notify.email_notification(text, text, text, text) IS
	'Registers a task''s full name, or the part after its last dot: from now on every finished '
	'task of that name is mailed. Another call replaces the registration. template must exist '
	'(else undefined_object). subject_template: null or empty means the template''s subject. '
	'display_name is the task''s name in its mails: null or empty means the name that it reports';
COMMENT ON FUNCTION rhesis_notify.silence(text) IS
	'Ends a registration, even a shipped one: from now on finished tasks of that name (a full '
	'name, or the part after the last dot) are skipped (silent_task), unless their row names a '
	'template';
COMMENT ON FUNCTION rhesis_notify.mustache(text, jsonb, jsonb, boolean) IS
	'Renders a Mustache template (spec 1.4 with inheritance, without lambdas). variables is an '
	'object. partials is an object of names and templates. escape_html false leaves {{name}} as '
	'it is. Returns null if an argument is null. If a template cannot be parsed or rendered, the '
	'error names the line and the tag';
COMMENT ON FUNCTION rhesis_notify.render_template(text, jsonb, text) IS
	'Renders a template as an organization''s mail shows it (null: the template for all '
	'organizations), with your own variables. from_name, frontend_url, result_url and the '
	'variables that follow from status are added if you do not give them. A template that cannot '
	'be rendered is an error';
COMMENT ON FUNCTION rhesis_notify.preview(bigint) IS
	'The mail of a notification, as it would be sent now. Nothing is sent. If no mail is owed, or '
	'none can be rendered, reason says why. notification_id is the id in task_notifications (else '
	'no_data_found)';
COMMENT ON FUNCTION rhesis_notify.preview_message(bigint) IS
	'The mail of a notification byte by byte, as the SMTP server would get it now (before dots '
	'are doubled). Nothing is sent. Null, with a notice that says why, if no mail is owed or none '
	'can be composed';
COMMENT ON FUNCTION rhesis_notify.render_diff(text, text, text, text, integer, text) IS
	'What a change of a template would do. Renders the last notifications that use the template, '
	'as they are now and as if this row were in templates; parts that are null stay as they are. '
	'A template without a subject is a partial: then any notification counts. Returns one row for '
	'each mail that would change: it fails, loses variable (one that has a value), or differs';
COMMENT ON FUNCTION rhesis_notify.template_variables(text, text) IS
	'What a template and its partials use: a row for each name, with its use (variable, section, '
	'partial), the part, and the place of the first use. Further rows have the variables that it '
	'could use but does not. A name without a description is a key of the task''s result, or of '
	'an object in it. organization_id: with that organization''s templates';
COMMENT ON FUNCTION rhesis_notify.email_notification_test(text, text) IS
	'Queues a test mail and returns the notification''s id. It goes to the given user, else to '
	'the user in the setting app.current_user, in the session''s organization. The template shows '
	'the message as its variable message';
COMMENT ON FUNCTION rhesis_notify.skip_used_event_ids() IS
	'If the sequence of delivery_events.id is behind the rows, as after logical replication, '
	'moves it past them. retry(), cancel() and adopt_database() call it, so that they can record '
	'their events';
COMMENT ON FUNCTION rhesis_notify.retry(bigint) IS
	'Makes a notification that is held, deferred, failed, skipped or cancelled due at once, with '
	'all its attempts again. If the worker is backing off from the mail server, it tries the '
	'server at once with one mail (some seconds later if this is called often). Returns false, '
	'with a notice, if the notification is pending, sending, sent or older than '
	'rhesis_notify.expire_after. id is that of task_notifications (else no_data_found)';
COMMENT ON FUNCTION rhesis_notify.retry_all(timestamptz, rhesis_notify.delivery_state) IS
	'Retries the notifications that became failed, skipped or cancelled since the given time, '
	'except those older than rhesis_notify.expire_after. Returns their number. Any other state is '
	'an error (invalid_parameter_value)';
COMMENT ON FUNCTION rhesis_notify.retry_failed(timestamptz) IS
	'Retries the notifications that failed since the given time, except those older than '
	'rhesis_notify.expire_after. Returns their number';
COMMENT ON FUNCTION rhesis_notify.cancel(bigint) IS
	'Stops a notification that is pending, deferred or held. If it returns true, the mail is not '
	'sent. Returns false, with a notice, if the notification is sending or already finished. id '
	'is that of task_notifications (else no_data_found)';
COMMENT ON FUNCTION rhesis_notify.purge(interval) IS
	'Removes notifications that were finished longer ago than older_than, with their events, in '
	'one transaction. Returns their number. Notifications that a foreign key or a trigger of the '
	'application keeps stay, with one WARNING that says why. rhesis_notify.retention does the same '
	'automatically, in small batches';
COMMENT ON TABLE rhesis_notify.database_pause IS
	'Has one row while this database''s mail is paused; see pause() and resume()';
COMMENT ON FUNCTION rhesis_notify.pause() IS
	'Stops this database''s mail: rows wait until resume(), even across a restart or a failover. '
	'Mails that are being sent are still sent. Returns true; false, with a notice, if the mail '
	'was paused already';
COMMENT ON FUNCTION rhesis_notify.resume() IS
	'Ends pause(). Returns true; false, with a notice, if the mail was not paused';
COMMENT ON TABLE rhesis_notify.database_identity IS
	'Which database this is. It is dumped: a restored dump has the row of its original, whose '
	'token is not that of database_birth, and so the database is recognised as a copy. '
	'adopt_database() replaces the row';
COMMENT ON COLUMN rhesis_notify.database_identity.token IS
	'Equal to the token in database_birth; if it differs, this database is a copy';
COMMENT ON COLUMN rhesis_notify.database_identity.system_identifier IS
	'The server''s identifier, see pg_control_system(). If it differs, pg_upgrade has made the '
	'server, and the worker updates this column';
COMMENT ON COLUMN rhesis_notify.database_identity.database_oid IS
	'The database''s oid in pg_database. If it differs, CREATE DATABASE ... TEMPLATE has made a '
	'copy';
COMMENT ON COLUMN rhesis_notify.database_identity.instance IS
	'The value of rhesis_notify.instance at adopted_at; empty: it was not set. If the setting has '
	'another value now, the database is a copy';
COMMENT ON TABLE rhesis_notify.database_birth IS
	'The twin of database_identity. It is not dumped, so it is as old as this database''s '
	'extension';
COMMENT ON COLUMN rhesis_notify.database_birth.token IS
	'Equal to the token in database_identity; if it differs, this database is a copy';
COMMENT ON COLUMN rhesis_notify.database_birth.born IS
	'A minute before the extension was created. A due notification that was created before this '
	'time came with a restore, or with the first copy of a subscription. -infinity after '
	'adopt_database(), and after an update from 1.0';
COMMENT ON FUNCTION rhesis_notify.copy_sign() IS
	'The sign that this database is a copy of another one, in words; null: it is itself. At most '
	'100,000 unfinished notifications are examined';
COMMENT ON FUNCTION rhesis_notify.adopt_database(boolean) IS
	'Makes a copy, in which nothing is mailed, a database of its own. With send_pending true, what '
	'waits is sent with this database''s templates: a notification that was being sent when the '
	'copy was made is in doubt, as after a crash, and a held one stays held. With false, all of '
	'them are cancelled (reason copied; retry_all() makes them due again). Returns the number of '
	'these notifications. A pause stays. If the database is not a copy, changes nothing and gives '
	'a notice. send_pending must not be null (null_value_not_allowed)';
COMMENT ON FUNCTION rhesis_notify.ignore_replicated() IS
	'Trigger function: ignores replicated changes of a table whose rows belong to each server '
	'alone';
COMMENT ON FUNCTION rhesis_notify.keep_own_pause() IS
	'Trigger function: accepts a replicated pause if this database is not paused, and ignores the '
	'replicated end of a pause';
COMMENT ON TRIGGER ignore_replicated ON rhesis_notify.shipped_templates IS
	'The rows came with this server''s own extension';
COMMENT ON TRIGGER ignore_replicated ON rhesis_notify.shipped_task_types IS
	'The rows came with this server''s own extension';
COMMENT ON TRIGGER ignore_replicated ON rhesis_notify.database_birth IS
	'A publisher''s identity makes this database a copy, so a publisher''s birth must not come '
	'with it';
COMMENT ON TRIGGER keep_own_pause ON rhesis_notify.database_pause IS
	'A pause ends only where resume() is called';
COMMENT ON COLUMN rhesis_notify.delivery_status.id IS
	'The id in task_notifications, for retry(), cancel() and preview()';
COMMENT ON COLUMN rhesis_notify.delivery_status.recipient IS 'The recipient''s address, if it is known; else the user';
COMMENT ON COLUMN rhesis_notify.delivery_status.state IS
	'The state of the mail, see type delivery_state';
COMMENT ON COLUMN rhesis_notify.delivery_status.reason IS
	'Why it was deferred, held, failed, skipped or, in a copy, cancelled: a code, such as '
	'silent_task or smtp_permanent';
COMMENT ON COLUMN rhesis_notify.delivery_status.attempts IS 'Attempts made';
COMMENT ON COLUMN rhesis_notify.queue_status.notifications IS 'How many notifications are in this state';
COMMENT ON COLUMN rhesis_notify.queue_status.oldest_due IS
	'For how long the oldest of them has been due: normally some seconds';
COMMENT ON FUNCTION rhesis_notify.worker_slots() IS
	'The worker processes of this server, from shared memory; see worker_status';
COMMENT ON VIEW rhesis_notify.worker_status IS
	'One row per worker process. The counts begin at the start of the server. Workers of other '
	'databases are shown only to pg_read_all_stats, which pg_monitor has';
COMMENT ON COLUMN rhesis_notify.worker_status.database IS 'The database that it serves';
COMMENT ON COLUMN rhesis_notify.worker_status.state IS
	'What it is doing: starting, idle, sending, looking up recipients (for longer than usual), '
	'paused, a copy (nothing is mailed until adopt_database()), mail off (settings are '
	'incomplete), backing off (the SMTP server has failed), waiting for recipients (the '
	'application''s relations cannot be read), waiting after an error (of a statement on the '
	'queue), waiting for a standby (a commit waits for a synchronous one), stopping or stopped';
COMMENT ON COLUMN rhesis_notify.worker_status.in_flight IS 'Mails that are being sent';
COMMENT ON COLUMN rhesis_notify.worker_status.deferred IS
	'Attempts that will be repeated, and mails returned to the queue because the SMTP server has '
	'failed';
COMMENT ON COLUMN rhesis_notify.worker_status.last_error IS
	'The last error, of the SMTP server or of our own statements. It stays after its cause is '
	'gone, see last_error_at. Its words may contain any user''s address: only roles that may read '
	'every organization''s notifications, such as an operator, see them. Others see a reply''s '
	'code';
COMMENT ON COLUMN rhesis_notify.worker_status.backing_off_until IS
	'It does not use the SMTP server until then; null: it is not backing off';
COMMENT ON FUNCTION rhesis_notify.explain(bigint) IS
	'Why a notification is where it is: one row for each decision, in the worker''s order: task, '
	'opted in, age, recipient, template; while it waits also pause, worker, mail server and pace; '
	'its attempts with the server''s replies; its state; what comes next, and when. Decisions are '
	'made again, for the present time, and nothing is changed; attempts and state are what was '
	'recorded. advice says what to do. The error is no_data_found (P0002) if there is no such '
	'notification';
COMMENT ON FUNCTION rhesis_notify.health() IS
	'Whether this database''s mail goes out: one row for each check, with what was found and, if '
	'it is not ok, what to do. It opens no connection: it reports what the workers know about the '
	'mail server, and since when. These are also not ok: a pause, a mail that has been due for 5 '
	'minutes, a held mail, and more than one failed mail in 20 within an hour. It costs as much '
	'as metrics(), and also reads the notifications that ended in the last hour, at most 100,000';
COMMENT ON FUNCTION rhesis_notify.metrics() IS
	'This database''s workers and queue in Prometheus'' text format. Times are in seconds. '
	'Counters end in _total and begin at the start of the server. No address, reply or setting is '
	'included. Due notifications are counted in their index: a million take about 0.1 s. At most '
	'100,000 unfinished rows are read and counted; finished rows cost nothing';
COMMENT ON FUNCTION rhesis_notify.metric_samples(text) IS
	'The samples of metrics() as rows, for exporters that run SQL: one row for each sample. about '
	'is worker, queue or database, the word after rhesis_notify_ in the names; null: all. Any '
	'other value is an error (invalid_parameter_value)';
COMMENT ON FUNCTION rhesis_notify.send_task_completion_email(text, text, text, text, text, text, text, text, text) IS
	'Sends one mail now, in this session, without the queue. Returns true if the SMTP server '
	'accepted it; else false, with the reason as a WARNING. It waits for the server, at most '
	'rhesis_notify.connect_timeout and rhesis_notify.send_timeout, and can be cancelled. A '
	'rollback does not recall the mail';
COMMENT ON FUNCTION rhesis_notify.check_smtp() IS
	'Tries the SMTP settings step by step: settings, name lookup, connect, TLS, authentication, '
	'MAIL FROM, RCPT TO the sender''s own address, or to rhesis_notify.redirect_all_to (then RSET: '
	'nothing is sent). One row for each step that was reached; a failed step says what to do. '
	'elapsed_ms is the step''s own time in milliseconds';
COMMENT ON FUNCTION rhesis_notify.grant_to(regrole, text) IS
	'Gives a role the privileges that it needs. ''task'': to report tasks (but not to set the '
	'address or the state of a mail), and to see what became of its organization''s. '
	'''operator'': to see every organization''s, and to call every function of the extension '
	'except this one and trigger functions. ''monitor'': to call metrics() and metric_samples(), '
	'which show no address; the role may be pg_monitor. DROP OWNED BY revokes all of it';
COMMENT ON POLICY read_own_organization ON rhesis_notify.task_notifications IS
	'A role reads the rows of the organization that its session has set. If that is not set or '
	'empty, it reads the rows without an organization';
COMMENT ON POLICY read_as_operator ON rhesis_notify.task_notifications IS
	'An operator (a role that may call retry) reads the rows of every organization';
COMMENT ON POLICY insert_own_organization ON rhesis_notify.task_notifications IS
	'A role inserts rows of the organization that its session has set. If that is not set or '
	'empty, it inserts rows of any organization';
