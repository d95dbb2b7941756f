------------------------------------------------------------------------------------------------------------------------
-- Logical replication
------------------------------------------------------------------------------------------------------------------------

-- A publication FOR ALL TABLES publishes each server's own rows, too. REPLICA triggers see what replication brings, and nothing else.
-- The functions look for themselves: pg_restore --disable-triggers leaves each trigger enabled as an ordinary one.
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
	'Trigger function: leaves out what replication brings for a table whose rows are each server''s own';

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
	'Trigger function: a pause that replication brings is taken over where there is none, its end is not';

CREATE TRIGGER ignore_replicated BEFORE INSERT OR UPDATE OR DELETE ON rhesis_notify.shipped_templates
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.ignore_replicated();
ALTER TABLE rhesis_notify.shipped_templates ENABLE REPLICA TRIGGER ignore_replicated;
COMMENT ON TRIGGER ignore_replicated ON rhesis_notify.shipped_templates IS
	'They came with this servers own extension';

CREATE TRIGGER ignore_replicated BEFORE INSERT OR UPDATE OR DELETE ON rhesis_notify.shipped_task_types
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.ignore_replicated();
ALTER TABLE rhesis_notify.shipped_task_types ENABLE REPLICA TRIGGER ignore_replicated;
COMMENT ON TRIGGER ignore_replicated ON rhesis_notify.shipped_task_types IS
	'They came with this servers own extension';

CREATE TRIGGER ignore_replicated BEFORE INSERT OR UPDATE OR DELETE ON rhesis_notify.database_birth
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.ignore_replicated();
ALTER TABLE rhesis_notify.database_birth ENABLE REPLICA TRIGGER ignore_replicated;
COMMENT ON TRIGGER ignore_replicated ON rhesis_notify.database_birth IS
	'A publishers identity makes this database a copy; its birth must not';

CREATE TRIGGER keep_own_pause BEFORE INSERT OR UPDATE OR DELETE ON rhesis_notify.database_pause
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.keep_own_pause();
ALTER TABLE rhesis_notify.database_pause ENABLE REPLICA TRIGGER keep_own_pause;
COMMENT ON TRIGGER keep_own_pause ON rhesis_notify.database_pause IS
	'A pause ends where somebody says so';
