-- rhesis_notify: what version 1.1 changes in the objects of 1.0.

\echo Use "ALTER EXTENSION rhesis_notify UPDATE TO '1.1'" to load this file. \quit

CREATE FUNCTION rhesis_notify.explain(id bigint)
RETURNS TABLE (step text, decision text, detail text, advice text)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 12
AS 'MODULE_PATHNAME', 'rhesis_notify_explain';
COMMENT ON FUNCTION rhesis_notify.explain(bigint) IS
	'Why a notification is where it is: one row for each decision, in the worker''s order: task, opted in, age, recipient, template; '
	'pause, worker, mail server and pace while it waits; its attempts with the server''s replies; its state; what comes next, and '
	'when. Decisions are taken anew, as of now, and nothing is changed; attempts and state are what was recorded. advice says what '
	'to do. The error no_data_found (P0002) when there is no such notification';
REVOKE ALL ON FUNCTION rhesis_notify.explain(bigint) FROM PUBLIC;
