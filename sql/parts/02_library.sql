------------------------------------------------------------------------------------------------------------------------
-- The library
------------------------------------------------------------------------------------------------------------------------

-- Refuse these objects unless the library that the server has loaded knows them.
DO $do$
BEGIN
	CREATE FUNCTION rhesis_notify.require_library(version text) RETURNS void
	LANGUAGE c STRICT
	AS 'MODULE_PATHNAME', 'rhesis_notify_require_library';
EXCEPTION WHEN undefined_function THEN
	RAISE EXCEPTION 'the library of rhesis_notify that the server has loaded is older than version 1.2 of its objects'
		USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Restart the server, so that it loads the installed library.';
END
$do$;
SELECT rhesis_notify.require_library('1.2');
DROP FUNCTION rhesis_notify.require_library(text);
