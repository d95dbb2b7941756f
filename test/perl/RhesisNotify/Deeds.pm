# A recipients view that does a deed for some of its users, and what becomes of the tasks that they are told of.
package RhesisNotify::Deeds;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(report_with outcomes);

# 60 tasks report. For the users of these numbers the view does a deed, which the column app.person.deed names.
sub report_with
{
	my ($node, $name, $deed, @numbers) = @_;

	$node->sql(sprintf q{UPDATE app.person SET deed = CASE WHEN user_id IN (%s) THEN '%s' END},
		join(', ', map { "'person $_'" } @numbers), $deed);
	$node->sql(qq{INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, template)
		SELECT '$name ' || n, 'app.task', 'success', 'person ' || n, 'task_completion' FROM generate_series(1, 60) AS n});
	return;
}

# Wait until all of them are finished; returns those that were not mailed: number, state, reason.
sub outcomes
{
	my ($node, $name) = @_;

	$node->wait_for(qq{SELECT count(*) = 60 FROM rhesis_notify.task_notifications WHERE task_id ~ '^$name ' AND finished_at IS NOT NULL});
	return $node->sql(qq{SELECT string_agg(substr(task_id, length('$name ') + 1) || ' ' || delivery_status || ' ' || delivery_reason, ', ' ORDER BY id)
		FROM rhesis_notify.task_notifications WHERE task_id ~ '^$name ' AND delivery_status <> 'sent'});
}

1;
