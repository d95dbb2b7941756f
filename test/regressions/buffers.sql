-- Counts the buffers that claim and record touch for each row. The statements are those of
-- src/queue/queue_claim.c and src/queue/queue_record.c, as a worker runs them, in an empty database
-- with the extension. Prints "claim" and "record" with their figures. The plans of the executed
-- statements appear as warnings, in JSON.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;

CREATE EXTENSION queue_probe;
CREATE TABLE public.touched (work text, buffers numeric, row_count integer);

-- Autovacuum would run at any time, so it is off. This test runs vacuum below. Vacuum makes the
-- claim more expensive: for a row on an all-visible page, the lock also reads the visibility map.
ALTER TABLE rhesis_notify.task_notifications SET (autovacuum_enabled = off);
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, template, result, delivery_status, attempts, finished_at)
	SELECT md5('finished' || id), 'generate_test_set', 'success', md5(id::text), 'task_completion', '{"test_run_id": "a"}', 'sent', 1, now()
	FROM generate_series(1, 20000) AS id;
INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, template, result)
	SELECT md5('due' || id), 'generate_test_set', 'success', md5(id::text), 'task_completion', '{"test_run_id": "a"}'
	FROM generate_series(1, 5000) AS id;
VACUUM (FREEZE, ANALYZE) rhesis_notify.task_notifications;

-- Runs a statement. Returns the number of buffers that it touched, including its functions.
CREATE FUNCTION public.buffers(statement text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT json) ' || statement INTO plan;
	RETURN (plan #>> '{0,Plan,Shared Hit Blocks}')::numeric + (plan #>> '{0,Plan,Shared Read Blocks}')::numeric;
END $$;

-- Only auto_explain shows the plan of a statement inside a function.
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET auto_explain.log_buffers = on;
SET auto_explain.log_timing = off;
SET auto_explain.log_format = json;
SET auto_explain.log_level = warning;

-- Claims and records in batches, each in its own transaction, as a worker does.
DO $$
DECLARE
	batch constant integer := 50;
	ids bigint[];
BEGIN
	FOR round IN 1 .. 100 LOOP
		INSERT INTO public.touched VALUES ('claim', public.buffers(format('SELECT * FROM queue_probe.claim(1, %s, false)', batch)), batch);
		COMMIT;
		ids := ARRAY(SELECT id FROM rhesis_notify.task_notifications WHERE delivery_status = 'sending' AND claimed_by = 1);
		IF cardinality(ids) <> batch THEN
			RAISE EXCEPTION '% rows were claimed, not %', cardinality(ids), batch;
		END IF;
		INSERT INTO public.touched VALUES ('record', public.buffers(format(
			$record$SELECT queue_probe.record(1, %L, 'sent', recipient_email => 'ada@customer.example', message_id => '<1@rhesis.example>',
				smtp_reply => '250 2.0.0 Ok: queued as 4F2A')$record$, ids)), batch);
		COMMIT;
	END LOOP;
END $$;

-- The first round also makes plans, so it is not counted.
DELETE FROM public.touched WHERE ctid IN (SELECT min(ctid) FROM public.touched GROUP BY work);
SELECT work, round(sum(buffers) / sum(row_count), 2) FROM public.touched GROUP BY work ORDER BY work;
