-- rhesis_notify: what version 1.1 changes in the objects of 1.0. test/t/extension_update.pl compares the outcome with a fresh install.

\echo Use "ALTER EXTENSION rhesis_notify UPDATE TO '1.1'" to load this file. \quit

-- The library that the server has loaded knows these objects, or nothing is done.
DO $do$
BEGIN
	CREATE FUNCTION rhesis_notify.require_library(version text) RETURNS void
	LANGUAGE c STRICT
	AS 'MODULE_PATHNAME', 'rhesis_notify_require_library';
EXCEPTION WHEN undefined_function THEN
	RAISE EXCEPTION 'the library of rhesis_notify that the server has loaded is older than version 1.1 of its objects'
		USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Restart the server, so that it loads the one that is installed.';
END
$do$;
SELECT rhesis_notify.require_library('1.1');
DROP FUNCTION rhesis_notify.require_library(text);

-- The triggers that leave out what replication brings must not take the rows below for that.
SET LOCAL session_replication_role = origin;

-- A task's id is no word of a language, and compared byte by byte its index costs less. It is built anew: a second per million rows.
ALTER TABLE rhesis_notify.task_notifications ALTER COLUMN task_id TYPE text COLLATE "C";

-- A claim is to change no index: none knows whether a row waits or is being sent, and on a new page there is room for each row's new
-- version. Those that are there have none, and are finished soon.
DROP INDEX rhesis_notify.task_notifications_due, rhesis_notify.task_notifications_sending;
CREATE INDEX task_notifications_due ON rhesis_notify.task_notifications (next_attempt_at, id)
	WHERE finished_at IS NULL;
COMMENT ON INDEX rhesis_notify.task_notifications_due IS 'What is not finished, in the order in which it is worked off';

-- Vacuum reads the indexes of all that is kept, and was called for each fiftieth of it. What somebody has chosen stays.
DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_catalog.pg_class AS c
			   WHERE c.oid OPERATOR(pg_catalog.=) 'rhesis_notify.task_notifications'::pg_catalog.regclass
				AND c.reloptions OPERATOR(pg_catalog.@>)
				'{autovacuum_vacuum_scale_factor=0.02,autovacuum_vacuum_insert_scale_factor=0.05}'::text[])
	THEN
		ALTER TABLE rhesis_notify.task_notifications
			SET (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_insert_scale_factor = 0.1);
	END IF;
	IF EXISTS (SELECT FROM pg_catalog.pg_class AS c
			   WHERE c.oid OPERATOR(pg_catalog.=) 'rhesis_notify.task_notifications'::pg_catalog.regclass
				AND c.reloptions OPERATOR(pg_catalog.@>) '{fillfactor=70}'::text[])
	THEN
		ALTER TABLE rhesis_notify.task_notifications SET (fillfactor = 50);
	END IF;
END
$$;

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
REVOKE ALL ON FUNCTION rhesis_notify.explain(bigint) FROM PUBLIC;
COMMENT ON TYPE rhesis_notify.delivery_state IS
	'pending: waiting for a worker; sending: claimed by a worker, on its way; deferred: a temporary failure, due again at '
	'next_attempt_at; held: stands still until retry() or cancel(); sent: accepted by the SMTP server; failed: given up, '
	'since it was refused, its attempts are used up or it cannot be rendered; skipped: no mail is owed, the reason says '
	'why; cancelled: stopped by cancel(), or in a copy by adopt_database()';
COMMENT ON COLUMN rhesis_notify.delivery_events.event IS
	'deferred: an attempt that is to be repeated; failed: an attempt after which the mail was given up; in_doubt: the SMTP '
	'server may or may not have accepted the mail; template_fallback: a template or subject could not be used and '
	'another one was; result_cut: the result is too large to be read whole; retried: somebody called retry(); cancelled: somebody called cancel(), or in a copy adopt_database()';
COMMENT ON FUNCTION rhesis_notify.wake_workers() IS
	'Wakes this database''s workers when the current transaction commits, and has them try at once what they wait for: a mail server '
	'that is left alone, recipients that cannot be read. It is tried again some seconds later when that is called often. An insert '
	'into task_notifications wakes those that could send its mail';
COMMENT ON FUNCTION rhesis_notify.task_completed(text, text, text, text, text, jsonb, text, timestamptz, timestamptz, text, text) IS
	'Reports a finished task, in the transaction of its last write: inserts into task_notifications and returns the new id, '
	'or null when a task of this task_id has reported before. The arguments are the columns of that name; completed_at is '
	'now() where none is given. What the table refuses, such as a status that is neither success nor failed, is its error '
	'(check_violation). An id that the sequence gives a second time is an error too (object_not_in_prerequisite_state)';
COMMENT ON FUNCTION rhesis_notify.check_template() IS
	'Trigger: refuses a template that cannot be parsed or names a partial that does not exist';
COMMENT ON TRIGGER check_template ON rhesis_notify.templates IS 'A template that cannot work is refused when it is written';
COMMENT ON FUNCTION rhesis_notify.email_notification(text, text, text, text) IS
	'Registers a task''s name, in full or its last part after a dot: from now on every finished task of that name is '
	'mailed. Registering it again replaces that. template has to exist (else undefined_object); subject_template, null or '
	'empty: the template''s subject; display_name, what its mails call it, null or empty: the task''s name';
COMMENT ON FUNCTION rhesis_notify.silence(text) IS
	'Takes a registration back, a shipped one too: from now on finished tasks of that name, in full or its last part after '
	'a dot, are skipped (silent_task), unless their row names a template';
COMMENT ON FUNCTION rhesis_notify.mustache(text, jsonb, jsonb, boolean) IS
	'Renders a Mustache template (spec 1.4 with inheritance, without lambdas). variables is an object; partials is an '
	'object of names and templates; escape_html false leaves {{name}} as it is. Null when an argument is null. What cannot '
	'be parsed or rendered is an error that names the line and the tag';
COMMENT ON FUNCTION rhesis_notify.preview(bigint) IS
	'The mail of a notification, as it would be sent now; nothing is sent. Where no mail is owed, or none can be rendered, '
	'reason says why. notification_id is the id in task_notifications (else no_data_found)';
COMMENT ON FUNCTION rhesis_notify.retry(bigint) IS
	'Makes a notification due at once, with all its attempts before it: one that is held, deferred, failed, skipped or cancelled. '
	'A mail server that is left alone is tried at once, with one mail (again some seconds later when this is called '
	'often). False, with a notice, when it is pending, sending, sent or older than rhesis_notify.expire_after. id is '
	'that of task_notifications (else no_data_found)';
COMMENT ON FUNCTION rhesis_notify.cancel(bigint) IS
	'Stops a notification that is pending, deferred or held: when it says true, no mail of it goes out. False, with a '
	'notice, when it is sending or already finished. id is that of task_notifications (else no_data_found)';
COMMENT ON FUNCTION rhesis_notify.purge(interval) IS
	'Removes what was finished longer ago than that, with its events, in one transaction; returns how many notifications. Those that '
	'a foreign key or a trigger of the application keeps stay, with one WARNING that says why. rhesis_notify.retention does the same by '
	'itself, in small batches';
COMMENT ON FUNCTION rhesis_notify.pause() IS
	'Stops this database''s mail: rows wait, until resume(), also over a restart or a failover. What is on the wire goes '
	'out. True; false, with a notice, when it was paused already';
ALTER FUNCTION rhesis_notify.resume() SET session_replication_role = origin;
COMMENT ON FUNCTION rhesis_notify.resume() IS
	'Takes pause() back. True; false, with a notice, when the mail was not paused';
COMMENT ON COLUMN rhesis_notify.task_notifications.delivery_reason IS
	'Why it was deferred, held, failed, skipped or, in a copy, cancelled: a code, such as silent_task or smtp_permanent; null while '
	'pending and once sent';
COMMENT ON COLUMN rhesis_notify.delivery_status.reason IS
	'Why it was deferred, held, failed or skipped: a code, such as silent_task or smtp_permanent';
COMMENT ON COLUMN rhesis_notify.worker_status.state IS
	'What it is doing: starting, idle, sending, looking up recipients (for longer than usual), paused, a copy (nothing is mailed until adopt_database()), mail off (settings are incomplete), backing off (the SMTP server is '
	'in trouble), waiting for recipients (the app''s relations cannot be read), waiting after an error (of the queue''s '
	'own), waiting for a standby (a commit waits for a synchronous one), stopping or stopped';
COMMENT ON COLUMN rhesis_notify.worker_status.deferred IS
	'Attempts that are to be repeated, and mails given back since the server is in trouble';
COMMENT ON COLUMN rhesis_notify.worker_status.last_error IS
	'The last trouble, of the server or of ours; kept when it is over, see last_error_at. Its words may name anybody''s address: they are '
	'for roles that may read every organization''s notifications, such as an operator. Others see a reply''s code';
COMMENT ON COLUMN rhesis_notify.worker_status.backing_off_until IS
	'It leaves the SMTP server alone until then; null when it does not';

-- On the small table: on the large one it would keep tasks from reporting meanwhile.
CREATE INDEX delivery_events_in_doubt ON rhesis_notify.delivery_events (notification_id) WHERE event = 'in_doubt';
COMMENT ON INDEX rhesis_notify.delivery_events_in_doubt IS 'Finds what may be held: only what was in doubt is';

ALTER FUNCTION rhesis_notify.check_smtp() ROWS 7;
COMMENT ON FUNCTION rhesis_notify.check_smtp() IS
	'Tries the SMTP settings, step by step: settings, name lookup, connect, TLS, authentication, MAIL FROM, RCPT TO the own '
	'address (then RSET: nothing is sent). One row for each step that was reached, the failed one with what to do about it; '
	'elapsed_ms is its own time in milliseconds';

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
REVOKE ALL ON FUNCTION rhesis_notify.health() FROM PUBLIC;

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
REVOKE ALL ON FUNCTION rhesis_notify.metrics(), rhesis_notify.metric_samples(text) FROM PUBLIC;

-- A database that was updated is nobody's copy.
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

WITH identity AS
	(INSERT INTO rhesis_notify.database_identity (token, system_identifier, database_oid, instance)
	 SELECT pg_catalog.gen_random_uuid(), control.system_identifier, this.oid,
		COALESCE(pg_catalog.current_setting('rhesis_notify.instance', true), '')
	 FROM pg_catalog.pg_control_system() AS control
	 JOIN pg_catalog.pg_database AS this ON this.datname = pg_catalog.current_database()
	 RETURNING token)
INSERT INTO rhesis_notify.database_birth (token, born)
SELECT token, '-infinity' FROM identity;

SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.database_identity', '');

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
SET session_replication_role = origin
AS $function$
DECLARE
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

CREATE OR REPLACE FUNCTION rhesis_notify.retry_failed(since timestamptz) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	RETURN rhesis_notify.retry_all(since, 'failed');
END
$function$;

REVOKE ALL ON rhesis_notify.database_identity, rhesis_notify.database_birth FROM PUBLIC;
REVOKE ALL ON FUNCTION rhesis_notify.copy_sign(), rhesis_notify.adopt_database(boolean), rhesis_notify.ignore_replicated(),
	rhesis_notify.keep_own_pause(), rhesis_notify.retry_all(timestamptz, rhesis_notify.delivery_state),
	rhesis_notify.skip_used_event_ids() FROM PUBLIC;

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

-- Version 1.0 granted every function to operators. One of a trigger is for our triggers alone: nobody else needs it. Of functions
-- and tables that this version adds, ALTER DEFAULT PRIVILEGES may have granted some: they are for those that grant_to gives them to.
DO $do$
DECLARE
	granted record;
BEGIN
	FOR granted IN
		SELECT p.oid::regprocedure AS function,
			CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END AS grantee
		FROM pg_catalog.pg_proc AS p
		CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) AS acl
		WHERE p.pronamespace OPERATOR(pg_catalog.=) 'rhesis_notify'::regnamespace
			AND acl.grantee OPERATOR(pg_catalog.<>) p.proowner
			AND (p.prorettype OPERATOR(pg_catalog.=) 'trigger'::regtype
				 OR p.proname OPERATOR(pg_catalog.=) 
					ANY ('{adopt_database,copy_sign,explain,health,metrics,metric_samples,retry_all,skip_used_event_ids}'::name[]))
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM %s CASCADE', granted.function, granted.grantee);
	END LOOP;
	FOR granted IN
		SELECT DISTINCT acl.grantee::regrole::text AS grantee
		FROM pg_catalog.pg_class AS c
		CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS acl
		WHERE c.oid OPERATOR(pg_catalog.=) ANY
			('{rhesis_notify.database_identity,rhesis_notify.database_birth}'::regclass[])
			AND acl.grantee OPERATOR(pg_catalog.<>) c.relowner
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON rhesis_notify.database_identity, rhesis_notify.database_birth FROM %s CASCADE',
			granted.grantee);
	END LOOP;
END
$do$;

-- What a trigger has suppressed is no success.
CREATE OR REPLACE FUNCTION rhesis_notify.retry(id bigint) RETURNS boolean
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
	RETURN notification_id;
END
$function$;

CREATE OR REPLACE FUNCTION rhesis_notify.cancel(id bigint) RETURNS boolean
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

-- What an application keeps does not keep the others.
CREATE OR REPLACE FUNCTION rhesis_notify.purge(older_than interval) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET session_replication_role = origin
AS $function$
DECLARE
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
		RETURN removed;
	EXCEPTION WHEN OTHERS THEN
		-- Not what is the server's trouble, or another session's.
		IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{08,25,40,53,54,55,57,58,F0,XX}'::text[]) THEN
			RAISE;
		END IF;
		removed := 0;
	END;

	-- Then in batches, each halved until the rows that cannot go stand alone.
	LOOP
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
	RETURN removed;
END
$function$;

-- Only a task that has reported before is no error.
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
	END IF;
	RETURN pg_catalog.currval('rhesis_notify.task_notifications_id_seq');
END
$function$;

-- Times may be infinite.
CREATE OR REPLACE VIEW rhesis_notify.queue_status WITH (security_invoker = true) AS
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

-- The shipped templates, as a fresh install has them.
DELETE FROM rhesis_notify.shipped_templates;
INSERT INTO rhesis_notify.shipped_templates (name, subject, html, text) VALUES ('layout',
NULL
,
$template${{! The frame of every mail. Blocks: title, preheader, banner, statement, content. Override it to brand all mails at once. }}
<!DOCTYPE html>
<html lang="en" dir="ltr" xmlns="http://www.w3.org/1999/xhtml">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="x-apple-disable-message-reformatting">
<meta name="format-detection" content="telephone=no, date=no, address=no, email=no, url=no">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>{{$title}}{{from_name}}{{/title}}</title>
<style>
:root { color-scheme: light dark; supported-color-schemes: light dark; }
@media (max-width: 480px) {
  .page { padding: 0 !important; }
  .card { border-radius: 0 !important; border-width: 0 0 1px 0 !important; }
  .pad { padding-left: 20px !important; padding-right: 20px !important; }
  .key, .value { display: block !important; width: auto !important; }
  .key { padding: 9px 0 0 0 !important; font-size: 13px !important; line-height: 18px !important; }
  .value { padding: 0 0 9px 0 !important; border-top: 0 !important; }
  .action { width: 100% !important; }
  .action a { display: block !important; padding-left: 8px !important; padding-right: 8px !important; }
}
@media (prefers-color-scheme: dark) {
  .page { background-color: #12161b !important; }
  .card { background-color: #1b2128 !important; border-color: #303943 !important; }
  .ink { color: #e8ecf1 !important; }
  .quiet { color: #aab4c0 !important; }
  .rule { border-color: #303943 !important; }
  .link { color: #74c7ea !important; }
  .good { background-color: #143222 !important; color: #b9ecce !important; }
  .bad { background-color: #3d1a19 !important; color: #ffd0cb !important; }
  .mixed { background-color: #3b2d0e !important; color: #ffe2a6 !important; }
  .tile { background-color: #232b34 !important; color: #e8ecf1 !important; }
  .code { background-color: #232b34 !important; border-color: #e0736b !important; }
  .button { background-color: #5bbfe6 !important; }
  .button a { color: #05222f !important; }
}
</style>
<!--[if mso]>
<xml><o:OfficeDocumentSettings xmlns:o="urn:schemas-microsoft-com:office:office"><o:PixelsPerInch>96</o:PixelsPerInch></o:OfficeDocumentSettings></xml>
<style>body, table, td, p, h1, h2, a { font-family: 'Segoe UI', Arial, sans-serif; }</style>
<![endif]-->
</head>
<body class="page" style="margin:0;padding:0;width:100%;background-color:#f3f5f7;-webkit-text-size-adjust:100%;-ms-text-size-adjust:100%;">
<div style="display:none;max-height:0;max-width:0;overflow:hidden;opacity:0;mso-hide:all;">{{$preheader}}{{/preheader}}&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;</div>
<table role="presentation" class="page" width="100%" cellpadding="0" cellspacing="0" border="0" bgcolor="#f3f5f7" style="width:100%;background-color:#f3f5f7;">
<tr>
<td class="page" align="center" style="padding:32px 16px;">
<!--[if mso]><table role="presentation" width="600" cellpadding="0" cellspacing="0" border="0"><tr><td><![endif]-->
<table role="presentation" class="card" width="100%" cellpadding="0" cellspacing="0" border="0" bgcolor="#ffffff" style="width:100%;max-width:600px;margin:0 auto;table-layout:fixed;background-color:#ffffff;border:1px solid #e1e5ea;border-radius:12px;border-collapse:separate;overflow:hidden;font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;text-align:left;">
<tr>
<td height="4" bgcolor="#0b6a94" style="height:4px;background-color:#0b6a94;font-size:0;line-height:4px;">&nbsp;</td>
</tr>
<tr>
<td class="pad" style="padding:18px 32px;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="width:100%;table-layout:fixed;">
<tr>
<td class="ink" dir="auto" style="color:#1c2530;font-size:16px;line-height:24px;font-weight:700;text-align:left;word-break:break-word;">{{from_name}}</td>
{{#organization_name}}
<td class="quiet" dir="auto" align="right" style="padding-left:12px;color:#56606d;font-size:14px;line-height:24px;text-align:right;word-break:break-word;">{{organization_name}}</td>
{{/organization_name}}
</tr>
</table>
</td>
</tr>
<tr>
{{$banner}}
{{#is_failed}}
<td class="pad bad" bgcolor="#fdeceb" style="padding:22px 32px;background-color:#fdeceb;color:#8a1f19;">
<h1 style="margin:0;font-size:24px;line-height:32px;font-weight:700;">&#10060; Task Failed</h1>
{{/is_failed}}
{{^is_failed}}
<td class="pad good" bgcolor="#e7f5ec" style="padding:22px 32px;background-color:#e7f5ec;color:#135132;">
<h1 style="margin:0;font-size:24px;line-height:32px;font-weight:700;">&#9989; Task Completed</h1>
{{/is_failed}}
{{/banner}}
{{#task_name}}
<p style="margin:4px 0 0 0;font-size:16px;line-height:24px;word-break:break-word;"><span dir="auto">{{task_name}}</span>{{#execution_time}} &middot; <span dir="auto">{{execution_time}}</span>{{/execution_time}}</p>
{{/task_name}}
</td>
</tr>
<tr>
<td class="pad ink" style="padding:28px 32px 32px 32px;color:#1c2530;font-size:16px;line-height:24px;word-break:break-word;">
<p style="margin:0 0 12px 0;">Hello{{#recipient_name}} <span dir="auto">{{recipient_name}}</span>{{/recipient_name}},</p>
<p style="margin:0 0 28px 0;">{{$statement}}Your task has completed with status: <strong>{{status_upper}}</strong>{{/statement}}</p>
{{#result_url}}
<table role="presentation" class="action" cellpadding="0" cellspacing="0" border="0" style="margin:0 0 32px 0;border-collapse:separate;">
<tr>
<td class="button" align="center" bgcolor="#0b6a94" style="background-color:#0b6a94;border-radius:8px;mso-padding-alt:14px 32px;"><a href="{{result_url}}" target="_blank" style="display:inline-block;padding:14px 32px;color:#ffffff;font-size:16px;line-height:20px;font-weight:600;text-decoration:none;">View Results</a></td>
</tr>
</table>
{{/result_url}}
{{$content}}{{/content}}
{{#result_url}}
<p class="quiet" style="margin:28px 0 0 0;color:#56606d;font-size:13px;line-height:20px;">If the button does not work, open this address:</p>
<p style="margin:0;font-size:13px;line-height:20px;"><a class="link" href="{{result_url}}" target="_blank" style="display:block;padding:4px 0 20px 0;color:#0b6a94;text-decoration:underline;word-break:break-all;">{{result_url}}</a></p>
{{/result_url}}
{{^result_url}}
<p style="margin:0;font-size:0;line-height:28px;">&nbsp;</p>
{{/result_url}}
<p style="margin:0;">Best regards,<br>{{from_name}} Team</p>
</td>
</tr>
<tr>
<td class="pad quiet rule" style="padding:20px 32px;border-top:1px solid #e1e5ea;color:#56606d;font-size:13px;line-height:20px;word-break:break-word;">You receive this email because you started this task{{#organization_name}} in <span dir="auto">{{organization_name}}</span>{{/organization_name}}.<br>It was sent to you alone.</td>
</tr>
</table>
<!--[if mso]></td></tr></table><![endif]-->
</td>
</tr>
</table>
</body>
</html>
$template$
,
$template${{! The frame of every mail's text part. Blocks: heading, statement, content. }}
{{$heading}}{{status_symbol}} Task {{#is_failed}}Failed{{/is_failed}}{{^is_failed}}Completed{{/is_failed}}{{/heading}}

Hello{{#recipient_name}} {{recipient_name}}{{/recipient_name}},

{{$statement}}Your task has completed with status: {{status_upper}}{{/statement}}

{{#result_url}}
View Results:
{{result_url}}

{{/result_url}}
{{$content}}{{/content}}
Best regards,
{{from_name}} Team

----------------------------------------------------------------------
You receive this email because you started this task{{#organization_name}} in
{{organization_name}}{{/organization_name}}.
It was sent to you alone.
$template$
);
INSERT INTO rhesis_notify.shipped_templates (name, subject, html, text) VALUES ('task_completion',
$template$Task Completed: {task_name} - {status.title()}$template$
,
$template${{! One finished task. }}
{{<layout}}
{{$title}}{{#is_failed}}Task Failed{{/is_failed}}{{^is_failed}}Task Completed{{/is_failed}}: {{task_name}}{{/title}}
{{$preheader}}{{task_name}}: {{status_title}}{{#execution_time}} after {{execution_time}}{{/execution_time}}.{{/preheader}}
{{$content}}
{{#error_message}}
<h2 class="ink" style="margin:0 0 12px 0;color:#1c2530;font-size:16px;line-height:24px;font-weight:700;">Error</h2>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="width:100%;margin:0 0 28px 0;table-layout:fixed;border-collapse:separate;">
<tr>
<td class="code" bgcolor="#f3f5f7" style="padding:14px 16px;background-color:#f3f5f7;border-left:4px solid #c0392f;">
<pre class="ink" dir="auto" style="margin:0;color:#1c2530;font-family:SFMono-Regular,Consolas,'Liberation Mono',Menlo,monospace;font-size:13px;line-height:20px;text-align:left;text-align:start;white-space:pre-wrap;word-wrap:break-word;word-break:break-word;">{{error_message}}</pre>
</td>
</tr>
</table>
{{/error_message}}
<h2 class="ink" style="margin:0 0 12px 0;color:#1c2530;font-size:16px;line-height:24px;font-weight:700;">Task Details</h2>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="width:100%;border-collapse:collapse;">
{{#task_name}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Task Name</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{task_name}}</td>
</tr>
{{/task_name}}
{{#task_id}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Task ID</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-family:SFMono-Regular,Consolas,'Liberation Mono',Menlo,monospace;font-size:13px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{task_id}}</td>
</tr>
{{/task_id}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Status</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{status_title}}</td>
</tr>
{{#completed_at}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Completed at</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{completed_at}}</td>
</tr>
{{/completed_at}}
{{#execution_time}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Execution Time</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{execution_time}}</td>
</tr>
{{/execution_time}}
{{#test_set_name}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Test Set</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{test_set_name}}</td>
</tr>
{{/test_set_name}}
{{#test_set_id}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Test Set ID</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-family:SFMono-Regular,Consolas,'Liberation Mono',Menlo,monospace;font-size:13px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{test_set_id}}</td>
</tr>
{{/test_set_id}}
{{#num_tests_generated}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Tests Generated</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{num_tests_generated}}</td>
</tr>
{{/num_tests_generated}}
{{#test_run_id}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Test Run ID</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-family:SFMono-Regular,Consolas,'Liberation Mono',Menlo,monospace;font-size:13px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{test_run_id}}</td>
</tr>
{{/test_run_id}}
</table>
{{/content}}
{{/layout}}
$template$
,
$template${{! One finished task. }}
{{<layout}}
{{$content}}
{{#error_message}}
Error:
{{error_message}}

{{/error_message}}
Task Details:
{{#task_name}}
- Task Name: {{task_name}}
{{/task_name}}
{{#task_id}}
- Task ID: {{task_id}}
{{/task_id}}
- Status: {{status_title}}
{{#completed_at}}
- Completed at: {{completed_at}}
{{/completed_at}}
{{#execution_time}}
- Execution Time: {{execution_time}}
{{/execution_time}}
{{#test_set_name}}
- Test Set: {{test_set_name}}
{{/test_set_name}}
{{#test_set_id}}
- Test Set ID: {{test_set_id}}
{{/test_set_id}}
{{#num_tests_generated}}
- Tests Generated: {{num_tests_generated}}
{{/num_tests_generated}}
{{#test_run_id}}
- Test Run ID: {{test_run_id}}
{{/test_run_id}}
{{/content}}
{{/layout}}
$template$
);
INSERT INTO rhesis_notify.shipped_templates (name, subject, html, text) VALUES ('test_execution_summary',
$template$Task Completed: {task_name} - {test_outcome}$template$
,
$template${{! The summary of a test run. }}
{{<layout}}
{{$title}}Test Execution Summary: {{test_outcome}}{{/title}}
{{$preheader}}{{#test_set_name}}{{test_set_name}}: {{/test_set_name}}{{#test_counts}}{{test_counts}}{{/test_counts}}{{^test_counts}}{{test_outcome}}{{/test_counts}}{{#execution_time}} after {{execution_time}}{{/execution_time}}.{{/preheader}}
{{$banner}}
{{#test_verdict_is_bad}}
<td class="pad bad" bgcolor="#fdeceb" style="padding:22px 32px;background-color:#fdeceb;color:#8a1f19;">
<h1 style="margin:0;font-size:24px;line-height:32px;font-weight:700;">&#10060; {{test_verdict}}{{^test_verdict}}Task Failed{{/test_verdict}}</h1>
{{/test_verdict_is_bad}}
{{#test_verdict_is_mixed}}
<td class="pad mixed" bgcolor="#fff3d6" style="padding:22px 32px;background-color:#fff3d6;color:#664400;">
<h1 style="margin:0;font-size:24px;line-height:32px;font-weight:700;">&#9888;&#65039; {{test_verdict}}</h1>
{{/test_verdict_is_mixed}}
{{^test_verdict_is_bad}}
{{^test_verdict_is_mixed}}
<td class="pad good" bgcolor="#e7f5ec" style="padding:22px 32px;background-color:#e7f5ec;color:#135132;">
<h1 style="margin:0;font-size:24px;line-height:32px;font-weight:700;">&#9989; Task Completed</h1>
{{/test_verdict_is_mixed}}
{{/test_verdict_is_bad}}
{{/banner}}
{{$statement}}{{#test_verdict}}Your test run has ended: <strong>{{test_verdict}}</strong>{{/test_verdict}}{{^test_verdict}}Your task has completed with status: <strong>{{status_upper}}</strong>{{/test_verdict}}{{/statement}}
{{$content}}
{{#has_test_counts}}
<h2 class="ink" style="margin:0 0 12px 0;color:#1c2530;font-size:16px;line-height:24px;font-weight:700;">Test Results</h2>
{{#test_counts}}
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="width:100%;table-layout:fixed;border-collapse:separate;">
{{#tests_passed_shown}}
<tr>
{{#has_passed_tests}}
<td class="good" bgcolor="#e7f5ec" style="padding:9px 16px;background-color:#e7f5ec;border-radius:8px;color:#135132;font-size:16px;line-height:30px;word-break:break-word;"><span style="font-size:24px;font-weight:700;">{{tests_passed_shown}}</span>&nbsp; Passed</td>
{{/has_passed_tests}}
{{^has_passed_tests}}
<td class="tile" bgcolor="#f3f5f7" style="padding:9px 16px;background-color:#f3f5f7;border-radius:8px;color:#1c2530;font-size:16px;line-height:30px;word-break:break-word;"><span style="font-size:24px;font-weight:700;">{{tests_passed_shown}}</span>&nbsp; Passed</td>
{{/has_passed_tests}}
</tr>
<tr><td height="8" style="height:8px;font-size:0;line-height:8px;">&nbsp;</td></tr>
{{/tests_passed_shown}}
{{#tests_failed_shown}}
<tr>
{{#has_failed_tests}}
<td class="bad" bgcolor="#fdeceb" style="padding:9px 16px;background-color:#fdeceb;border-radius:8px;color:#8a1f19;font-size:16px;line-height:30px;word-break:break-word;"><span style="font-size:24px;font-weight:700;">{{tests_failed_shown}}</span>&nbsp; Failed</td>
{{/has_failed_tests}}
{{^has_failed_tests}}
<td class="tile" bgcolor="#f3f5f7" style="padding:9px 16px;background-color:#f3f5f7;border-radius:8px;color:#1c2530;font-size:16px;line-height:30px;word-break:break-word;"><span style="font-size:24px;font-weight:700;">{{tests_failed_shown}}</span>&nbsp; Failed</td>
{{/has_failed_tests}}
</tr>
<tr><td height="8" style="height:8px;font-size:0;line-height:8px;">&nbsp;</td></tr>
{{/tests_failed_shown}}
{{#execution_errors_shown}}
<tr>
{{#has_execution_errors}}
<td class="bad" bgcolor="#fdeceb" style="padding:9px 16px;background-color:#fdeceb;border-radius:8px;color:#8a1f19;font-size:16px;line-height:30px;word-break:break-word;"><span style="font-size:24px;font-weight:700;">{{execution_errors_shown}}</span>&nbsp; Errors</td>
{{/has_execution_errors}}
{{^has_execution_errors}}
<td class="tile" bgcolor="#f3f5f7" style="padding:9px 16px;background-color:#f3f5f7;border-radius:8px;color:#1c2530;font-size:16px;line-height:30px;word-break:break-word;"><span style="font-size:24px;font-weight:700;">{{execution_errors_shown}}</span>&nbsp; Errors</td>
{{/has_execution_errors}}
</tr>
<tr><td height="8" style="height:8px;font-size:0;line-height:8px;">&nbsp;</td></tr>
{{/execution_errors_shown}}
</table>
{{/test_counts}}
{{#total_tests_shown}}
<p class="quiet" style="margin:0 0 24px 0;color:#56606d;font-size:14px;line-height:20px;">Total tests: {{total_tests_shown}}</p>
{{/total_tests_shown}}
{{^total_tests_shown}}
<p style="margin:0;font-size:0;line-height:16px;">&nbsp;</p>
{{/total_tests_shown}}
{{/has_test_counts}}
{{#status_details}}
<p dir="auto" style="margin:0 0 28px 0;text-align:left;text-align:start;">{{status_details}}</p>
{{/status_details}}
{{#error_message}}
<h2 class="ink" style="margin:0 0 12px 0;color:#1c2530;font-size:16px;line-height:24px;font-weight:700;">Error</h2>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="width:100%;margin:0 0 28px 0;table-layout:fixed;border-collapse:separate;">
<tr>
<td class="code" bgcolor="#f3f5f7" style="padding:14px 16px;background-color:#f3f5f7;border-left:4px solid #c0392f;">
<pre class="ink" dir="auto" style="margin:0;color:#1c2530;font-family:SFMono-Regular,Consolas,'Liberation Mono',Menlo,monospace;font-size:13px;line-height:20px;text-align:left;text-align:start;white-space:pre-wrap;word-wrap:break-word;word-break:break-word;">{{error_message}}</pre>
</td>
</tr>
</table>
{{/error_message}}
<h2 class="ink" style="margin:0 0 12px 0;color:#1c2530;font-size:16px;line-height:24px;font-weight:700;">Task Details</h2>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="width:100%;border-collapse:collapse;">
{{#task_name}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Task Name</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{task_name}}</td>
</tr>
{{/task_name}}
{{#task_id}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Task ID</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-family:SFMono-Regular,Consolas,'Liberation Mono',Menlo,monospace;font-size:13px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{task_id}}</td>
</tr>
{{/task_id}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Status</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{status_title}}</td>
</tr>
{{#execution_status}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Execution Status</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{execution_status}}</td>
</tr>
{{/execution_status}}
{{#completed_at}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Completed at</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{completed_at}}</td>
</tr>
{{/completed_at}}
{{#execution_time}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Execution Time</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{execution_time}}</td>
</tr>
{{/execution_time}}
{{#project_name}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Project</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{project_name}}</td>
</tr>
{{/project_name}}
{{#endpoint_name}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Endpoint</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{endpoint_name}}</td>
</tr>
{{/endpoint_name}}
{{#endpoint_url}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Endpoint URL</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{endpoint_url}}</td>
</tr>
{{/endpoint_url}}
{{#test_set_name}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Test Set</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-size:14px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{test_set_name}}</td>
</tr>
{{/test_set_name}}
{{#test_run_id}}
<tr>
<td class="key quiet rule" style="width:148px;padding:10px 12px 10px 0;border-top:1px solid #e1e5ea;color:#56606d;font-size:14px;line-height:20px;vertical-align:top;">Test Run ID</td>
<td class="value ink rule" dir="auto" style="padding:10px 0;border-top:1px solid #e1e5ea;color:#1c2530;font-family:SFMono-Regular,Consolas,'Liberation Mono',Menlo,monospace;font-size:13px;line-height:20px;vertical-align:top;text-align:left;word-break:break-word;">{{test_run_id}}</td>
</tr>
{{/test_run_id}}
</table>
{{/content}}
{{/layout}}
$template$
,
$template${{! The summary of a test run. }}
{{<layout}}
{{$heading}}{{test_verdict_symbol}} {{test_verdict}}{{^test_verdict}}Task {{#is_failed}}Failed{{/is_failed}}{{^is_failed}}Completed{{/is_failed}}{{/test_verdict}}{{/heading}}
{{$statement}}{{#test_verdict}}Your test run has ended: {{test_verdict}}{{/test_verdict}}{{^test_verdict}}Your task has completed with status: {{status_upper}}{{/test_verdict}}{{/statement}}
{{$content}}
{{#has_test_counts}}
Test Results:
{{#tests_passed_shown}}Passed: {{tests_passed_shown}}{{/tests_passed_shown}}{{#tests_failed_shown}}{{#tests_passed_shown}} | {{/tests_passed_shown}}Failed: {{tests_failed_shown}}{{/tests_failed_shown}}{{#execution_errors_shown}}{{#tests_failed_shown}} | {{/tests_failed_shown}}{{^tests_failed_shown}}{{#tests_passed_shown}} | {{/tests_passed_shown}}{{/tests_failed_shown}}Errors: {{execution_errors_shown}}{{/execution_errors_shown}}{{#total_tests_shown}}{{#test_counts}} | {{/test_counts}}Total: {{total_tests_shown}}{{/total_tests_shown}}

{{/has_test_counts}}
{{#status_details}}
{{status_details}}

{{/status_details}}
{{#error_message}}
Error:
{{error_message}}

{{/error_message}}
Task Details:
{{#task_name}}
- Task Name: {{task_name}}
{{/task_name}}
{{#task_id}}
- Task ID: {{task_id}}
{{/task_id}}
- Status: {{status_title}}
{{#execution_status}}
- Execution Status: {{execution_status}}
{{/execution_status}}
{{#completed_at}}
- Completed at: {{completed_at}}
{{/completed_at}}
{{#execution_time}}
- Execution Time: {{execution_time}}
{{/execution_time}}
{{#project_name}}
- Project: {{project_name}}
{{/project_name}}
{{#endpoint_name}}
- Endpoint: {{endpoint_name}}
{{/endpoint_name}}
{{#endpoint_url}}
- Endpoint URL: {{endpoint_url}}
{{/endpoint_url}}
{{#test_set_name}}
- Test Set: {{test_set_name}}
{{/test_set_name}}
{{#test_run_id}}
- Test Run ID: {{test_run_id}}
{{/test_run_id}}
{{/content}}
{{/layout}}
$template$
);
