------------------------------------------------------------------------------------------------------------------------
-- Mustache, rendering, preview
------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION rhesis_notify.mustache(template text, variables jsonb, partials jsonb DEFAULT '{}',
									   escape_html boolean DEFAULT true)
RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'rhesis_notify_mustache';
COMMENT ON FUNCTION rhesis_notify.mustache(text, jsonb, jsonb, boolean) IS
	'Renders a Mustache template (spec 1.4 with inheritance, without lambdas). variables is an '
	'object. partials is an object of names and templates. escape_html false leaves {{name}} as '
	'it is. Returns null if an argument is null. If a template cannot be parsed or rendered, the '
	'error names the line and the tag';

CREATE FUNCTION rhesis_notify.render_template(name text, variables jsonb, organization_id text DEFAULT NULL,
											  OUT subject text, OUT html text, OUT text text)
LANGUAGE c
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_render_template';
COMMENT ON FUNCTION rhesis_notify.render_template(text, jsonb, text) IS
	'Renders a template as an organization''s mail shows it (null: the template for all '
	'organizations), with your own variables. from_name, frontend_url, result_url and the '
	'variables that follow from status are added if you do not give them. A template that cannot '
	'be rendered is an error';

CREATE FUNCTION rhesis_notify.preview(notification_id bigint, OUT subject text, OUT html text, OUT text text,
									  OUT recipient_email text, OUT reason text)
LANGUAGE c STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_preview';
COMMENT ON FUNCTION rhesis_notify.preview(bigint) IS
	'The mail of a notification, as it would be sent now. Nothing is sent. If no mail is owed, or '
	'none can be rendered, reason says why. notification_id is the id in task_notifications (else '
	'no_data_found)';

CREATE FUNCTION rhesis_notify.preview_message(notification_id bigint) RETURNS text
LANGUAGE c STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_preview_message';
COMMENT ON FUNCTION rhesis_notify.preview_message(bigint) IS
	'The mail of a notification byte by byte, as the SMTP server would get it now (before dots '
	'are doubled). Nothing is sent. Null, with a notice that says why, if no mail is owed or none '
	'can be composed';

CREATE FUNCTION rhesis_notify.render_diff(name text, html text DEFAULT NULL, text text DEFAULT NULL,
										  subject text DEFAULT NULL, last integer DEFAULT 1000,
										  organization_id text DEFAULT NULL)
RETURNS TABLE (notification_id bigint, what text, detail text, current_subject text, proposed_subject text)
LANGUAGE c
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_render_diff';
COMMENT ON FUNCTION rhesis_notify.render_diff(text, text, text, text, integer, text) IS
	'What a change of a template would do. Renders the last notifications that use the template, '
	'as they are now and as if this row were in templates; parts that are null stay as they are. '
	'A template without a subject is a partial: then any notification counts. Returns one row for '
	'each mail that would change: it fails, loses variable (one that has a value), or differs';

CREATE FUNCTION rhesis_notify.template_variables(name text, organization_id text DEFAULT NULL)
RETURNS TABLE (variable text, used_as text, part text, template text, line integer, description text, example text)
LANGUAGE c
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_template_variables';
COMMENT ON FUNCTION rhesis_notify.template_variables(text, text) IS
	'What a template and its partials use: a row for each name, with its use (variable, section, '
	'partial), the part, and the place of the first use. Further rows have the variables that it '
	'could use but does not. A name without a description is a key of the task''s result, or of '
	'an object in it. organization_id: with that organization''s templates';
