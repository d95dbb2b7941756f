-- Rows that a task can write, and rows that are refused. All transactions are rolled back, so no
-- worker sees the rows, and no mail is sent.
\set VERBOSITY terse

BEGIN;

-- A row needs three columns. The others have defaults.
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status)
VALUES ('t1', 'app.report', 'success');
SELECT task_id, task_name, status, delivery_status, delivery_reason, attempts, claimed_by,
	created_at = now() AS created_now, completed_at = now() AS completed_now, next_attempt_at = now() AS due_now
FROM rhesis_notify.task_notifications WHERE task_id = 't1';

-- The function inserts the same row, with named arguments.
SELECT rhesis_notify.task_completed(task_id => 't2', task_name => 'app.report', status => 'failed', user_id => '7',
									organization_id => '3', result => '{"rows": 12}', error_message => 'disk full',
									started_at => '2024-01-15 14:27:40+00', completed_at => '2024-01-15 14:30:25+00',
									template => 'task_completion', subject_template => 'Report: {status}') IS NOT NULL AS queued;
SELECT status, user_id, organization_id, template, subject_template, result, error_message, completed_at - started_at AS took
FROM rhesis_notify.task_notifications WHERE task_id = 't2';

-- It returns the id of the row, or null for a task that has reported before.
SELECT rhesis_notify.task_completed('t3', 'app.report', 'success') AS id \gset
SELECT id = :id AS same_id FROM rhesis_notify.task_notifications WHERE task_id = 't3';
SELECT rhesis_notify.task_completed('t3', 'app.report', 'failed') AS again;
SELECT status FROM rhesis_notify.task_notifications WHERE task_id = 't3';

-- A plain INSERT of a task that has reported before fails, unless it has ON CONFLICT.
SAVEPOINT s;
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status) VALUES ('t1', 'app.report', 'success');
ROLLBACK TO s;
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status) VALUES ('t1', 'app.report', 'success')
ON CONFLICT (task_id) DO NOTHING;

-- Refused rows.
SELECT rhesis_notify.task_completed('', 'app.report', 'success');
ROLLBACK TO s;
SELECT rhesis_notify.task_completed(repeat('x', 501), 'app.report', 'success');
ROLLBACK TO s;
SELECT rhesis_notify.task_completed(NULL, 'app.report', 'success');
ROLLBACK TO s;
SELECT rhesis_notify.task_completed('t4', '', 'success');
ROLLBACK TO s;
SELECT rhesis_notify.task_completed('t4', 'app.report', 'retrying');
ROLLBACK TO s;
SELECT rhesis_notify.task_completed('t4', 'app.report', 'success', result => '[1, 2]');
ROLLBACK TO s;
SELECT rhesis_notify.task_completed('t4', 'app.report', 'success', result => '"done"');
ROLLBACK TO s;
SELECT rhesis_notify.task_completed('t4', 'app.report', 'success', result => 'null');
ROLLBACK TO s;
INSERT INTO rhesis_notify.task_notifications (id, task_id, task_name, status) VALUES (1, 't4', 'app.report', 'success');
ROLLBACK TO s;

-- Accepted rows with unusual values. An INSERT must not fail the task.
SELECT rhesis_notify.task_completed('t5', repeat('long.', 1000), 'failed', user_id => E'no\r\nkey', organization_id => '',
									error_message => repeat('x', 1024 * 1024), template => 'no such template',
									completed_at => 'infinity', result => '{}') IS NOT NULL AS queued;
SELECT length(error_message) FROM rhesis_notify.task_notifications WHERE task_id = 't5';
SELECT rhesis_notify.task_completed(repeat('ü', 500), 'app.report', 'success') IS NOT NULL AS queued;

-- The columns of a row must agree with its state, whichever role writes them.
UPDATE rhesis_notify.task_notifications SET delivery_status = 'sending' WHERE task_id = 't1';
ROLLBACK TO s;
UPDATE rhesis_notify.task_notifications SET delivery_status = 'sent' WHERE task_id = 't1';
ROLLBACK TO s;
UPDATE rhesis_notify.task_notifications SET finished_at = now() WHERE task_id = 't1';
ROLLBACK TO s;

-- COPY works too.
COPY rhesis_notify.task_notifications (task_id, task_name, status) FROM STDIN;
t6	app.report	success
\.
SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_id = 't6';

ROLLBACK;

-- A task that is rolled back leaves no row.
SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_id ~ '^t[1-6]$';
