#!/bin/sh
# Shows a template with sample data: subject and text in the terminal, the HTML in the browser.
#
#   examples/preview.sh [TEMPLATE [VARIABLES [ORGANIZATION]]]
#
# TEMPLATE is task_completion by default. VARIABLES is a JSON object that overrides the sample data:
#   examples/preview.sh task_completion '{"status": "failed", "error_message": "out of memory"}'
# psql connects as usual (PGDATABASE, PGHOST ...). The browser is $BROWSER, else the desktop's. Without one, it prints the file's name.
set -eu

template=${1:-task_completion}
variables=${2:-{\}}
organization=${3:-}
directory=$(mktemp -d "${TMPDIR:-/tmp}/rhesis_notify_preview.XXXXXX")
file=$directory/mail.html
trap 'test $? -eq 0 || rm -r "$directory"' EXIT

# Prints parts of the template, each on its own lines.
render()
{
	psql -X -q -A -t -F '
' -v ON_ERROR_STOP=1 -v template="$template" -v variables="$variables" -v organization="$organization" <<SQL
WITH sample AS (
	-- No samples for variables that depend on the status: the caller gives the status and the error.
	SELECT jsonb_object_agg(variable, example) AS variables
	FROM rhesis_notify.template_variables(:'template', nullif(:'organization', ''))
	WHERE description IS NOT NULL
		AND variable NOT IN ('is_success', 'is_failed', 'status_title', 'status_upper', 'status_symbol', 'error_message')
)
SELECT $1
FROM sample, rhesis_notify.render_template(:'template', sample.variables || :'variables'::jsonb, nullif(:'organization', ''));
SQL
}

render "'Subject: ' || coalesce(subject, ''), '', text"
render html > "$file"

if test -n "${BROWSER:-}"
then
	$BROWSER "$file"
elif ! xdg-open "$file" 2>/dev/null && ! open "$file" 2>/dev/null
then
	echo "$file"
fi
