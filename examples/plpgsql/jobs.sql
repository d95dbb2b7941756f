-- A job queue in the database that sends mail to the jobs' owners. A job's result and its notification are written in one transaction.
-- The role that runs the jobs needs SELECT rhesis_notify.grant_to('...').

CREATE TABLE public.job
(
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL,
	statement text NOT NULL,
	user_id uuid NOT NULL,
	organization_id uuid,
	state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
	started_at timestamptz,
	finished_at timestamptz,
	error text
);

-- Reports each job whose final state is set, by a function or by a person in psql.
CREATE FUNCTION public.report_job() RETURNS trigger
LANGUAGE plpgsql
AS $function$
BEGIN
	PERFORM rhesis_notify.task_completed(
		task_id => 'job-' || NEW.id,
		task_name => 'job.' || NEW.name,
		status => CASE NEW.state WHEN 'done' THEN 'success' ELSE 'failed' END,
		user_id => NEW.user_id::text,
		organization_id => NEW.organization_id::text,
		error_message => NEW.error,
		started_at => NEW.started_at,
		completed_at => NEW.finished_at,
		template => 'task_completion',
		result => jsonb_build_object('task_name', NEW.name));
	RETURN NULL;
END
$function$;

CREATE TRIGGER report_job AFTER UPDATE OF state ON public.job
	FOR EACH ROW WHEN (NEW.state IN ('done', 'failed') AND OLD.state NOT IN ('done', 'failed'))
	EXECUTE FUNCTION public.report_job();

-- Runs the waiting jobs, each in its own transaction. An error rolls back only the work of its own job.
CREATE PROCEDURE public.run_jobs()
LANGUAGE plpgsql
AS $procedure$
DECLARE
	next public.job;
BEGIN
	LOOP
		-- Not now(): that is the start of the transaction, and the execution time would be too short.
		UPDATE public.job SET state = 'running', started_at = clock_timestamp()
		WHERE id = (SELECT id FROM public.job WHERE state = 'waiting' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1)
		RETURNING * INTO next;
		EXIT WHEN NOT FOUND;
		BEGIN
			EXECUTE next.statement;
			UPDATE public.job SET state = 'done', finished_at = clock_timestamp() WHERE id = next.id;
		EXCEPTION WHEN OTHERS THEN
			UPDATE public.job SET state = 'failed', finished_at = clock_timestamp(), error = SQLERRM WHERE id = next.id;
		END;
		COMMIT;
	END LOOP;
END
$procedure$;

-- INSERT INTO public.job (name, statement, user_id, organization_id) VALUES ('Nightly clean-up', 'DELETE FROM ...', ...);
-- CALL public.run_jobs();
