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
COMMENT ON COLUMN rhesis_notify.database_identity.adopted_at IS 'When the extension was created, or adopt_database() was called';

CREATE TABLE rhesis_notify.database_birth
(
	token uuid PRIMARY KEY,
	born timestamptz NOT NULL
);
COMMENT ON TABLE rhesis_notify.database_birth IS
	'The twin of database_identity. It is not dumped, so it is as old as this database''s '
	'extension';
COMMENT ON COLUMN rhesis_notify.database_birth.token IS
	'Equal to the token in database_identity; if it differs, this database is a copy';
COMMENT ON COLUMN rhesis_notify.database_birth.born IS
	'A minute before the extension was created. A due notification that was created before this '
	'time came with a restore, or with the first copy of a subscription. -infinity after '
	'adopt_database(), and after an update from 1.0';

-- A new database is not a copy: both rows have the same token.
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
	'The sign that this database is a copy of another one, in words; null: it is itself. At most '
	'100,000 unfinished notifications are examined';

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
COMMENT ON FUNCTION rhesis_notify.adopt_database(boolean) IS
	'Makes a copy, in which nothing is mailed, a database of its own. With send_pending true, what '
	'waits is sent with this database''s templates: a notification that was being sent when the '
	'copy was made is in doubt, as after a crash, and a held one stays held. With false, all of '
	'them are cancelled (reason copied; retry_all() makes them due again). Returns the number of '
	'these notifications. A pause stays. If the database is not a copy, changes nothing and gives '
	'a notice. send_pending must not be null (null_value_not_allowed)';
