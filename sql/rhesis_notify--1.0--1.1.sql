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
	'since it was refused, its attempts are used up or it can''t be rendered; skipped: no mail is owed, the reason says '
	'why; cancelled: stopped by cancel(), or in a copy by adopt_database()';
COMMENT ON COLUMN rhesis_notify.delivery_events.event IS
	'deferred: an attempt that is to be repeated; failed: an attempt after which the mail was given up; in_doubt: the SMTP '
	'server may or may not have accepted the mail; template_fallback: a template or subject could not be used and the '
	'shipped one was; retried: somebody called retry(); cancelled: somebody called cancel(), or in a copy adopt_database()';
COMMENT ON FUNCTION rhesis_notify.wake_workers() IS
	'Wakes this database''s workers when the current transaction commits, and has them try at once what they wait for: a mail server '
	'that is left alone, recipients that cannot be read. It is tried again some seconds later when that is called often. An insert '
	'into task_notifications wakes those that could send its mail';
COMMENT ON FUNCTION rhesis_notify.task_completed(text, text, text, text, text, jsonb, text, timestamptz, timestamptz, text, text) IS
	'Reports a finished task, in the transaction of its last write: inserts into task_notifications and returns the new id, '
	'or null when a task of this task_id has reported before. The arguments are the columns of that name; completed_at is '
	'now() where none is given. What the table refuses, such as a status that is neither success nor failed, is its error '
	'(check_violation). An id that the sequence gives a second time is an error too (object_not_in_prerequisite_state)';
COMMENT ON FUNCTION rhesis_notify.email_notification(text, text, text, text) IS
	'Registers a task''s name, in full or its last part after a dot: from now on every finished task of that name is '
	'mailed. Registering it again replaces that. template has to exist (else undefined_object); subject_template, null or '
	'empty: the template''s subject; display_name, what its mails call it, null or empty: the task''s name';
COMMENT ON FUNCTION rhesis_notify.silence(text) IS
	'Takes a registration back, a shipped one too: from now on finished tasks of that name, in full or its last part after '
	'a dot, are skipped (silent_task), unless their row names a template';
COMMENT ON FUNCTION rhesis_notify.mustache(text, jsonb, jsonb, boolean) IS
	'Renders a Mustache template (spec 1.4 with inheritance, without lambdas). variables is an object; partials is an '
	'object of names and templates; escape_html false leaves {{name}} as it is. Null when an argument is null. What can''t '
	'be parsed or rendered is an error that names the line and the tag';
COMMENT ON FUNCTION rhesis_notify.preview(bigint) IS
	'The mail of a notification, as it would be sent now; nothing is sent. Where no mail is owed, or none can be rendered, '
	'reason says why. notification_id is the id in task_notifications (else no_data_found)';
COMMENT ON FUNCTION rhesis_notify.retry(bigint) IS
	'Makes a notification due at once, with all its attempts before it: one that is held, deferred, failed, skipped or '
	'cancelled. A mail server that is left alone is tried at once, with one mail (again some seconds later when this is called '
	'often). False, with a notice, when it is pending, sending, sent or older than rhesis_notify.expire_after. id is '
	'that of task_notifications (else no_data_found)';
COMMENT ON FUNCTION rhesis_notify.cancel(bigint) IS
	'Stops a notification that is pending, deferred or held: when it says true, no mail of it goes out. False, with a '
	'notice, when it is sending or already finished. id is that of task_notifications (else no_data_found)';
COMMENT ON FUNCTION rhesis_notify.purge(interval) IS
	'Removes what was finished longer ago than that, with its events, in one transaction; returns how many notifications. '
	'rhesis_notify.retention does the same by itself, in small batches';
COMMENT ON FUNCTION rhesis_notify.pause() IS
	'Stops this database''s mail: rows wait, until resume(), also over a restart or a failover. What is on the wire goes '
	'out. True; false, with a notice, when it was paused already';
COMMENT ON FUNCTION rhesis_notify.resume() IS
	'Takes pause() back. True; false, with a notice, when the mail was not paused';
COMMENT ON COLUMN rhesis_notify.task_notifications.delivery_reason IS
	'Why it was deferred, held, failed, skipped or, in a copy, cancelled: a code, such as silent_task or smtp_permanent; null while '
	'pending and once sent';
COMMENT ON COLUMN rhesis_notify.delivery_status.reason IS
	'Why it was deferred, held, failed or skipped: a code, such as silent_task or smtp_permanent';
COMMENT ON COLUMN rhesis_notify.worker_status.state IS
	'What it is doing: starting, idle, sending, paused, a copy (nothing is mailed until adopt_database()), mail off (settings are incomplete), backing off (the SMTP server is '
	'in trouble), waiting for recipients (the app''s relations can''t be read), waiting after an error (of the queue''s '
	'own), stopping or stopped';
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
		WHERE n.finished_at IS NULL AND n.delivery_status OPERATOR(pg_catalog.<>) 'held'::rhesis_notify.delivery_state;
	ELSE
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
CREATE FUNCTION rhesis_notify.ignore_replicated() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	RETURN NULL;
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
	expire_after interval := pg_catalog.current_setting('rhesis_notify.expire_after')::interval;
	retried bigint := 0;
	finished_id bigint;
BEGIN
	IF state IS NULL OR state OPERATOR(pg_catalog.<>) ALL ('{failed,skipped,cancelled}'::rhesis_notify.delivery_state[]) THEN
		RAISE EXCEPTION 'notifications that are % cannot be retried all together', COALESCE(state::text, 'null')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Use ''failed'', ''skipped'' or ''cancelled''.';
	END IF;

	FOR finished_id IN
		SELECT n.id FROM rhesis_notify.task_notifications AS n
		WHERE n.delivery_status OPERATOR(pg_catalog.=) retry_all.state
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
	rhesis_notify.keep_own_pause(), rhesis_notify.retry_all(timestamptz, rhesis_notify.delivery_state) FROM PUBLIC;

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
			'rhesis_notify.retry_failed, rhesis_notify.send_task_completion_email, rhesis_notify.silence, '
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
					ANY ('{adopt_database,copy_sign,explain,health,metrics,metric_samples,retry_all}'::name[]))
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
	expire_after interval := pg_catalog.current_setting('rhesis_notify.expire_after')::interval;
	notification record;
BEGIN
	SELECT n.delivery_status, n.delivery_reason, n.attempts, n.created_at INTO notification
	FROM rhesis_notify.task_notifications AS n
	WHERE n.id OPERATOR(pg_catalog.=) retry.id
	FOR NO KEY UPDATE;

	IF NOT FOUND THEN
		RAISE EXCEPTION 'notification % does not exist', retry.id USING ERRCODE = 'no_data_found';
	END IF;
	IF notification.delivery_status OPERATOR(pg_catalog.=) ANY ('{pending,sending,sent}'::rhesis_notify.delivery_state[]) THEN
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

	INSERT INTO rhesis_notify.delivery_events (notification_id, event, detail)
	VALUES (retry.id, 'retried', pg_catalog.jsonb_build_object(
		'message', pg_catalog.format('was %s; attempts: %s', pg_catalog.concat_ws(', ',
			notification.delivery_status, notification.delivery_reason), notification.attempts),
		'by', SESSION_USER));

	PERFORM rhesis_notify.wake_workers();
	RETURN true;
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
	IF state OPERATOR(pg_catalog.<>) ALL ('{pending,deferred,held}'::rhesis_notify.delivery_state[]) THEN
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

	INSERT INTO rhesis_notify.delivery_events (notification_id, event, detail)
	VALUES (cancel.id, 'cancelled', pg_catalog.jsonb_build_object(
		'message', pg_catalog.format('was %s', state), 'by', SESSION_USER));
	RETURN true;
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
				delivery_status IN ('pending', 'deferred') AND next_attempt_at <= pg_catalog.now() AS is_due
			 FROM rhesis_notify.task_notifications) AS notification
		 GROUP BY delivery_status) AS queue
		ON queue.delivery_status = state.name
	ORDER BY state.name;
