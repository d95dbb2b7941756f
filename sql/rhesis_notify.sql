\echo Use "CREATE EXTENSION rhesis_notify" to load this file. \quit

-- Template engine

CREATE FUNCTION rhesis_notify.mustache(template text, variables jsonb, partials jsonb DEFAULT '{}',
	escape_html boolean DEFAULT true)
RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'rhesis_notify_mustache';

COMMENT ON FUNCTION rhesis_notify.mustache(text, jsonb, jsonb, boolean) IS
	'Renders a Mustache template (spec 1.4 with inheritance) with the given variables; partials is an object of names and templates.';
