-- Rules for every SQL object, including objects that are added later.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS rhesis_notify;
SET LOCAL client_min_messages = notice;
SELECT * FROM no_plan();

CREATE TEMP VIEW member AS
	SELECT classid, objid FROM pg_depend
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'rhesis_notify');

-- Every object has a comment.
SELECT is_empty($$
	SELECT pg_describe_object(classid, objid, 0) FROM member
	WHERE obj_description(objid, classid::regclass::name) IS NULL
		-- Without the types that PostgreSQL makes for tables and views, and array types.
		AND NOT (classid = 'pg_type'::regclass AND EXISTS
			(SELECT FROM pg_type WHERE pg_type.oid = objid AND (typrelid <> 0 OR typcategory = 'A'))) $$,
	'each object has a comment');
SELECT is_empty($$
	SELECT attrelid::regclass, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
	WHERE relnamespace = 'rhesis_notify'::regnamespace AND relkind IN ('r', 'v') AND attnum > 0 AND NOT attisdropped
		AND col_description(attrelid, attnum) IS NULL $$,
	'each column has a comment');
SELECT is_empty($$
	SELECT pg_describe_object(classid, objid, 0)
	FROM
		(SELECT 'pg_policy'::regclass AS classid, oid AS objid, polrelid AS relation FROM pg_policy
		 UNION ALL SELECT 'pg_trigger', oid, tgrelid FROM pg_trigger WHERE NOT tgisinternal
		 UNION ALL SELECT 'pg_constraint', oid, conrelid FROM pg_constraint
		 WHERE contype = 'c' OR (contype = 'u' AND conname !~ '_key$')
		 UNION ALL SELECT 'pg_class', indexrelid, indrelid FROM pg_index
		 WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)) AS part
		JOIN pg_class ON pg_class.oid = relation
	WHERE relnamespace = 'rhesis_notify'::regnamespace AND obj_description(objid, classid::regclass::name) IS NULL $$,
	'each policy, trigger, check and index has a comment');

-- No function depends on the search_path of its caller.
SELECT is_empty($$
	SELECT oid::regprocedure FROM pg_proc
	WHERE pronamespace = 'rhesis_notify'::regnamespace
		AND (prosecdef OR prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c'))
		AND NOT coalesce(proconfig, '{}') @> '{"search_path=pg_catalog, pg_temp"}' $$,
	'each function that is no plain C function has a fixed search_path');
SELECT is_empty($$
	SELECT oid::regclass FROM pg_class
	WHERE relnamespace = 'rhesis_notify'::regnamespace AND relkind = 'v'
		AND NOT coalesce(reloptions, '{}') @> '{security_invoker=true}' $$,
	'each view reads with the rights of who asks');

-- Every object is in the schema, and is removed with the extension.
SELECT is_empty($$
	SELECT pg_describe_object(classid, objid, 0)
	FROM member, pg_identify_object(classid, objid, 0)
	WHERE coalesce(schema, identity) <> 'rhesis_notify' $$,
	'all objects are in schema rhesis_notify');

-- A dump contains what users write, with the sequences of the ids, and the identity of the
-- database. It does not contain shipped rows or the birth of the database.
SELECT set_eq($$
	SELECT relname::text FROM pg_class
	WHERE relnamespace = 'rhesis_notify'::regnamespace AND relkind IN ('r', 'S')
		AND oid <> ALL (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'rhesis_notify') $$,
	ARRAY['shipped_templates', 'shipped_task_types', 'database_birth', 'worker_epoch'],
	'everything but what is shipped, the database''s birth and the numbers of workers is dumped');
SELECT is_empty($$
	SELECT condition FROM pg_extension, unnest(extcondition) AS condition
	WHERE extname = 'rhesis_notify' AND condition <> '' $$,
	'and whole');

SELECT is_empty($$
	SELECT conrelid::regclass, conname FROM pg_constraint
	WHERE contype = 'f' AND connamespace = 'rhesis_notify'::regnamespace
		AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1]) $$,
	'each foreign key has an index');

SELECT * FROM finish();
ROLLBACK;
