-- Renders the cases from standard input, and writes one line of JSON for each.
\set ON_ERROR_STOP 1
\set QUIET 1
CREATE TEMP TABLE cases (
	id integer,
	template text,
	variables jsonb,
	partials jsonb,
	escape_html boolean
);
\copy cases FROM pstdin

-- An error of one case must not end the other cases.
CREATE FUNCTION pg_temp.render(test_case cases) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN json_build_object('output', rhesis_notify.mustache(
		test_case.template, test_case.variables, test_case.partials, test_case.escape_html));
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN json_build_object('error', concat_ws(': ', sqlerrm, detail));
END
$$;

\copy (SELECT pg_temp.render(cases) FROM cases ORDER BY id) TO pstdout
