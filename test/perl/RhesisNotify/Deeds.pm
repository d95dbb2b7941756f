# A recipients view that executes a statement for some users, and the outcome of the tasks of all
# users.
package RhesisNotify::Deeds;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(report_with outcomes);

# Reports 60 tasks. For the users with these numbers, the view executes the statement $deed, which
# the column app.person.deed has.
sub report_with
{
	my ($node, $name, $deed, @numbers) = @_;

	$node->sql(sprintf q{UPDATE app.person SET deed = CASE WHEN user_id IN (%s) THEN '%s' END},
		join(', ', map { "'person $_'" } @numbers), $deed);
	$node->sql(qq{INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, template)
		SELECT '$name ' || n, 'app.task', 'success', 'person ' || n, 'task_completion' FROM generate_series(1, 60) AS n});
	return;
}

# Waits until these tasks are finished. Returns number, state and reason of those that were not
# mailed.
sub outcomes
{
	my ($node, $name) = @_;

	$node->wait_for(qq{SELECT count(*) = 60 FROM rhesis_notify.task_notifications WHERE task_id ~ '^$name ' AND finished_at IS NOT NULL});
	return $node->sql(qq{SELECT string_agg(substr(task_id, length('$name ') + 1) || ' ' || delivery_status || ' ' || delivery_reason, ', ' ORDER BY id)
		FROM rhesis_notify.task_notifications WHERE task_id ~ '^$name ' AND delivery_status <> 'sent'});
}

1;
