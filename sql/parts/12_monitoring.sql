------------------------------------------------------------------------------------------------------------------------
-- Monitoring
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
	'The id in task_notifications, for retry(), cancel() and preview()';
COMMENT ON COLUMN rhesis_notify.delivery_status.created_at IS 'When the task reported';
COMMENT ON COLUMN rhesis_notify.delivery_status.task IS 'The last part of the task''s name';
COMMENT ON COLUMN rhesis_notify.delivery_status.recipient IS 'The recipient''s address, if it is known; else the user';
COMMENT ON COLUMN rhesis_notify.delivery_status.state IS
	'The state of the mail, see type delivery_state';
COMMENT ON COLUMN rhesis_notify.delivery_status.reason IS
	'Why it was deferred, held, failed, skipped or, in a copy, cancelled: a code, such as '
	'silent_task or smtp_permanent';
COMMENT ON COLUMN rhesis_notify.delivery_status.attempts IS 'Attempts made';
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
COMMENT ON COLUMN rhesis_notify.queue_status.notifications IS 'How many notifications are in this state';
COMMENT ON COLUMN rhesis_notify.queue_status.due IS 'How many of them should be sent now';
COMMENT ON COLUMN rhesis_notify.queue_status.oldest_due IS
	'For how long the oldest of them has been due: normally some seconds';

CREATE FUNCTION rhesis_notify.worker_slots()
RETURNS TABLE (pid integer, database name, worker_number integer, epoch bigint, state text, in_flight integer,
			   connections integer, sent bigint, deferred bigint, failed bigint, in_doubt bigint, last_error text,
			   last_error_at timestamptz, paused boolean, backing_off_until timestamptz, started_at timestamptz)
LANGUAGE c VOLATILE STRICT PARALLEL SAFE
ROWS 10
AS 'MODULE_PATHNAME', 'rhesis_notify_worker_slots';
COMMENT ON FUNCTION rhesis_notify.worker_slots() IS
	'The worker processes of this server, from shared memory; see worker_status';

CREATE VIEW rhesis_notify.worker_status WITH (security_invoker = true) AS
	SELECT pid, database, worker_number AS worker, state, in_flight, connections, sent, deferred, failed, in_doubt,
		last_error, last_error_at, paused, backing_off_until, started_at
	FROM rhesis_notify.worker_slots()
	WHERE database = pg_catalog.current_database() OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
	ORDER BY database, worker_number;
COMMENT ON VIEW rhesis_notify.worker_status IS
	'One row per worker process. The counts begin at the start of the server. Workers of other '
	'databases are shown only to pg_read_all_stats, which pg_monitor has';
COMMENT ON COLUMN rhesis_notify.worker_status.pid IS 'The process, as in pg_stat_activity';
COMMENT ON COLUMN rhesis_notify.worker_status.database IS 'The database that it serves';
COMMENT ON COLUMN rhesis_notify.worker_status.worker IS 'Its number, from 1 to rhesis_notify.workers';
COMMENT ON COLUMN rhesis_notify.worker_status.state IS
	'What it is doing: starting, idle, sending, looking up recipients (for longer than usual), '
	'paused, a copy (nothing is mailed until adopt_database()), mail off (settings are '
	'incomplete), backing off (the SMTP server has failed), waiting for recipients (the '
	'application''s relations cannot be read), waiting after an error (of a statement on the '
	'queue), waiting for a standby (a commit waits for a synchronous one), stopping or stopped';
COMMENT ON COLUMN rhesis_notify.worker_status.in_flight IS 'Mails that are being sent';
COMMENT ON COLUMN rhesis_notify.worker_status.connections IS 'Connections to the SMTP server';
COMMENT ON COLUMN rhesis_notify.worker_status.sent IS 'Mails that the server has accepted';
COMMENT ON COLUMN rhesis_notify.worker_status.deferred IS
	'Attempts that will be repeated, and mails returned to the queue because the SMTP server has '
	'failed';
COMMENT ON COLUMN rhesis_notify.worker_status.failed IS 'Mails that were given up';
COMMENT ON COLUMN rhesis_notify.worker_status.in_doubt IS 'Mails that the server may or may not have accepted';
COMMENT ON COLUMN rhesis_notify.worker_status.last_error IS
	'The last error, of the SMTP server or of our own statements. It stays after its cause is '
	'gone, see last_error_at. Its words may contain any user''s address: only roles that may read '
	'every organization''s notifications, such as an operator, see them. Others see a reply''s '
	'code';
COMMENT ON COLUMN rhesis_notify.worker_status.last_error_at IS 'When it happened';
COMMENT ON COLUMN rhesis_notify.worker_status.paused IS 'pause() was called in its database';
COMMENT ON COLUMN rhesis_notify.worker_status.backing_off_until IS
	'It does not use the SMTP server until then; null: it is not backing off';
COMMENT ON COLUMN rhesis_notify.worker_status.started_at IS 'When the process started';


CREATE FUNCTION rhesis_notify.explain(id bigint)
RETURNS TABLE (step text, decision text, detail text, advice text)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 12
AS 'MODULE_PATHNAME', 'rhesis_notify_explain';
COMMENT ON FUNCTION rhesis_notify.explain(bigint) IS
	'Why a notification is where it is: one row for each decision, in the worker''s order: task, '
	'opted in, age, recipient, template; while it waits also pause, worker, mail server and pace; '
	'its attempts with the server''s replies; its state; what comes next, and when. Decisions are '
	'made again, for the present time, and nothing is changed; attempts and state are what was '
	'recorded. advice says what to do. The error is no_data_found (P0002) if there is no such '
	'notification';


CREATE FUNCTION rhesis_notify.health()
RETURNS TABLE (check_name text, ok boolean, value text, advice text)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 12
AS 'MODULE_PATHNAME', 'rhesis_notify_health';
COMMENT ON FUNCTION rhesis_notify.health() IS
	'Whether this database''s mail goes out: one row for each check, with what was found and, if '
	'it is not ok, what to do. It opens no connection: it reports what the workers know about the '
	'mail server, and since when. These are also not ok: a pause, a mail that has been due for 5 '
	'minutes, a held mail, and more than one failed mail in 20 within an hour. It costs as much '
	'as metrics(), and also reads the notifications that ended in the last hour, at most 100,000';

CREATE FUNCTION rhesis_notify.metrics() RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_metrics';
COMMENT ON FUNCTION rhesis_notify.metrics() IS
	'This database''s workers and queue in Prometheus'' text format. Times are in seconds. '
	'Counters end in _total and begin at the start of the server. No address, reply or setting is '
	'included. Due notifications are counted in their index: a million take about 0.1 s. At most '
	'100,000 unfinished rows are read and counted; finished rows cost nothing';

CREATE FUNCTION rhesis_notify.metric_samples(about text DEFAULT NULL)
RETURNS TABLE (name text, type text, help text, labels jsonb, value double precision)
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 25
AS 'MODULE_PATHNAME', 'rhesis_notify_metric_samples';
COMMENT ON FUNCTION rhesis_notify.metric_samples(text) IS
	'The samples of metrics() as rows, for exporters that run SQL: one row for each sample. about '
	'is worker, queue or database, the word after rhesis_notify_ in the names; null: all. Any '
	'other value is an error (invalid_parameter_value)';
