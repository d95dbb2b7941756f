-- Which tasks are mailed: shipped registrations, and the application's own ones.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\pset null '-'

SELECT * FROM rhesis_notify.task_types ORDER BY task_name;

BEGIN;

-- Registered with all arguments, and with the defaults.
SELECT rhesis_notify.email_notification('app.tasks.export', 'task_completion', 'Export: {status.title()}', 'Data Export');
SELECT rhesis_notify.email_notification('import');
SELECT * FROM rhesis_notify.task_types ORDER BY task_name COLLATE "C";

-- A later registration replaces an earlier one, and also a shipped one.
SELECT rhesis_notify.email_notification('import', display_name => 'Data Import');
SELECT rhesis_notify.email_notification('collect_results', subject_template => '');
SELECT * FROM rhesis_notify.task_types ORDER BY task_name COLLATE "C";

-- Silenced: an own registration, a shipped one, and a name that was never registered.
SELECT rhesis_notify.silence('import');
SELECT rhesis_notify.silence('email_notification_test');
SELECT rhesis_notify.silence('app.tasks.collect_results');
SELECT * FROM rhesis_notify.task_types ORDER BY task_name COLLATE "C";

-- Registered again.
SELECT rhesis_notify.email_notification('email_notification_test');
SELECT * FROM rhesis_notify.task_types WHERE task_name = 'email_notification_test';

-- Refused registrations.
SAVEPOINT s;
\set VERBOSITY default
SELECT rhesis_notify.email_notification('import', 'no_such_template');
ROLLBACK TO s;
\set VERBOSITY terse
SELECT rhesis_notify.email_notification('import', NULL);
ROLLBACK TO s;
SELECT rhesis_notify.email_notification('');
ROLLBACK TO s;
SELECT rhesis_notify.email_notification(NULL);
ROLLBACK TO s;
SELECT rhesis_notify.silence('');
ROLLBACK TO s;

-- The application's own template can be named.
INSERT INTO rhesis_notify.templates (name, subject, html, text) VALUES ('export_done', 'Done', '<p>Done</p>', 'Done');
SELECT rhesis_notify.email_notification('app.tasks.export', 'export_done');

ROLLBACK;
