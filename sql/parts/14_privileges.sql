------------------------------------------------------------------------------------------------------------------------
-- Privileges
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION rhesis_notify.grant_to(grantee regrole, privileges text DEFAULT 'task') RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	IF grantee IS NULL THEN
		RAISE EXCEPTION 'grantee must not be null'
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Name a role: SELECT rhesis_notify.grant_to(''app'').';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid OPERATOR(pg_catalog.=) grantee) THEN
		RAISE EXCEPTION 'role "%" does not exist', grantee
			USING ERRCODE = 'undefined_object',
				HINT = 'Create it with CREATE ROLE, or name another one.';
	END IF;
	IF privileges IS NULL OR privileges OPERATOR(pg_catalog.<>) ALL ('{task,operator,monitor}'::text[]) THEN
		RAISE EXCEPTION 'unknown set of privileges "%"', privileges
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Use ''task'' for the role that tasks run as, ''operator'' for one that works the queue, ''monitor'' for one '
					'that reads metrics.';
	END IF;

	EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA rhesis_notify TO %s', grantee);
	IF privileges OPERATOR(pg_catalog.=) 'monitor' THEN
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION rhesis_notify.metrics(), rhesis_notify.metric_samples(text) TO %s',
			grantee);
		RETURN;
	END IF;

	EXECUTE pg_catalog.format('GRANT SELECT ON rhesis_notify.task_notifications, rhesis_notify.shipped_task_types, '
		'rhesis_notify.custom_task_types, rhesis_notify.task_types, rhesis_notify.delivery_status, '
		'rhesis_notify.queue_status, rhesis_notify.worker_status TO %s', grantee);
	EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION rhesis_notify.worker_slots() TO %s', grantee);

	IF privileges OPERATOR(pg_catalog.=) 'task' THEN
		EXECUTE pg_catalog.format('GRANT INSERT (task_id, task_name, status, user_id, organization_id, template, '
			'subject_template, result, error_message, started_at, completed_at) '
			'ON rhesis_notify.task_notifications TO %s', grantee);
		EXECUTE pg_catalog.format('GRANT SELECT ON SEQUENCE rhesis_notify.task_notifications_id_seq TO %s', grantee);
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION rhesis_notify.task_completed TO %s', grantee);
	ELSE
		EXECUTE pg_catalog.format('GRANT SELECT ON rhesis_notify.delivery_events, rhesis_notify.shipped_templates, '
			'rhesis_notify.database_pause TO %s', grantee);
		EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON rhesis_notify.templates TO %s', grantee);
		-- Name each function, so that none is granted by accident: trigger functions are only for
		-- our triggers. Add a new function for operators here, and in the update script's copy.
		-- test/pgtap/privileges.sql fails if one is missing.
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION rhesis_notify.adopt_database, rhesis_notify.cancel, rhesis_notify.check_smtp, '
			'rhesis_notify.copy_sign, rhesis_notify.retry_all, '
			'rhesis_notify.email_notification, rhesis_notify.email_notification_test, rhesis_notify.explain, '
			'rhesis_notify.health, rhesis_notify.metric_samples, rhesis_notify.metrics, rhesis_notify.mustache, '
			'rhesis_notify.pause, rhesis_notify.preview, rhesis_notify.preview_message, rhesis_notify.purge, '
			'rhesis_notify.render_diff, rhesis_notify.render_template, rhesis_notify.resume, rhesis_notify.retry, '
			'rhesis_notify.retry_failed, rhesis_notify.send_task_completion_email, rhesis_notify.silence, rhesis_notify.skip_used_event_ids, '
			'rhesis_notify.task_completed, rhesis_notify.template_variables, rhesis_notify.wake_workers TO %s', grantee);
	END IF;
END
$function$;
COMMENT ON FUNCTION rhesis_notify.grant_to(regrole, text) IS
	'Gives a role the privileges that it needs. ''task'': to report tasks (but not to set the '
	'address or the state of a mail), and to see what became of its organization''s. '
	'''operator'': to see every organization''s, and to call every function of the extension '
	'except this one and trigger functions. ''monitor'': to call metrics() and metric_samples(), '
	'which show no address; the role may be pg_monitor. DROP OWNED BY revokes all of it';

-- Row security keeps one organization's rows from another's requests. It guards against mistakes of
-- the application: a role that may SET the setting can choose its organization. The owner is not
-- bound. The setting's name is itself a setting. The default of the latter is repeated here, so that
-- tasks can still report if the library is not loaded. The policies call no function of ours, because every role
-- that inserts would need a grant for it.
ALTER TABLE rhesis_notify.task_notifications ENABLE ROW LEVEL SECURITY;

CREATE POLICY read_own_organization ON rhesis_notify.task_notifications FOR SELECT
	USING (organization_id IS NOT DISTINCT FROM (SELECT NULLIF(pg_catalog.current_setting(NULLIF(COALESCE(
		pg_catalog.current_setting('rhesis_notify.organization_setting', true), 'app.current_organization'), ''), true), '')));
COMMENT ON POLICY read_own_organization ON rhesis_notify.task_notifications IS
	'A role reads the rows of the organization that its session has set. If that is not set or '
	'empty, it reads the rows without an organization';

CREATE POLICY read_as_operator ON rhesis_notify.task_notifications FOR SELECT
	USING ((SELECT pg_catalog.has_function_privilege('rhesis_notify.retry(bigint)'::regprocedure, 'EXECUTE')));
COMMENT ON POLICY read_as_operator ON rhesis_notify.task_notifications IS
	'An operator (a role that may call retry) reads the rows of every organization';

CREATE POLICY insert_own_organization ON rhesis_notify.task_notifications FOR INSERT
	WITH CHECK (
		NULLIF(pg_catalog.current_setting(NULLIF(COALESCE(
			pg_catalog.current_setting('rhesis_notify.organization_setting', true), 'app.current_organization'), ''), true), '')
			IS NULL
		OR organization_id IS NOT DISTINCT FROM pg_catalog.current_setting(COALESCE(
			pg_catalog.current_setting('rhesis_notify.organization_setting', true), 'app.current_organization'), true));
COMMENT ON POLICY insert_own_organization ON rhesis_notify.task_notifications IS
	'A role inserts rows of the organization that its session has set. If that is not set or '
	'empty, it inserts rows of any organization';

-- Revoke what PostgreSQL grants to PUBLIC by default. Keep this last: it covers everything above.
-- (Leave out the row types of tables and views: their privileges have no effect, and pg_dump warns
-- if an extension has changed them.)
REVOKE ALL ON ALL TABLES IN SCHEMA rhesis_notify FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA rhesis_notify FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA rhesis_notify FROM PUBLIC;
REVOKE ALL ON TYPE rhesis_notify.delivery_state FROM PUBLIC;

-- ALTER DEFAULT PRIVILEGES of the creating role may have granted something to other roles. Revoke
-- it: privileges come from grant_to() alone.
DO $do$
DECLARE
	other text;
BEGIN
	FOR other IN
		SELECT DISTINCT acl.grantee::regrole::text
		FROM pg_catalog.pg_namespace AS n
		CROSS JOIN LATERAL
			(SELECT n.nspacl AS acls
			 UNION ALL SELECT c.relacl FROM pg_catalog.pg_class AS c WHERE c.relnamespace OPERATOR(pg_catalog.=) n.oid
			 UNION ALL SELECT p.proacl FROM pg_catalog.pg_proc AS p WHERE p.pronamespace OPERATOR(pg_catalog.=) n.oid
			 UNION ALL SELECT t.typacl FROM pg_catalog.pg_type AS t WHERE t.typnamespace OPERATOR(pg_catalog.=) n.oid) AS object
		CROSS JOIN LATERAL pg_catalog.aclexplode(object.acls) AS acl
		WHERE n.nspname OPERATOR(pg_catalog.=) 'rhesis_notify' AND acl.grantee OPERATOR(pg_catalog.<>) ALL (ARRAY[0, n.nspowner])
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA rhesis_notify FROM %s', other);
		EXECUTE pg_catalog.format('REVOKE ALL ON ALL TABLES IN SCHEMA rhesis_notify FROM %s', other);
		EXECUTE pg_catalog.format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA rhesis_notify FROM %s', other);
		EXECUTE pg_catalog.format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA rhesis_notify FROM %s', other);
		EXECUTE pg_catalog.format('REVOKE ALL ON TYPE rhesis_notify.delivery_state FROM %s', other);
	END LOOP;
END
$do$;
