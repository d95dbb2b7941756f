-- The cache of parsed templates keeps those in use, and its size is limited, however many
-- organizations have their own template.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS rhesis_notify;
SET LOCAL client_min_messages = notice;
SELECT plan(5);

-- A layout of seven thousand bytes with twenty tags, like the shipped one.
INSERT INTO rhesis_notify.templates (organization_id, name, html)
SELECT n, 'layout', n || ': {{$content}}{{/content}}' || repeat('{{task_name}}' || repeat(' some text', 34), 20) FROM generate_series(1, 3000) AS n;

CREATE FUNCTION pg_temp.render(first integer, last integer) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM generate_series(first, last) AS n,
		rhesis_notify.render_template('task_completion', '{"task_name": "Export", "status": "success"}', n::text) AS mail WHERE mail.html LIKE n || ':%'
$$;
-- The number of bytes in the cache, and the number of templates that were read for it.
CREATE FUNCTION pg_temp.cache_bytes() RETURNS bigint LANGUAGE sql AS $$
	SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts WHERE name = 'rhesis_notify templates'
$$;
CREATE FUNCTION pg_temp.reads() RETURNS bigint LANGUAGE sql AS $$
	SELECT pg_stat_get_xact_numscans('rhesis_notify.templates'::regclass)
		+ pg_stat_get_xact_numscans('rhesis_notify.templates_organization_and_name'::regclass)
$$;

SELECT is(pg_temp.render(1, 500), 500::bigint, 'each organization gets its own layout');
SELECT pg_temp.reads() AS reads \gset
SELECT is(pg_temp.render(1, 500), 500::bigint, 'once more');
SELECT is(pg_temp.reads(), :reads::bigint, 'out of the cache');
SELECT is(pg_temp.render(1, 3000), 3000::bigint, 'also when they are too many for it');
SELECT cmp_ok(pg_temp.cache_bytes(), '<=', (17 * 1024 * 1024)::bigint, 'which stays bounded');

SELECT * FROM finish();
ROLLBACK;
