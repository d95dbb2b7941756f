-- jsonb_scope: variables of the caller take precedence over those of a jsonb value. Run it from the
-- root of the source tree, after "make -C test/modules".
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_ROLLBACK 1
\set ON_ERROR_STOP true

\set module `echo "$(pwd)/build/modules/jsonb_scope_test"`

BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE FUNCTION pg_temp.render(template text, "values" jsonb) RETURNS text
LANGUAGE c AS :'module', 'render_layered';
SELECT plan(21);

SELECT is(pg_temp.render('{{fixed}}|{{empty}}|{{nothing}}|{{yes}}|{{no}}|{{replaceable}}', "values"),
	'our &lt;text&gt;|||true|false|ours', 'the caller''s variables over ' || coalesce("values"::text, 'nothing'))
FROM unnest(ARRAY[NULL, '{}', '[1]', '"text"', 'null', '{"other": 1}', '{"replaceable": null}',
	'{"replaceable": ""}', '{"replaceable": []}', '{"replaceable": {"a": 1}}', '{"replaceable": false}']::jsonb[])
	AS "values";
SELECT is(pg_temp.render('{{' || name || '}}', jsonb_build_object(name, 'theirs')), expected,
	'a member does not replace ' || name)
FROM (VALUES ('fixed', 'our &lt;text&gt;'), ('empty', ''), ('nothing', ''), ('yes', 'true'), ('no', 'false'))
	AS cases (name, expected);
SELECT is(pg_temp.render('{{replaceable}}', '{"replaceable": 0}'), '0',
	'a member that is not null replaces a replaceable variable');
SELECT is(pg_temp.render('{{fixe}}{{fixed_}}{{other}}', '{"other": "<x>"}'), '&lt;x&gt;',
	'other names are members of the values');
SELECT is(pg_temp.render('{{#inner}}{{fixed}} {{replaceable}} {{empty}}{{/inner}}',
		'{"inner": {"fixed": "inner"}, "replaceable": "theirs"}'), 'inner theirs ',
	'in a section its own members come first');
SELECT is(pg_temp.render('{{#empty}}1{{/empty}}{{^nothing}}2{{/nothing}}{{#no}}3{{/no}}{{#yes}}4{{/yes}}', '{}'),
	'24', 'the caller''s variables as sections');
SELECT is(pg_temp.render('{{fixed.member}}{{yes.member}}', '{"fixed": {"member": 1}}'), '',
	'the caller''s variables have no members');

SELECT * FROM finish();
ROLLBACK;
