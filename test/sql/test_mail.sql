-- email_notification_test(): who is mailed, and what the row says.
\set SHOW_CONTEXT never
\pset null '-'

BEGIN;
SELECT rhesis_notify.email_notification_test('Testing email notifications', '42') AS id \gset
SELECT task_name, status, user_id, organization_id, result, delivery_status
FROM rhesis_notify.task_notifications WHERE id = :id;

-- In an app's session user and organization are known.
SET LOCAL "app.current_user" = '43';
SET LOCAL app.current_organization = 'acme';
SELECT rhesis_notify.email_notification_test() AS id \gset
SELECT user_id, organization_id, result FROM rhesis_notify.task_notifications WHERE id = :id;

-- Nobody to mail.
SET LOCAL "app.current_user" = '';
SELECT rhesis_notify.email_notification_test();
ROLLBACK;
