#!/bin/sh
# Runs a command, for example from cron, and has its owner mailed how it ended:
#
#   report.sh NAME USER_ID ORGANIZATION_ID COMMAND [ARGUMENT...]
#
# The database is that of PGHOST, PGDATABASE, PGUSER and so on; the role needs SELECT rhesis_notify.grant_to('...').
# Ends as the command did, also if that cannot be reported.
set -u

[ $# -ge 4 ] || { echo "usage: report.sh NAME USER_ID ORGANIZATION_ID COMMAND [ARGUMENT...]" >&2; exit 2; }
name=$1 user_id=$2 organization_id=$3
shift 3

errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
started=$(date +%s)
"$@" 2>"$errors"
code=$?
cat "$errors" >&2

# psql quotes :'variables' itself. Of the errors the end is mailed: the last lines say most. A command may write any bytes, and the
# end may begin within a character: what is not UTF-8 is left out.
psql -X -q -v ON_ERROR_STOP=1 \
	-v id="$(hostname)-$$-$started" -v name="$name" -v user="$user_id" -v organization="$organization_id" \
	-v code="$code" -v errors="$(tail -c 2000 "$errors" | tr -d '\000' | iconv -c -f UTF-8 -t UTF-8)" -v started="$started" \
	>/dev/null <<'SQL' || echo "report.sh: could not report $name" >&2
SELECT rhesis_notify.task_completed(
    task_id         => :'id',
    task_name       => :'name',
    status          => CASE WHEN :code = 0 THEN 'success' ELSE 'failed' END,
    user_id         => :'user',
    organization_id => nullif(:'organization', ''),
    error_message   => CASE WHEN :code <> 0 THEN format('exit code %s: %s', :code, :'errors') END,
    started_at      => to_timestamp(:started),
    completed_at    => clock_timestamp(),
    template        => 'task_completion');
SQL
exit "$code"
