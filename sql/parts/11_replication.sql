------------------------------------------------------------------------------------------------------------------------
-- Logical replication
------------------------------------------------------------------------------------------------------------------------

-- A publication FOR ALL TABLES also publishes the rows that belong to each server alone. REPLICA
-- triggers fire only for replicated changes. The functions check that again, because pg_restore
-- --disable-triggers turns each trigger into an ordinary one.
CREATE FUNCTION rhesis_notify.ignore_replicated() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'replica' THEN
		RETURN NULL;
	END IF;
	RETURN COALESCE(NEW, OLD);
END
$function$;
COMMENT ON FUNCTION rhesis_notify.ignore_replicated() IS
	'Trigger function: ignores replicated changes of a table whose rows belong to each server '
	'alone';

CREATE FUNCTION rhesis_notify.keep_own_pause() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.<>) 'replica' THEN
		RETURN COALESCE(NEW, OLD);
	END IF;
	IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' AND NOT EXISTS (SELECT FROM rhesis_notify.database_pause) THEN
		RETURN NEW;
	END IF;
	RETURN NULL;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.keep_own_pause() IS
	'Trigger function: accepts a replicated pause if this database is not paused, and ignores the '
	'replicated end of a pause';

CREATE TRIGGER ignore_replicated BEFORE INSERT OR UPDATE OR DELETE ON rhesis_notify.shipped_templates
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.ignore_replicated();
ALTER TABLE rhesis_notify.shipped_templates ENABLE REPLICA TRIGGER ignore_replicated;
COMMENT ON TRIGGER ignore_replicated ON rhesis_notify.shipped_templates IS
	'The rows came with this server''s own extension';

CREATE TRIGGER ignore_replicated BEFORE INSERT OR UPDATE OR DELETE ON rhesis_notify.shipped_task_types
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.ignore_replicated();
ALTER TABLE rhesis_notify.shipped_task_types ENABLE REPLICA TRIGGER ignore_replicated;
COMMENT ON TRIGGER ignore_replicated ON rhesis_notify.shipped_task_types IS
	'The rows came with this server''s own extension';

CREATE TRIGGER ignore_replicated BEFORE INSERT OR UPDATE OR DELETE ON rhesis_notify.database_birth
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.ignore_replicated();
ALTER TABLE rhesis_notify.database_birth ENABLE REPLICA TRIGGER ignore_replicated;
COMMENT ON TRIGGER ignore_replicated ON rhesis_notify.database_birth IS
	'A publisher''s identity makes this database a copy, so a publisher''s birth must not come '
	'with it';

CREATE TRIGGER keep_own_pause BEFORE INSERT OR UPDATE OR DELETE ON rhesis_notify.database_pause
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.keep_own_pause();
ALTER TABLE rhesis_notify.database_pause ENABLE REPLICA TRIGGER keep_own_pause;
COMMENT ON TRIGGER keep_own_pause ON rhesis_notify.database_pause IS
	'A pause ends only where resume() is called';
