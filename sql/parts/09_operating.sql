------------------------------------------------------------------------------------------------------------------------
-- Operator functions
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
	'If the sequence of delivery_events.id is behind the rows, as after logical replication, '
	'moves it past them. retry(), cancel() and adopt_database() call it, so that they can record '
	'their events';

CREATE FUNCTION rhesis_notify.retry(id bigint) RETURNS boolean
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
COMMENT ON FUNCTION rhesis_notify.retry(bigint) IS
	'Makes a notification that is held, deferred, failed, skipped or cancelled due at once, with '
	'all its attempts again. If the worker is backing off from the mail server, it tries the '
	'server at once with one mail (some seconds later if this is called often). Returns false, '
	'with a notice, if the notification is pending, sending, sent or older than '
	'rhesis_notify.expire_after. id is that of task_notifications (else no_data_found)';

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
COMMENT ON FUNCTION rhesis_notify.retry_all(timestamptz, rhesis_notify.delivery_state) IS
	'Retries the notifications that became failed, skipped or cancelled since the given time, '
	'except those older than rhesis_notify.expire_after. Returns their number. Any other state is '
	'an error (invalid_parameter_value)';

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
	'Retries the notifications that failed since the given time, except those older than '
	'rhesis_notify.expire_after. Returns their number';

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
	'Stops a notification that is pending, deferred or held. If it returns true, the mail is not '
	'sent. Returns false, with a notice, if the notification is sending or already finished. id '
	'is that of task_notifications (else no_data_found)';

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
COMMENT ON FUNCTION rhesis_notify.purge(interval) IS
	'Removes notifications that were finished longer ago than older_than, with their events, in '
	'one transaction. Returns their number. Notifications that a foreign key or a trigger of the '
	'application keeps stay, with one WARNING that says why. rhesis_notify.retention does the same '
	'automatically, in small batches';

CREATE TABLE rhesis_notify.database_pause
(
	paused boolean PRIMARY KEY DEFAULT true
		CONSTRAINT only_one_row CHECK (paused),
	since timestamptz NOT NULL DEFAULT pg_catalog.now(),
	paused_by text NOT NULL DEFAULT SESSION_USER
);
COMMENT ON TABLE rhesis_notify.database_pause IS
	'Has one row while this database''s mail is paused; see pause() and resume()';
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
	'Stops this database''s mail: rows wait until resume(), even across a restart or a failover. '
	'Mails that are being sent are still sent. Returns true; false, with a notice, if the mail '
	'was paused already';

CREATE FUNCTION rhesis_notify.resume() RETURNS boolean
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
COMMENT ON FUNCTION rhesis_notify.resume() IS
	'Ends pause(). Returns true; false, with a notice, if the mail was not paused';
