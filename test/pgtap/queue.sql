-- Claim, record, orphans, retention: the queue without a worker, through the test module
-- queue_probe. The whole test is one transaction that is rolled back, so a worker in the same
-- database sees nothing.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS rhesis_notify;
CREATE EXTENSION IF NOT EXISTS queue_probe;
LOAD 'queue_probe';
SET LOCAL client_min_messages = notice;
SELECT * FROM no_plan();

DELETE FROM rhesis_notify.task_notifications;
-- Set the birth of the database as adopt_database() does: rows that are older than the database
-- belong to it.
UPDATE rhesis_notify.database_birth SET born = '-infinity';

CREATE FUNCTION pg_temp.task(name text) RETURNS bigint LANGUAGE sql AS $$
	SELECT id FROM rhesis_notify.task_notifications WHERE task_id = name
$$;
CREATE FUNCTION pg_temp.state(name text) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', delivery_status, delivery_reason) FROM rhesis_notify.task_notifications WHERE task_id = name
$$;
-- Claims rows, and returns their task_ids in the order of the queue.
CREATE FUNCTION pg_temp.claim(epoch bigint, batch integer, from_start boolean) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(task_id, ' ' ORDER BY id) FROM queue_probe.claim(epoch, batch, from_start)
$$;
CREATE FUNCTION pg_temp.insert_due(name text, task_name text DEFAULT 'collect_results', user_id text DEFAULT '1',
								   template text DEFAULT NULL, age interval DEFAULT '0', due_in interval DEFAULT '0')
RETURNS void LANGUAGE sql AS $$
	INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, template, created_at, next_attempt_at)
	VALUES (name, task_name, 'success', user_id, template, now() - age, now() + due_in)
$$;

-- An empty queue.
SELECT is(pg_temp.claim(1, 10, true), NULL, 'nothing is claimed from an empty queue');
SELECT is(queue_probe.next_due_time(), NULL, 'and nothing is due');

-- Which rows are mailed.
SELECT rhesis_notify.email_notification('app.export', 'task_completion', 'Export {status}', 'Data Export') \g /dev/null
SELECT rhesis_notify.email_notification('app.import') \g /dev/null
SELECT rhesis_notify.email_notification('import', display_name => 'Any Import') \g /dev/null
SELECT rhesis_notify.silence('other.collect_results') \g /dev/null
SELECT pg_temp.insert_due('decorated', 'app.whatever', template => 'own_template'),
	pg_temp.insert_due('full name', 'app.export'),
	pg_temp.insert_due('full before last', 'app.import'),
	pg_temp.insert_due('last part', 'rhesis.backend.tasks.execution.results.collect_results'),
	pg_temp.insert_due('decorated and registered', 'app.export', template => 'own_template'),
	pg_temp.insert_due('empty template', 'app.export', template => ''),
	pg_temp.insert_due('silent', 'app.whatever'),
	pg_temp.insert_due('silenced full name', 'other.collect_results'),
	pg_temp.insert_due('silenced but decorated', 'other.collect_results', template => 'own_template'),
	pg_temp.insert_due('prefix only', 'collect_results.more'),
	pg_temp.insert_due('no user', user_id => NULL),
	pg_temp.insert_due('empty user', user_id => ''),
	pg_temp.insert_due('old', age => '4 d'),
	pg_temp.insert_due('almost old', age => '71 h'),
	pg_temp.insert_due('old and silent', 'app.whatever', user_id => NULL, age => '4 d'),
	pg_temp.insert_due('old without user', user_id => NULL, age => '4 d'),
	pg_temp.insert_due('later', due_in => '1 h') \g /dev/null
SELECT results_eq(
	$$ SELECT task_id, template, subject_template, display_name FROM queue_probe.claim(7, 100, true) ORDER BY id $$,
	$$ VALUES
		('decorated', 'own_template', NULL, NULL),
		('full name', 'task_completion', 'Export {status}', 'Data Export'),
		('full before last', 'task_completion', NULL, NULL),
		('last part', 'test_execution_summary', NULL, 'Test Execution Summary'),
		('decorated and registered', 'own_template', 'Export {status}', 'Data Export'),
		('empty template', 'task_completion', 'Export {status}', 'Data Export'),
		('silenced but decorated', 'own_template', NULL, NULL),
		('almost old', 'test_execution_summary', NULL, 'Test Execution Summary') $$,
	'those that are opted in are claimed, with what their registration says');
SELECT results_eq($$ SELECT * FROM queue_probe.last_claim() $$, $$ VALUES (8, false) $$, 'the others are settled');
SELECT is(pg_temp.state(name), expected, name)
FROM
	(VALUES ('decorated', 'sending'), ('silent', 'skipped silent_task'), ('silenced full name', 'skipped silent_task'),
		('prefix only', 'skipped silent_task'), ('no user', 'skipped no_user'), ('empty user', 'skipped no_user'),
		('old', 'skipped expired'), ('old and silent', 'skipped silent_task'), ('old without user', 'skipped expired'),
		('later', 'pending')) AS expectation (name, expected);
SELECT is((SELECT array_agg(DISTINCT claimed_by) FROM rhesis_notify.task_notifications WHERE delivery_status = 'sending'),
		  ARRAY[7::bigint], 'the claim names the worker');
SELECT is(queue_probe.next_due_time(), now() + interval '1 h', 'the next one is due later');
SET LOCAL queue_probe.expire_after = 0;
SELECT pg_temp.insert_due('ancient', age => '10 y') \g /dev/null
SELECT is(pg_temp.claim(7, 100, true), 'ancient', 'without expire_after nothing is too old');

-- A registration may have any length. The worker finds it and reads all of it.
SELECT rhesis_notify.email_notification(repeat('long', 1000), 'task_completion', repeat('s', 5000), 'Long') \g /dev/null
INSERT INTO rhesis_notify.custom_task_types (task_name, template) VALUES (repeat('n', 3000), repeat('t', 5000));
SELECT pg_temp.insert_due('long name', repeat('long', 1000)),
	pg_temp.insert_due('long last part', 'app.' || repeat('long', 1000)),
	pg_temp.insert_due('longer', repeat('long', 1001)),
	pg_temp.insert_due('longer last part', 'app.' || repeat('long', 1000) || 'x'),
	pg_temp.insert_due('long before the last part', repeat('long', 1000) || '.export'),
	pg_temp.insert_due('long template', repeat('n', 3000)),
	pg_temp.insert_due('long and decorated', repeat('long', 1000), template => 'own_template') \g /dev/null
SELECT results_eq(
	$$ SELECT task_id, template, subject_template, display_name FROM queue_probe.claim(7, 100, true) ORDER BY id $$,
	$$ VALUES
		('long name', 'task_completion', repeat('s', 5000), 'Long'),
		('long last part', 'task_completion', repeat('s', 5000), 'Long'),
		('long template', repeat('t', 5000), NULL, NULL),
		('long and decorated', 'own_template', repeat('s', 5000), 'Long') $$,
	'long names and long registrations');

-- The worker gets what the task wrote.
DELETE FROM rhesis_notify.task_notifications;
SELECT rhesis_notify.task_completed('full', 'n', 'failed', '42', 'acme', '{"rows": 12}', 'disk full', '2024-01-15 14:27:40+00',
									'2024-01-15 14:30:25+00', 'task_completion', 'Subject') AS id \gset
SELECT row_eq($$ SELECT * FROM queue_probe.fetch($$ || :id || $$) $$,
	ROW(:id, 'full', 'n', false, '42', 'acme', 'task_completion', 'Subject', NULL, '{"rows": 12}', false, 'disk full',
		'2024-01-15 14:27:40+00', '2024-01-15 14:30:25+00', now(), 0)::queue_probe.claimed, 'fetched without claiming');
SELECT is(pg_temp.state('full'), 'pending', 'which changes nothing');
SELECT row_eq($$ SELECT * FROM queue_probe.claim(1, 1, true) $$,
	ROW(:id, 'full', 'n', false, '42', 'acme', 'task_completion', 'Subject', NULL, '{"rows": 12}', false, 'disk full',
		'2024-01-15 14:27:40+00', '2024-01-15 14:30:25+00', now(), 0)::queue_probe.claimed, 'claimed');
SELECT is((SELECT count(*) FROM queue_probe.fetch(0)), 0::bigint, 'there is no notification 0');

-- Large values are limited in the memory of the worker.
SELECT rhesis_notify.task_completed('huge', 'n', 'failed', '42', result => jsonb_build_object('x', repeat('x', 5000000)),
									error_message => repeat('é', 1024 * 1024), template => 'task_completion') \g /dev/null
SELECT rhesis_notify.task_completed('large', 'n', 'failed', '42', result => jsonb_build_object('x', repeat('x', 1000000)),
									template => 'task_completion') \g /dev/null
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, template, completed_at)
VALUES ('never completed', 'n', 'success', '42', 'task_completion', NULL);
SELECT results_eq(
	$$ SELECT task_id COLLATE "default", result IS NULL, result_omitted, length(error_message), completed_at = now()
	   FROM queue_probe.claim(1, 10, true) ORDER BY id $$,
	$$ VALUES ('huge', false, true, 65536, true), ('large', false, false, NULL, true),
		('never completed', true, false, NULL, true) $$,
	'of a result over 1 MB only small keys are read, an error message is cut');

-- Batches continue after the last claimed row, and start from the beginning on request.
DELETE FROM rhesis_notify.task_notifications;
SELECT pg_temp.insert_due(n::text, due_in => make_interval(secs => n - 10)) FROM generate_series(1, 7) AS n \g /dev/null
SELECT is(pg_temp.claim(1, 3, true), '1 2 3', 'the first batch');
SELECT is((SELECT is_full FROM queue_probe.last_claim()), true, 'is full');
SELECT pg_temp.insert_due('early', due_in => '-1 h') \g /dev/null
SELECT is(pg_temp.claim(1, 3, false), '4 5 6', 'the next one goes on behind it');
SELECT is(pg_temp.claim(1, 3, false), '7', 'the last one is what is left');
SELECT is((SELECT is_full FROM queue_probe.last_claim()), false, 'and not full');
SELECT is(pg_temp.claim(1, 3, false), NULL, 'behind it is nothing');
SELECT is(pg_temp.claim(1, 3, true), 'early', 'from the start what has come in meanwhile is found');

-- Outcomes.
SELECT is(queue_probe.record(1, ARRAY[pg_temp.task('1'), pg_temp.task('2')], 'sent', recipient_email => 'a@example.com',
							 message_id => '<1@example.com>', smtp_reply => '250 2.0.0 Ok'), 2, 'two are recorded');
SELECT row_eq(
	$$ SELECT delivery_status::text, delivery_reason, attempts, claimed_by, recipient_email, message_id, smtp_reply,
		finished_at IS NOT NULL FROM rhesis_notify.task_notifications WHERE task_id = '1' $$,
	ROW('sent'::text, NULL::text, 1, NULL::bigint, 'a@example.com'::text, '<1@example.com>'::text, '250 2.0.0 Ok'::text, true),
	'sent');
SELECT is((SELECT count(*) FROM rhesis_notify.delivery_events), 0::bigint, 'a success has no event');
SELECT is(queue_probe.record(1, ARRAY[pg_temp.task('1')], 'failed'), 0, 'what was recorded stays');
SELECT is(queue_probe.record(2, ARRAY[pg_temp.task('3')], 'sent'), 0, 'so does another worker''s row');
SELECT is(pg_temp.state('3'), 'sending', 'untouched');
SELECT is(queue_probe.record(1, ARRAY[0, pg_temp.task('3')], 'deferred', 'smtp_temporary', delay_ms => 90000,
							 smtp_reply => '451 4.7.1 Later', event => 'deferred', smtp_code => 451, enhanced_code => '4.7.1',
							 event_reply => '451 4.7.1 Later', event_detail => 'greylisted'),
		  1, 'a row that was deleted meanwhile does not keep the others from being recorded');
SELECT is(pg_temp.state('3'), 'deferred smtp_temporary', 'deferred');
SELECT ok((SELECT next_attempt_at - clock_timestamp() BETWEEN '80 s' AND '90 s' AND finished_at IS NULL
		   FROM rhesis_notify.task_notifications WHERE task_id = '3'), 'until later');
SELECT row_eq(
	$$ SELECT notification_id, event, smtp_code, enhanced_code, reply, detail FROM rhesis_notify.delivery_events $$,
	ROW(pg_temp.task('3'), 'deferred'::text, 451, '4.7.1'::text, '451 4.7.1 Later'::text, '{"message": "greylisted"}'::jsonb),
	'with its event');
SELECT is(queue_probe.record(1, ARRAY[pg_temp.task('4')], 'pending', counts_attempt => false), 1, 'given back');
SELECT is((SELECT attempts FROM rhesis_notify.task_notifications WHERE task_id = '4'), 0, 'without using up an attempt');
SELECT is(queue_probe.record(1, ARRAY[pg_temp.task('5')], 'failed', 'smtp_permanent'), 1, 'given up');
SELECT is(queue_probe.record(1, ARRAY[pg_temp.task('6')], 'held', 'in_doubt'), 1, 'held');
SELECT is(queue_probe.record(1, ARRAY[pg_temp.task('7')], 'skipped', 'no_email', counts_attempt => false), 1, 'skipped');
SELECT results_eq(
	$$ SELECT task_id COLLATE "default", delivery_status::text, delivery_reason, finished_at IS NOT NULL FROM rhesis_notify.task_notifications
	   WHERE task_id ~ '[4-7]' ORDER BY task_id $$,
	$$ VALUES ('4', 'pending', NULL, false), ('5', 'failed', 'smtp_permanent', true), ('6', 'held', 'in_doubt', false),
		('7', 'skipped', 'no_email', true) $$, 'each in its state');
SELECT is(queue_probe.record(1, '{}', 'sent'), 0, 'an empty batch is none');

-- A server's reply is stored as short, printable text, whatever it contains.
SELECT queue_probe.record(1, ARRAY[pg_temp.task('early')], 'deferred', 'smtp_temporary',
						  smtp_reply => '\x34353120010d0a1b5b326dff8020c3a47f', event => 'deferred',
						  event_reply => convert_to(repeat('ä', 5000), 'UTF8'), event_detail => convert_to('ä' || E'\r\n', 'UTF8')) \g /dev/null
SELECT is((SELECT smtp_reply FROM rhesis_notify.task_notifications WHERE task_id = 'early'), '451     [2m?? ?? ',
		  'invalid bytes and control characters are replaced');
SELECT is((SELECT reply FROM rhesis_notify.delivery_events WHERE notification_id = pg_temp.task('early')), repeat('ä', 1000),
		  'valid text is cut between characters');
SELECT is((SELECT detail ->> 'message' FROM rhesis_notify.delivery_events WHERE notification_id = pg_temp.task('early')), 'ä  ',
		  'and kept');

-- The rows of a dead worker.
CREATE FUNCTION pg_temp.leave_behind(name text, epoch bigint, attempts integer DEFAULT 0) RETURNS void LANGUAGE sql AS $$
	INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, claimed_by, attempts)
	VALUES (name, 'n', 'success', 'sending', epoch, attempts)
$$;
DELETE FROM rhesis_notify.task_notifications;
SELECT is(queue_probe.adopt_orphans('{}'), 0, 'there are no orphans');
SELECT pg_temp.leave_behind('dead', 1), pg_temp.leave_behind('live', 2), pg_temp.leave_behind('worn out', 3, 11) \g /dev/null
SELECT is(queue_probe.adopt_orphans('{2}'), 2, 'rows of dead workers are adopted');
SELECT is(pg_temp.state('dead'), 'pending', 'and due again');
SELECT is(pg_temp.state('live'), 'sending', 'a live worker keeps its own');
SELECT is(pg_temp.state('worn out'), 'failed interrupted', 'a row that was never finished is given up at last');
SELECT results_eq(
	$$ SELECT task_id COLLATE "default", attempts, event, detail ->> 'epoch' FROM rhesis_notify.task_notifications AS n
	   JOIN rhesis_notify.delivery_events ON n.id = notification_id ORDER BY n.id $$,
	$$ VALUES ('dead', 1, 'in_doubt', '1'), ('worn out', 12, 'in_doubt', '3') $$, 'each has an event and an attempt');
SET LOCAL queue_probe.in_doubt = 'hold';
SELECT pg_temp.leave_behind('doubtful', 4, 11) \g /dev/null
SELECT is(queue_probe.adopt_orphans('{2}'), 1, 'where in_doubt says hold');
SELECT is(pg_temp.state('doubtful'), 'held in_doubt', 'they are held');

SELECT cmp_ok(queue_probe.next_epoch(), '<', queue_probe.next_epoch(), 'each worker has a number of its own');

-- Retention.
DELETE FROM rhesis_notify.task_notifications;
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, finished_at)
SELECT days || ' days', 'n', 'success', 'sent', now() - make_interval(days => days) FROM generate_series(25, 35) AS days;
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, created_at, next_attempt_at)
VALUES ('forgotten', 'n', 'success', now() - interval '1 y', now() - interval '1 y');
INSERT INTO rhesis_notify.delivery_events (notification_id, event) VALUES (pg_temp.task('35 days'), 'deferred');
SELECT is(queue_probe.purge_finished(2), 2, 'a small batch is removed');
SELECT is(pg_temp.task('35 days'), NULL, 'the oldest first');
SELECT is((SELECT count(*) FROM rhesis_notify.delivery_events), 0::bigint, 'with their events');
SELECT is(queue_probe.purge_finished(100), 3, 'then the rest');
SELECT is((SELECT count(*) FROM rhesis_notify.task_notifications), 7::bigint, 'of those older than retention');
SELECT is(pg_temp.state('forgotten'), 'pending', 'what is not finished stays');
SET LOCAL queue_probe.retention = 0;
SELECT is(queue_probe.purge_finished(100), 0, 'without retention everything stays');

-- Pause.
SELECT is(queue_probe.queue_is_paused(), false, 'the queue is not paused');
SELECT rhesis_notify.pause() \g /dev/null
SELECT is(queue_probe.queue_is_paused(), true, 'now it is');

-- Ids and times of any size.
DELETE FROM rhesis_notify.task_notifications;
INSERT INTO rhesis_notify.task_notifications (id, task_id, task_name, status, user_id, next_attempt_at) OVERRIDING SYSTEM VALUE
VALUES (-9223372036854775808, 'least', 'collect_results', 'success', '1', now()), (-5, 'negative', 'collect_results', 'success', '1', now()),
	(0, 'zero', 'collect_results', 'success', '1', now()), (9223372036854775807, 'greatest', 'collect_results', 'success', '1', now()),
	(-6, 'ever', 'collect_results', 'success', '1', '-infinity');
SELECT is(pg_temp.claim(1, 10, true), 'least ever negative zero greatest', 'ids that are not positive are claimed');
UPDATE rhesis_notify.task_notifications SET delivery_status = 'pending', claimed_by = NULL;
SELECT is((SELECT count(*) FROM generate_series(1, 5) AS n, LATERAL queue_probe.claim(n, 1, true)), 5::bigint, 'one by one, too');

-- The plans were made while the queue was almost empty. With many finished and waiting rows, they
-- must still read no more than necessary.
DELETE FROM rhesis_notify.task_notifications;
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, finished_at)
SELECT 'history ' || n, 'n', 'success', 'sent', now() FROM generate_series(1, 3000) AS n;
SELECT pg_temp.insert_due('backlog ' || n) FROM generate_series(1, 3000) AS n \g /dev/null
CREATE TEMP TABLE scans AS
	SELECT pg_stat_get_xact_numscans('rhesis_notify.task_notifications'::regclass) AS sequential,
		pg_stat_get_xact_tuples_hot_updated('rhesis_notify.task_notifications'::regclass) AS hot_updates,
		pg_stat_get_xact_tuples_returned('rhesis_notify.task_notifications_due'::regclass) AS due_rows;
SELECT count(*) FROM queue_probe.claim(1, 100, true) \g /dev/null
SELECT queue_probe.next_due_time(), queue_probe.purge_finished(100) \g /dev/null
SELECT cmp_ok(pg_stat_get_xact_tuples_returned('rhesis_notify.task_notifications_due'::regclass) - due_rows, '<=', 400::bigint,
			  'the claim reads the rows of its batch')
FROM scans;
-- The new row versions are a little larger, and these rows are small. So not all new versions fit
-- on their page.
SELECT cmp_ok(pg_stat_get_xact_tuples_hot_updated('rhesis_notify.task_notifications'::regclass) - hot_updates, '>=', 90::bigint,
			  'and writes to no index')
FROM scans;
SELECT is(queue_probe.adopt_orphans('{1}'), 0, 'a live worker keeps what it has claimed');
SELECT is(pg_stat_get_xact_numscans('rhesis_notify.task_notifications'::regclass), sequential, 'the table is never read as a whole')
FROM scans;
SELECT is(queue_probe.record(1, ARRAY(SELECT id FROM rhesis_notify.task_notifications WHERE claimed_by = 1), 'sent'), 100,
		  'and they are recorded');

SELECT * FROM finish();
ROLLBACK;
