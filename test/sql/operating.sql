-- Operator functions: retry, cancel, purge, pause; and the views. All transactions are rolled back,
-- so no worker sees the rows, and no mail is sent.
\set VERBOSITY terse
\pset null '-'

BEGIN;
SET LOCAL rhesis_notify.expire_after = '3d';
DELETE FROM rhesis_notify.task_notifications;

-- One notification in each state, and a failed one that is too old.
INSERT INTO rhesis_notify.task_notifications
	(task_id, task_name, status, user_id, delivery_status, delivery_reason, attempts, next_attempt_at, claimed_by,
	 recipient_email, smtp_reply, created_at, finished_at)
VALUES
	('pending', 'app.report', 'success', '1', 'pending', NULL, 0, now() - interval '90 s', NULL, NULL, NULL, now(), NULL),
	('sending', 'app.report', 'success', '2', 'sending', NULL, 0, now(), 4711, NULL, NULL, now(), NULL),
	('deferred', 'app.report', 'success', '3', 'deferred', 'smtp_temporary', 2, now() + interval '1 h', NULL, 'c@example.com',
	 '451 4.7.1 Try again later', now(), NULL),
	('held', 'app.report', 'success', '4', 'held', 'in_doubt', 1, now(), NULL, 'd@example.com', NULL, now(), NULL),
	('sent', 'app.report', 'success', '5', 'sent', NULL, 1, now(), NULL, 'e@example.com', '250 2.0.0 Ok', now(), now()),
	('failed', 'app.report', 'failed', '6', 'failed', 'smtp_permanent', 1, now(), NULL, 'f@example.com',
	 '550 5.1.1 Unknown user', now(), now()),
	('skipped', 'app.report', 'success', NULL, 'skipped', 'no_user', 0, now(), NULL, NULL, NULL, now(), now()),
	('cancelled', 'app.report', 'success', '8', 'cancelled', NULL, 0, now(), NULL, NULL, NULL, now(), now()),
	('expired', 'app.report', 'failed', '9', 'failed', 'attempts_exhausted', 12, now(), NULL, 'i@example.com', NULL,
	 now() - interval '4 d', now());

SELECT task, recipient, state, reason, attempts, due_at - date_trunc('second', now()) AS due_in,
	finished_at IS NOT NULL AS finished, smtp_reply
FROM rhesis_notify.delivery_status;
SELECT * FROM rhesis_notify.queue_status;

CREATE TEMP TABLE example AS SELECT task_id AS name, id FROM rhesis_notify.task_notifications;
-- Notices contain the id, which differs from run to run.
SET client_min_messages = warning;

SELECT name, rhesis_notify.retry(id) FROM example ORDER BY id;
SELECT e.name, n.delivery_status, n.delivery_reason, n.attempts, n.next_attempt_at = now() AS due_now,
	n.finished_at IS NOT NULL AS finished
FROM example AS e JOIN rhesis_notify.task_notifications AS n USING (id) ORDER BY id;
SELECT e.name, event, detail - 'by' AS detail, detail ->> 'by' = session_user AS by_me
FROM example AS e JOIN rhesis_notify.delivery_events ON e.id = notification_id ORDER BY notification_id;

SELECT name, rhesis_notify.cancel(id) FROM example ORDER BY id;
SELECT e.name, n.delivery_status, n.finished_at IS NOT NULL AS finished
FROM example AS e JOIN rhesis_notify.task_notifications AS n USING (id) ORDER BY id;

-- A cancelled notification can be retried.
SELECT rhesis_notify.retry(id) FROM example WHERE name = 'held';

RESET client_min_messages;
SELECT rhesis_notify.retry(0);
ROLLBACK;

BEGIN;
SET LOCAL rhesis_notify.expire_after = '3d';
DELETE FROM rhesis_notify.task_notifications;
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, delivery_reason, created_at, finished_at)
SELECT 'failed ' || hours, 'app.report', 'success', 'failed', 'smtp_permanent', now() - make_interval(hours => hours),
	now() - make_interval(hours => hours)
FROM generate_series(1, 100) AS hours;

-- Retries the failed ones since a time, without the expired ones. purge() removes old ones by age.
SELECT rhesis_notify.retry_failed(now() - interval '10 h');
SELECT rhesis_notify.retry_failed(now() - interval '90 h') AS not_the_expired;
SELECT rhesis_notify.purge(interval '90 h');
SELECT delivery_status, count(*), max(now() - finished_at) AS oldest
FROM rhesis_notify.task_notifications GROUP BY delivery_status ORDER BY 1;

-- Without expiry, every notification can be retried.
SET LOCAL rhesis_notify.expire_after = 0;
SELECT rhesis_notify.retry_failed('-infinity');

-- Events are removed with their notification.
SELECT count(*) > 0 AS events FROM rhesis_notify.delivery_events;
DELETE FROM rhesis_notify.task_notifications;
SELECT count(*) AS events FROM rhesis_notify.delivery_events;
ROLLBACK;

-- pause() and resume() report what they did.
BEGIN;
SELECT rhesis_notify.pause();
SELECT rhesis_notify.pause();
SELECT paused, since = now() AS since_now, paused_by = session_user AS by_me FROM rhesis_notify.database_pause;
SELECT rhesis_notify.resume();
SELECT rhesis_notify.resume();
SAVEPOINT s;
INSERT INTO rhesis_notify.database_pause VALUES (false);
ROLLBACK TO s;

-- Errors.
SELECT rhesis_notify.cancel(0);
ROLLBACK TO s;
SELECT rhesis_notify.cancel(NULL);
ROLLBACK;
