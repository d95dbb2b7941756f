#!/bin/sh
# Runs a command, for example from cron, and sends its result to its owner by mail:
#
#   report.sh NAME USER_ID ORGANIZATION_ID COMMAND [ARGUMENT...]
#
# psql connects as usual (PGHOST, PGDATABASE, PGUSER ...). The role needs SELECT rhesis_notify.grant_to('...').
# Exits with the command's exit status, even if the report fails.
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

# psql quotes :'variables' itself. The mail has the end of the error output, because the last lines
# are the most useful. A command may write any bytes, and the end may begin inside a character: bytes
# that are not UTF-8 are left out.
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
