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
