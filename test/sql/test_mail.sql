-- email_notification_test(): the recipient, and the contents of the row.
\set SHOW_CONTEXT never
\pset null '-'

BEGIN;
SELECT rhesis_notify.email_notification_test('Testing email notifications', '42') AS id \gset
SELECT task_name, status, user_id, organization_id, result, delivery_status
FROM rhesis_notify.task_notifications WHERE id = :id;

-- In a session of the application, user and organization are known.
SET LOCAL "app.current_user" = '43';
SET LOCAL app.current_organization = 'acme';
SELECT rhesis_notify.email_notification_test() AS id \gset
SELECT user_id, organization_id, result FROM rhesis_notify.task_notifications WHERE id = :id;

-- Without a user there is no recipient.
SET LOCAL "app.current_user" = '';
SELECT rhesis_notify.email_notification_test();
ROLLBACK;
