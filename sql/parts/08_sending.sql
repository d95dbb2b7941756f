------------------------------------------------------------------------------------------------------------------------
-- Sending a mail now, testing the server
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION rhesis_notify.email_notification_test(message text DEFAULT 'This is a test of email notifications.',
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
COMMENT ON FUNCTION rhesis_notify.email_notification_test(text, text) IS
	'Queues a test mail and returns the notification''s id. It goes to the given user, else to '
	'the user in the setting app.current_user, in the session''s organization. The template shows '
	'the message as its variable message';
