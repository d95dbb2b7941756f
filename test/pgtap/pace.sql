-- The pace of the mails, with a clock of the test. So the speed of the machine makes no difference.
-- Run it from the root of the source tree, after "make -C test/modules".
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_ROLLBACK 1
\set ON_ERROR_STOP true

\set module `echo "$(pwd)/build/modules/pace_test"`

BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE FUNCTION pg_temp.pace_begin() RETURNS void LANGUAGE c AS :'module', 'pace_begin';
CREATE FUNCTION pg_temp.pace_leave(rate float8, since timestamptz, until timestamptz) RETURNS integer LANGUAGE c AS :'module', 'pace_leave';
CREATE FUNCTION pg_temp.pace_slow_down(rate float8, at timestamptz) RETURNS float8 LANGUAGE c AS :'module', 'pace_slow_down';
CREATE FUNCTION pg_temp.pace_limit(rate float8, at timestamptz) RETURNS float8 LANGUAGE c AS :'module', 'pace_limit';

-- Times are in seconds after 2026-01-01 00:00:00 UTC.
CREATE FUNCTION pg_temp.at(seconds float8) RETURNS timestamptz LANGUAGE sql
AS $$ SELECT timestamptz '2026-01-01 00:00:00+00' + seconds * interval '1 second' $$;
CREATE FUNCTION pg_temp.leave(rate float8, since float8, until float8) RETURNS integer LANGUAGE sql
AS $$ SELECT pg_temp.pace_leave(rate, pg_temp.at(since), pg_temp.at(until)) $$;

SELECT plan(18);

-- ---- max_rate ----

SELECT pg_temp.pace_begin();
SELECT cmp_ok(pg_temp.leave(100, 0, 1), '<=', 111, 'the first second begins with a tenth of a second''s worth at once');
SELECT is(pg_temp.leave(100, 1, 11), 1000, 'ten seconds have ten times max_rate');
SELECT cmp_ok(abs(pg_temp.leave(0.5, 11, 111) - 50), '<=', 1, 'so it is with less than one a second');
SELECT cmp_ok(abs(pg_temp.leave(3000, 111, 121) - 30000), '<=', 300, '... and with thousands');

SELECT pg_temp.pace_begin();
SELECT pg_temp.leave(100, 0, 1) AS warm \gset
SELECT is(pg_temp.leave(100, 1.4, 2), 100, 'what a short standstill has cost is made up for');
SELECT pg_temp.leave(100, 2.49, 2.490001) AS burst \gset
SELECT cmp_ok(:burst, '<=', 51, '... which is never more than half a second''s worth');
SELECT cmp_ok(pg_temp.leave(100, 10, 11), '<=', 111, 'what a long one has cost is not');

-- ---- A server that asks to slow down ----

SELECT pg_temp.pace_begin();
SELECT pg_temp.leave(40, 0, 3) AS warm \gset
SELECT pg_temp.pace_slow_down(40, pg_temp.at(3)) AS pace \gset
SELECT cmp_ok(abs(:pace - 20), '<=', 2, 'the pace is halved');
SELECT is(pg_temp.pace_slow_down(40, pg_temp.at(3.9)), 0::float8, 'what is said a moment later was about mails that were on their way');
SELECT is(pg_temp.pace_limit(40, pg_temp.at(3)), :pace::float8, 'max_rate makes no difference meanwhile');
SELECT is(round((pg_temp.pace_limit(40, pg_temp.at(18)) / :pace)::numeric, 3), 1.500, 'after a quarter of a minute half of it is back');
SELECT cmp_ok(pg_temp.leave(40, 3, 7), '<=', 93, 'mails leave more slowly');
SELECT is(pg_temp.pace_limit(40, pg_temp.at(37)), 40::float8, 'after half a minute it is where it was');

-- If the actual pace is lower than max_rate, the actual pace counts.
SELECT pg_temp.pace_begin();
SELECT pg_temp.leave(10, 0, 3) AS warm \gset
SELECT cmp_ok(pg_temp.pace_slow_down(1000, pg_temp.at(3)), '<=', 6::float8, 'half of what there was, not of max_rate');
SELECT pg_temp.pace_begin();
SELECT is(pg_temp.pace_slow_down(0, pg_temp.at(0)), 1::float8, 'never less than one mail a second');

-- Without max_rate.
SELECT is(pg_temp.pace_limit(0, pg_temp.at(30)), 2::float8, 'without max_rate it grows');
SELECT is(pg_temp.pace_limit(0, pg_temp.at(90)), 0::float8, '... until four times the halved pace were no trouble');
SELECT is(pg_temp.pace_limit(0, pg_temp.at(60)), 0::float8, '... and stays so');

SELECT * FROM finish();
ROLLBACK;
