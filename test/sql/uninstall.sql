-- DROP EXTENSION removes everything: the schema, and the worker of the database.
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

-- If a schema with that name exists already, it is not used. Since version 18, PostgreSQL reports
-- the position in the script of the extension.
\set SHOW_CONTEXT never
CREATE SCHEMA rhesis_notify;
CREATE EXTENSION rhesis_notify;
DROP SCHEMA rhesis_notify;
