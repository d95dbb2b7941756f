-- rhesis_notify: what version 1.2 changes in the objects of 1.1. test/t/extension_update.pl compares the outcome with a fresh install.

\echo Use "ALTER EXTENSION rhesis_notify UPDATE TO '1.2'" to load this file. \quit

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

-- Without SET session_replication_role, which fails when the owner is a superuser no more.

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

CREATE OR REPLACE FUNCTION rhesis_notify.resume() RETURNS boolean
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
