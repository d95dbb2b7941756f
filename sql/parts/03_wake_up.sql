------------------------------------------------------------------------------------------------------------------------
-- Waking the workers
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION rhesis_notify.wake_workers() RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'rhesis_notify_wake_workers';
COMMENT ON FUNCTION rhesis_notify.wake_workers() IS
	'Wakes this database''s workers when the current transaction commits. They then try at once '
	'what they wait for: a mail server after a back-off, or recipients that could not be read. If '
	'this is called often, they try some seconds later. An insert into task_notifications wakes '
	'the workers that could send its mail';

CREATE FUNCTION rhesis_notify.wake_trigger() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'rhesis_notify_wake_trigger';
COMMENT ON FUNCTION rhesis_notify.wake_trigger() IS
	'Trigger function: wakes this database''s workers when the current transaction commits';
