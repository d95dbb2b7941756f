------------------------------------------------------------------------------------------------------------------------
-- Templates
------------------------------------------------------------------------------------------------------------------------

CREATE TABLE rhesis_notify.shipped_templates
(
	name text PRIMARY KEY,
	subject text,
	html text,
	text text
);
COMMENT ON TABLE rhesis_notify.shipped_templates IS
	'The templates that come with the extension. Not dumped: to change one, add a row to templates';
COMMENT ON COLUMN rhesis_notify.shipped_templates.name IS
	'The name that task_notifications.template, a registration or a partial tag uses';
COMMENT ON COLUMN rhesis_notify.shipped_templates.subject IS 'Mustache template of the subject; null for a partial';
COMMENT ON COLUMN rhesis_notify.shipped_templates.html IS 'Mustache template of the HTML part';
COMMENT ON COLUMN rhesis_notify.shipped_templates.text IS 'Mustache template of the plain-text part';

CREATE TABLE rhesis_notify.templates
(
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	organization_id text,
	name text NOT NULL
		CONSTRAINT name_is_not_empty CHECK (name <> ''),
	subject text,
	html text,
	text text,
	CONSTRAINT templates_organization_and_name UNIQUE NULLS NOT DISTINCT (organization_id, name),
	CONSTRAINT a_part_is_given CHECK (pg_catalog.num_nonnulls(subject, html, text) > 0)
);
COMMENT ON TABLE rhesis_notify.templates IS
	'Your own templates, which replace the shipped ones part by part. A mail takes each part from '
	'the organization''s template, else from the template for all organizations, else from the '
	'shipped one. A partial such as layout is replaced in the same way';
COMMENT ON COLUMN rhesis_notify.templates.id IS 'Given by the database';
COMMENT ON COLUMN rhesis_notify.templates.organization_id IS
	'The organization that the template is for; null: all organizations';
COMMENT ON COLUMN rhesis_notify.templates.name IS
	'The name that task_notifications.template, a registration or a partial tag uses';
COMMENT ON COLUMN rhesis_notify.templates.subject IS
	'Mustache template of the subject; null: this row does not replace the subject';
COMMENT ON COLUMN rhesis_notify.templates.html IS
	'Mustache template of the HTML part; null: this row does not replace that part';
COMMENT ON COLUMN rhesis_notify.templates.text IS
	'Mustache template of the plain-text part; null: this row does not replace that part';
COMMENT ON CONSTRAINT templates_organization_and_name ON rhesis_notify.templates IS
	'One row for a name and an organization, and one for a name and all organizations';
COMMENT ON CONSTRAINT name_is_not_empty ON rhesis_notify.templates IS 'Templates are found by name';
COMMENT ON CONSTRAINT a_part_is_given ON rhesis_notify.templates IS 'A row without any part would change nothing';

SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.templates', '');
SELECT pg_catalog.pg_extension_config_dump('rhesis_notify.templates_id_seq', '');
COMMENT ON SEQUENCE rhesis_notify.templates_id_seq IS 'Numbers templates';

CREATE FUNCTION rhesis_notify.check_template() RETURNS trigger
LANGUAGE c
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rhesis_notify_check_template';
COMMENT ON FUNCTION rhesis_notify.check_template() IS
	'Trigger function: refuses a template that cannot be parsed or names a partial that does not '
	'exist';

CREATE FUNCTION rhesis_notify.templates_changed() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'rhesis_notify_templates_changed';
COMMENT ON FUNCTION rhesis_notify.templates_changed() IS
	'Trigger function: makes every session drop the parsed templates that it keeps';

-- The trigger fires AFTER the statement, so that one statement can insert a template and its
-- partial.
CREATE TRIGGER check_template AFTER INSERT OR UPDATE ON rhesis_notify.templates
	FOR EACH ROW EXECUTE FUNCTION rhesis_notify.check_template();
COMMENT ON TRIGGER check_template ON rhesis_notify.templates IS 'A template that cannot work is refused when it is written';

-- The trigger is enabled ALWAYS, so that changes by a replica's apply worker are noticed, too.
CREATE TRIGGER templates_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON rhesis_notify.templates
	FOR EACH STATEMENT EXECUTE FUNCTION rhesis_notify.templates_changed();
ALTER TABLE rhesis_notify.templates ENABLE ALWAYS TRIGGER templates_changed;
COMMENT ON TRIGGER templates_changed ON rhesis_notify.templates IS
	'Sessions keep parsed templates until this trigger reports a change';

CREATE TRIGGER templates_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON rhesis_notify.shipped_templates
	FOR EACH STATEMENT EXECUTE FUNCTION rhesis_notify.templates_changed();
ALTER TABLE rhesis_notify.shipped_templates ENABLE ALWAYS TRIGGER templates_changed;
COMMENT ON TRIGGER templates_changed ON rhesis_notify.shipped_templates IS
	'Sessions keep parsed templates until this trigger reports a change';
