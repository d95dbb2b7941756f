# Every C function of the extension in the catalog is called in every wrong way that a role can use:
# as a trigger of another table, with nulls, as a set in a wrong place, as an operator, an aggregate
# or a cast. A wrong call is an error, and the server keeps running.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use Test::More;

my $node = RhesisNotify::Cluster->serve('main');
my $started = $node->sql('SELECT pg_postmaster_start_time()');
my $launcher = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'rhesis_notify launcher'};
my $launcher_pid = $node->sql($launcher);

# Checks that the server did not restart and that none of its processes crashed.
sub server_stays
{
	my ($after) = @_;
	is($node->sql('SELECT pg_postmaster_start_time()'), $started, "$after: the server still runs");
	is($node->sql($launcher), $launcher_pid, 'with the same processes');
	unlike($node->log, qr/was terminated by signal|PANIC:|TRAP:/, 'none of them crashed');
	return;
}

# An operator with the additional grants of version 1.0. ends() runs a statement, rolls it back, and
# returns "ok" or its SQLSTATE.
$node->sql(
	q{
	CREATE ROLE attacker LOGIN;
	GRANT TEMPORARY ON DATABASE postgres TO attacker;
	SELECT rhesis_notify.grant_to('attacker', 'operator');
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rhesis_notify TO attacker;
	CREATE SCHEMA attack AUTHORIZATION attacker;
	CREATE FUNCTION attack.ends(statement text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		BEGIN
			EXECUTE statement;
			RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
		EXCEPTION WHEN OTHERS THEN
			RETURN CASE SQLSTATE WHEN 'ZZZZZ' THEN 'ok' ELSE SQLSTATE END;
		END;
	END $$;
	CREATE VIEW attack.function AS
	SELECT p.oid, p.oid::regproc AS name, p.prorettype = 'trigger'::regtype AS is_trigger, p.proretset AS returns_set,
		p.proisstrict AS is_strict, p.proargtypes::regtype[] AS arguments
	FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname = 'c'
	JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass
	JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'rhesis_notify';
	GRANT SELECT ON attack.function TO attacker;
});
is($node->sql('SELECT count(*) FROM attack.function'),
	$node->sql(q{SELECT count(*) FROM pg_proc WHERE probin LIKE '%rhesis_notify'}), 'the functions in C were found');

# ---- As triggers ----

# Tables, partitioned tables and views of many shapes, some with the names and columns of our
# tables.
$node->sql(<<'END');
	CREATE TABLE attack.shape (is_view boolean, makes text, relation text, inserts text, updates text);
	INSERT INTO attack.shape VALUES
		(false, $$CREATE TEMP TABLE a (html text)$$, 'a', $$VALUES ('{{x}}')$$, 'html = NULL'),
		(false, $$CREATE TEMP TABLE a ()$$, 'a', 'DEFAULT VALUES', NULL),
		(false, $$CREATE TEMP TABLE a (name integer, html integer[], subject jsonb, text oid, organization_id point)$$, 'a',
			$$VALUES (1, '{1,2}', '{}', 1, '(1,2)')$$, 'name = 2'),
		(false, $$CREATE TEMP TABLE a (organization_id text, name text, subject text, html text, text text)$$, 'a',
			$$VALUES (NULL, NULL, '{{', '{{x}}', '{{>none}}')$$, $$name = 'x'$$),
		(false, $$CREATE TEMP TABLE a (organization_id text, name text, subject text, html text, text text);
			ALTER TABLE a DROP COLUMN name, DROP COLUMN subject$$, 'a', $$VALUES ('x', '{{x}}', '{{/x}}')$$, $$html = '{{y}}'$$),
		(false, $$CREATE TEMP TABLE a (html text, name text GENERATED ALWAYS AS (html || 'x') STORED)$$, 'a',
			$$VALUES ('{{x}}')$$, $$html = NULL$$),
		(false, $$CREATE TEMP TABLE templates (id bigint, organization_id text, name text, subject text, html text, text text)$$,
			'pg_temp.templates', $$VALUES (1, NULL, NULL, NULL, '{{x}}', NULL)$$, $$html = '{{y}}'$$),
		(false, $$CREATE TEMP TABLE shipped_templates (name jsonb)$$, 'pg_temp.shipped_templates', $$VALUES (NULL)$$, $$name = '{}'$$),
		(false, $$CREATE TEMP TABLE task_notifications (task_id integer)$$, 'pg_temp.task_notifications', 'VALUES (1)', 'task_id = 2'),
		(false, $$CREATE TEMP TABLE templates (html text) PARTITION BY LIST (html);
			CREATE TEMP TABLE others PARTITION OF pg_temp.templates DEFAULT$$, 'pg_temp.templates', $$VALUES ('{{x}}')$$, $$html = '{{y}}'$$),
		(true, $$CREATE TEMP VIEW templates AS SELECT '{{x}}'::text AS html, NULL::text AS name$$, 'pg_temp.templates',
			$$VALUES ('{{x}}', NULL)$$, $$html = '{{y}}'$$);

	CREATE VIEW attack.trigger AS
	SELECT format('%s, %s %s FOR EACH %s (%s) on %s', f.name, timing, event, level, given, makes) AS description,
		concat_ws('; ', makes, CASE WHEN NOT is_view AND event !~ '^INSERT' THEN format('INSERT INTO %s %s', relation, inserts) END,
			format('CREATE TRIGGER x %s %s ON %s FOR EACH %s EXECUTE FUNCTION %s(%s)',
				timing, event, relation, level, f.name, given)) AS creates,
		CASE
			WHEN event ~ '^INSERT' THEN format('INSERT INTO %s %s', relation, inserts)
			WHEN event = 'UPDATE' THEN format('UPDATE %s SET %s', relation, updates)
			WHEN event = 'DELETE' THEN format('DELETE FROM %s', relation)
			ELSE format('TRUNCATE %s', relation)
		END AS fires
	FROM attack.function AS f, attack.shape, unnest('{BEFORE,AFTER,INSTEAD OF}'::text[]) AS timing,
		unnest('{ROW,STATEMENT}'::text[]) AS level,
		unnest('{INSERT,UPDATE,DELETE,TRUNCATE,INSERT OR UPDATE OR DELETE}'::text[]) AS event,
		unnest(ARRAY['', $$'x', '{{y}}', ''$$]) AS given
	WHERE f.is_trigger AND (event <> 'UPDATE' OR updates IS NOT NULL)
		-- A statement trigger on a view fires only if the view also has an INSTEAD OF trigger.
		AND NOT (is_view AND level = 'STATEMENT');
	GRANT SELECT ON attack.trigger, attack.shape TO attacker;
END

# Returns psql's output of a query that the attacker runs.
sub as_attacker
{
	my ($query) = @_;
	my ($out, $err);
	$node->psql('postgres', "SET ROLE attacker; $query", stdout => \$out, stderr => \$err, timeout => 600);
	is($err, '', 'the session ends in peace');
	return $out;
}

my $tried = as_attacker(q{
	CREATE TEMP TABLE outcome AS
	SELECT description, attack.ends(concat(creates, '; ', fires)) AS ended FROM attack.trigger WHERE attack.ends(creates) = 'ok';
	SELECT count(*) FROM outcome;
	SELECT description, ended FROM outcome WHERE ended <> '39P01';
});
my ($count, @accepted) = split /\n/, $tried;
cmp_ok($count, '>', 200, "$count triggers on tables and views that they are not for");
is_deeply(\@accepted, [], 'each is refused when it fires: trigger_protocol_violated');
server_stays('triggers');

# ---- With nulls and unusual values ----

# Each argument gets each kind of value in turn while the others have usable values. Then all
# arguments get the same kind.
$node->sql(
	q{
	CREATE FUNCTION attack.value(type regtype, kind text) RETURNS text LANGUAGE sql AS $$
		SELECT CASE kind
			WHEN 'null' THEN 'NULL'
			WHEN 'useful' THEN CASE type
				WHEN 'text'::regtype THEN $q$'task_completion'$q$ WHEN 'jsonb'::regtype THEN $q$'{"a": {"b": [1, null]}}'$q$
				WHEN 'bigint'::regtype THEN '1' WHEN 'integer'::regtype THEN '10' WHEN 'boolean'::regtype THEN 'true'
				WHEN 'timestamptz'::regtype THEN 'now()' WHEN 'uuid'::regtype THEN 'gen_random_uuid()' END
			WHEN 'empty' THEN CASE type
				WHEN 'text'::regtype THEN $q$''$q$ WHEN 'jsonb'::regtype THEN $q$'null'$q$ WHEN 'bigint'::regtype THEN '0'
				WHEN 'integer'::regtype THEN '0' WHEN 'boolean'::regtype THEN 'false' WHEN 'timestamptz'::regtype THEN $q$'-infinity'$q$ END
			WHEN 'extreme' THEN CASE type
				WHEN 'text'::regtype THEN $q$pg_catalog.repeat('{{#x}}', 100000)$q$
				WHEN 'jsonb'::regtype THEN $q$(pg_catalog.repeat('[', 1000) || pg_catalog.repeat(']', 1000))$q$
				WHEN 'bigint'::regtype THEN '-9223372036854775808' WHEN 'integer'::regtype THEN '-2147483648'
				WHEN 'boolean'::regtype THEN 'true' WHEN 'timestamptz'::regtype THEN $q$'infinity'$q$ END
		END $$;
	CREATE FUNCTION attack.call(f attack.function, kind text, place bigint) RETURNS text LANGUAGE sql AS $$
		SELECT format('%s(%s)', f.name, string_agg(format('(%s)::%s',
				coalesce(attack.value(type, CASE WHEN place IN (0, n) THEN kind ELSE 'useful' END), 'NULL'), type), ', ' ORDER BY n))
		FROM unnest(f.arguments) WITH ORDINALITY AS a (type, n) $$;
	CREATE VIEW attack.call AS
	SELECT f.name, f.returns_set, attack.call(f, kind, place) AS call, f.oid::regprocedure AS signature
	FROM attack.function AS f, unnest('{null,useful,empty,extreme}'::text[]) AS kind,
		generate_series(0, cardinality(f.arguments)) AS place
	WHERE NOT f.is_trigger AND (cardinality(f.arguments) > 0 OR place = 0);
	GRANT SELECT ON attack.call TO attacker;
});
($count, my @broken) = split /\n/, as_attacker(q{
	CREATE TEMP TABLE outcome AS
	SELECT call, attack.ends('SELECT ' || call) AS ended, attack.ends('SELECT * FROM ' || call) AS ended_as_rows FROM attack.call;
	SELECT count(*) FROM outcome;
	SELECT call, ended, ended_as_rows FROM outcome WHERE 'XX000' IN (ended, ended_as_rows);
});
cmp_ok($count, '>', 50, "$count calls");
is_deeply(\@broken, [], 'none is an internal error');
server_stays('arguments');

# The same is true after a superuser has removed STRICT.
is( $node->sql(
		q{
		SELECT name, 'not an error' FROM attack.function AS f WHERE is_strict AND cardinality(arguments) > 0
			AND attack.ends(format('ALTER FUNCTION %s CALLED ON NULL INPUT; SELECT %s', f.oid::regprocedure, attack.call(f, 'null', 0))) <> '22004'}),
	'', 'without STRICT a null is an error');
server_stays('not strict');

# ---- As a set in wrong places, and in each part of a statement ----

my @places = (
	'SELECT %s, %s',
	'SELECT 1 FROM generate_series(1, 3) WHERE EXISTS (SELECT %s)',
	'SELECT CASE WHEN true THEN (SELECT x::text FROM (SELECT %s AS x LIMIT 1) AS y) END',
	'SELECT * FROM ROWS FROM (%s, %s) WITH ORDINALITY',
	'SELECT * FROM generate_series(1, 3) AS i CROSS JOIN LATERAL (SELECT %s) AS x',
	'SELECT * FROM %s AS x (a int, b point)',
	'SELECT * FROM %s AS x LIMIT 1 OFFSET 1',
	'VALUES (%s)',
	'SELECT coalesce(%s, NULL)',
	'SELECT count(%s)',
	'SELECT count(*) OVER (ORDER BY (SELECT 1 FROM %s AS x LIMIT 1))',
	'SELECT 1 WHERE (%s) IS NULL',
	'SELECT 1 ORDER BY %s',
	'SELECT 1 LIMIT (SELECT 1 FROM %s AS x LIMIT 1)',
	'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r, LATERAL (SELECT 1 FROM %s AS x LIMIT 1) AS y WHERE n < 3) SELECT * FROM r',
	'DECLARE c SCROLL CURSOR FOR SELECT * FROM %s AS x; FETCH ALL FROM c; MOVE BACKWARD ALL FROM c; FETCH 2 FROM c; CLOSE c',
	'PREPARE s AS SELECT %s; EXECUTE s; EXECUTE s; DEALLOCATE s',
	'DO $do$ DECLARE r record; BEGIN FOR r IN SELECT * FROM %s AS x LOOP EXIT; END LOOP; PERFORM %s; r := %s; END $do$',
	'CREATE TEMP TABLE t AS SELECT %s AS x; SELECT x, t FROM t',
	'CREATE TEMP TABLE t (a int, b text DEFAULT (%s)::text); INSERT INTO t VALUES (1)',
	'CREATE TEMP TABLE t (a int CHECK ((%s) IS NOT NULL)); INSERT INTO t VALUES (1)',
	'CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1); CREATE INDEX ON t ((%s))',
	'CREATE TEMP TABLE t (a int, b text GENERATED ALWAYS AS (%s) STORED); INSERT INTO t VALUES (1)',
	'CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1); UPDATE t SET a = (SELECT 1 FROM %s AS x LIMIT 1) RETURNING (SELECT count(*) FROM %s AS x)',
	'CREATE DOMAIN pg_temp.d AS int CHECK ((%s) IS NOT NULL); SELECT 1::pg_temp.d',
	'CREATE TEMP VIEW v AS SELECT %s AS x; SELECT v FROM v',
	'CREATE FUNCTION pg_temp.f() RETURNS SETOF record LANGUAGE sql AS $f$ SELECT * FROM %s AS x $f$; SELECT pg_temp.f()',
	'CALL %s');
my $quoted = join ', ', map { RhesisNotify::Cluster::literal($_) } @places;
($count, @broken) = split /\n/, as_attacker(qq{
	CREATE TEMP TABLE outcome AS
	SELECT statement, attack.ends(statement) AS ended
	FROM (SELECT DISTINCT ON (name) name, call FROM attack.call ORDER BY name, call ~ 'NULL', call !~ 'task_completion') AS f,
		unnest(ARRAY[$quoted]) AS place, LATERAL replace(place, '%s', call) AS statement;
	SELECT count(*) FROM outcome;
	SELECT statement FROM outcome WHERE ended = 'XX000';
});
cmp_ok($count, '>', 300, "$count statements");
is_deeply(\@broken, [], 'none is an internal error');
server_stays('places');

# ---- As a part of other objects ----

my $made = as_attacker(q{
	CREATE TYPE attack.pair AS (a int, b text);
	CREATE TEMP TABLE outcome AS
	SELECT statement, attack.ends(statement) AS ended
	FROM attack.function AS f, unnest(ARRAY[
		'CREATE OPERATOR attack.@@@ (FUNCTION = %1$s, RIGHTARG = %2$s); SELECT OPERATOR(attack.@@@) NULL::%2$s, OPERATOR(attack.@@@) %4$s',
		'CREATE OPERATOR attack.@@@ (FUNCTION = %1$s, LEFTARG = %2$s, RIGHTARG = %3$s); SELECT NULL::%2$s OPERATOR(attack.@@@) NULL::%3$s',
		'CREATE AGGREGATE attack.agg (%3$s) (SFUNC = %1$s, STYPE = %2$s); SELECT attack.agg(NULL::%3$s), attack.agg(%5$s) FROM generate_series(1, 3)',
		'CREATE AGGREGATE attack.agg (%2$s) (SFUNC = int8inc_any, STYPE = %2$s, FINALFUNC = %1$s); SELECT attack.agg(%4$s)',
		'CREATE AGGREGATE attack.agg (int) (SFUNC = int4larger, STYPE = int, FINALFUNC = %1$s, FINALFUNC_EXTRA); SELECT attack.agg(1)',
		'CREATE CAST (attack.pair AS text) WITH FUNCTION %6$s; SELECT (1, NULL)::attack.pair::text',
		'CREATE CAST (%2$s AS attack.pair) WITH FUNCTION %6$s AS ASSIGNMENT; SELECT NULL::%2$s::attack.pair',
		'CREATE TYPE attack.r AS RANGE (SUBTYPE = %2$s, SUBTYPE_DIFF = %1$s)',
		'CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION %1$s()',
		'CREATE OPERATOR CLASS attack.c FOR TYPE %2$s USING btree AS FUNCTION 1 %6$s',
		'CREATE FUNCTION attack.mine() RETURNS trigger LANGUAGE c AS ''rhesis_notify''',
		'SELECT %1$s(VARIADIC ARRAY[NULL::%2$s])', 'SELECT %1$s(DISTINCT NULL::%2$s)', 'SELECT %1$s(NULL::%2$s) OVER ()',
		'SELECT %1$s(NULL)', 'SELECT %1$s()', 'SELECT %1$s(*)']) AS template,
		LATERAL (SELECT coalesce(arguments[0], 'text') AS one, coalesce(arguments[1], 'text') AS two) AS a,
		LATERAL format(template, name, one, two, coalesce(format('%L::%s', CASE one::text WHEN 'bigint' THEN '1' ELSE 'task_completion' END, one), 'NULL'),
			format('NULL::%s', two), oid::regprocedure) AS statement;
	SELECT count(*) > 100 FROM outcome;
	SELECT statement FROM outcome WHERE ended = 'XX000';
});
is($made, 't', 'no operator, aggregate, cast or type makes an internal error of it');
server_stays('other objects');

# ---- After a superuser has declared them as trigger functions ----

is( $node->sql(
		q{
		SELECT f.name, kind, ended
		FROM attack.function AS f JOIN pg_proc AS p USING (oid),
			LATERAL (VALUES ('trigger', 'CREATE TEMP TABLE b (a int); CREATE TRIGGER x BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION attack.declared();
				INSERT INTO b VALUES (1)'),
			('event_trigger', 'CREATE EVENT TRIGGER x ON ddl_command_start EXECUTE FUNCTION attack.declared(); CREATE TEMP TABLE c ()')) AS k (kind, fires),
			LATERAL attack.ends(format('CREATE FUNCTION attack.declared() RETURNS %s LANGUAGE c AS %L, %L; %s', kind, probin, prosrc, fires)) AS ended
		WHERE ended <> '39P01'}),
	'', 'nor as a trigger or an event trigger of a superuser');
server_stays('declared triggers');

# ---- Correct calls still work ----

$node->sql(q{SET ROLE attacker; INSERT INTO rhesis_notify.templates (name, html) VALUES ('mine', '{{x}}');
	UPDATE rhesis_notify.templates SET html = '{{y}}'; DELETE FROM rhesis_notify.templates});
like($node->sql_error(q(SET ROLE attacker; INSERT INTO rhesis_notify.templates (name, html) VALUES ('mine', '{{x'))), qr/cannot be parsed/,
	'templates are checked as before');
$node->stop;
done_testing();
