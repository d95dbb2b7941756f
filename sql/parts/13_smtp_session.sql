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
	'Sends one mail now, in this session, without the queue. Returns true if the SMTP server '
	'accepted it; else false, with the reason as a WARNING. It waits for the server, at most '
	'rhesis_notify.connect_timeout and rhesis_notify.send_timeout, and can be cancelled. A '
	'rollback does not recall the mail';

CREATE FUNCTION rhesis_notify.check_smtp(OUT step text, OUT ok boolean, OUT detail text, OUT elapsed_ms double precision)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
ROWS 7
AS 'MODULE_PATHNAME', 'rhesis_notify_check_smtp';
COMMENT ON FUNCTION rhesis_notify.check_smtp() IS
	'Tries the SMTP settings step by step: settings, name lookup, connect, TLS, authentication, '
	'MAIL FROM, RCPT TO the sender''s own address, or to rhesis_notify.redirect_all_to (then RSET: '
	'nothing is sent). One row for each step that was reached; a failed step says what to do. '
	'elapsed_ms is the step''s own time in milliseconds';
