-- DROP EXTENSION leaves nothing behind: no schema, no worker in the database.
DROP EXTENSION rhesis_notify;
SELECT nspname FROM pg_namespace WHERE nspname = 'rhesis_notify';

DO $$
BEGIN
	FOR i IN 1 .. 600 LOOP
		PERFORM pg_stat_clear_snapshot();
		IF NOT EXISTS (SELECT FROM pg_stat_activity
					   WHERE backend_type = 'rhesis_notify worker' AND datname = current_database()) THEN
			RETURN;
		END IF;
		PERFORM pg_sleep(0.1);
	END LOOP;
	RAISE EXCEPTION 'a worker is still there';
END
$$;

-- A schema of that name that somebody has prepared is not used.
-- Since 18 PostgreSQL tells where in an extension's script it was.
\set SHOW_CONTEXT never
CREATE SCHEMA rhesis_notify;
CREATE EXTENSION rhesis_notify;
DROP SCHEMA rhesis_notify;
