-- rhesis_notify.mustache(): the suite of the Mustache spec through SQL, and what only the server
-- adds: numbers and nesting of jsonb, errors, interrupts. Run it from the root of the source tree,
-- in a database with the extension.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_ROLLBACK 1
\set ON_ERROR_STOP true

\set comments `cat test/mustache-spec/comments.json`
\set delimiters `cat test/mustache-spec/delimiters.json`
\set interpolation `cat test/mustache-spec/interpolation.json`
\set inverted `cat test/mustache-spec/inverted.json`
\set partials `cat test/mustache-spec/partials.json`
\set sections `cat test/mustache-spec/sections.json`
\set dynamic_names `cat test/mustache-spec/~dynamic-names.json`
\set inheritance `cat test/mustache-spec/~inheritance.json`

BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(216);

SELECT is(
	rhesis_notify.mustache(spec ->> 'template', spec -> 'data', coalesce(spec -> 'partials', '{}')),
	spec ->> 'expected',
	module || ': ' || (spec ->> 'name'))
FROM (VALUES ('comments', :'comments'::jsonb), ('delimiters', :'delimiters'),
	('interpolation', :'interpolation'), ('inverted', :'inverted'), ('partials', :'partials'),
	('sections', :'sections'), ('dynamic names', :'dynamic_names'), ('inheritance', :'inheritance')
	) AS modules (module, suite),
	jsonb_array_elements(suite -> 'tests') AS spec;

-- The function in the catalog.
SELECT volatility_is('rhesis_notify', 'mustache', ARRAY['text', 'jsonb', 'jsonb', 'boolean'],
	'immutable', 'mustache() is immutable');
SELECT is_strict('rhesis_notify', 'mustache', ARRAY['text', 'jsonb', 'jsonb', 'boolean'],
	'mustache() is strict');
SELECT is(proparallel, 's', 'mustache() is parallel safe')
FROM pg_proc WHERE oid = 'rhesis_notify.mustache(text, jsonb, jsonb, boolean)'::regprocedure;
SELECT is(rhesis_notify.mustache(NULL, '{}'), NULL, 'no template, no text');

-- Values as jsonb prints them.
SELECT is(rhesis_notify.mustache('{{a}}', '{"a": 1.10}'), '1.10', 'numbers keep their scale');
SELECT is(rhesis_notify.mustache('{{a}}', '{"a": 12345678901234567890.5}'), '12345678901234567890.5',
	'numbers keep all digits');
SELECT is(rhesis_notify.mustache('{{a}} {{#a}}yes{{/a}}{{^a}}no{{/a}}', jsonb_build_object('a', zero)),
	zero || ' no', zero || ' prints and is false in a section')
FROM unnest('{0, 0.00}'::numeric[]) AS zero;
SELECT is(rhesis_notify.mustache('{{{a}}}', jsonb_build_object('a', value)), value::text,
	'prints as jsonb does: ' || value::text)
FROM unnest(ARRAY[
	'[]', '{}', '[[], {}, [[]]]', '{"a": {"b": [1, 2.50, null, true, false]}, "c": "x"}',
	'["\"\\/\b\f\n\r\t\u0001 é \u2028"]', '{"k\"ey": [{"a": 1}, {"a": 2}]}']::jsonb[]) AS value;
SELECT is(rhesis_notify.mustache('{{{.}}}', value), coalesce(value #>> '{}', ''),
	'the variables may be ' || value::text)
FROM unnest(ARRAY['"text"', '12.50', 'true', 'null', '[1, 2]']::jsonb[]) AS value;
SELECT is(
	rhesis_notify.mustache('{{#l}}{{.}},{{/l}}',
		jsonb_build_object('l', (SELECT jsonb_agg(i) FROM generate_series(1, 1000) AS i))),
	(SELECT string_agg(i || ',', '' ORDER BY i) FROM generate_series(1, 1000) AS i),
	'every element of a long list, in order');
SELECT is(rhesis_notify.mustache('{{a}}', '{"a": "<é>"}', escape_html => false), '<é>',
	'escaping can be switched off');

-- Errors.
PREPARE broken AS SELECT rhesis_notify.mustache(E'{{#a}}\n{{/b}}', '{}');
SELECT throws_ok('broken', '42601', 'template cannot be parsed', 'a broken template');
PREPARE broken_partial AS SELECT rhesis_notify.mustache('{{>p}}', '{}', '{"p": "{{"}');
SELECT throws_ok('broken_partial', '42601', 'template "p" cannot be parsed', 'a broken partial');
PREPARE endless AS SELECT rhesis_notify.mustache('{{>p}}', '{}', '{"p": "{{>p}}"}');
SELECT throws_ok('endless', '54000', 'template "p" exceeds a limit', 'a partial that never ends');
PREPARE large AS SELECT rhesis_notify.mustache('{{.}}', jsonb_build_array(repeat('x', 1100000)));
SELECT throws_ok('large', '54000', 'template exceeds a limit', 'an output of more than 1 MB');
PREPARE huge AS SELECT rhesis_notify.mustache('{{.}}',
	(SELECT jsonb_agg('1e131000'::numeric) FROM generate_series(1, 20000)));
SELECT throws_ok('huge', '54000', 'template exceeds a limit',
	'a small list whose text would take gigabytes');
PREPARE no_object AS SELECT rhesis_notify.mustache('', '{}', '[]');
SELECT throws_ok('no_object', '22023', 'partials must be a JSON object', 'partials as a list');
PREPARE no_string AS SELECT rhesis_notify.mustache('{{>p}}', '{}', '{"p": 1}');
SELECT throws_ok('no_string', '22023', 'partial "p" is not a string', 'a partial that is a number');

-- Returns the position of the error, in a form for programs.
CREATE FUNCTION pg_temp.error_detail(template text, OUT detail text, OUT hint text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rhesis_notify.mustache(template, '{}');
EXCEPTION WHEN syntax_error THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END $$;
SELECT is(detail, 'Line 2, {{/b}}: closing tag does not match the tag opened in line 1.',
	'the detail names line, tag and cause')
FROM pg_temp.error_detail(E'{{#a}}\n{{/b}}');
SELECT is(hint, 'Close what was opened last first, by the same name.', 'the hint says what to do')
FROM pg_temp.error_detail(E'{{#a}}\n{{/b}}');

-- Work without output ends after a limit, and can be interrupted before.
CREATE TEMPORARY TABLE loops AS SELECT
	repeat('{{#l}}', 9) || repeat('{{/l}}', 9) AS template,
	jsonb_build_object('l', (SELECT jsonb_agg(i) FROM generate_series(1, 100) AS i)) AS variables;
PREPARE loops AS SELECT rhesis_notify.mustache(template, variables) FROM loops;
SELECT throws_ok('loops', '54000', 'template exceeds a limit', 'endless loops without output');
CREATE FUNCTION pg_temp.render_loops() RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rhesis_notify.mustache(template, variables) FROM loops;
EXCEPTION WHEN OTHERS OR query_canceled THEN
	RETURN SQLSTATE;
END $$;
SET LOCAL statement_timeout = '5ms';
SELECT is(pg_temp.render_loops(), '57014', 'rendering can be interrupted');
SET LOCAL statement_timeout = 0;

SELECT * FROM finish();
ROLLBACK;
