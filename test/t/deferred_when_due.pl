# A deferred mail is sent when it is due. It does not wait for the check of the queue once a minute.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

# The mail server is so slow that the worker computes the next due time while the mail is still
# being sent.
my $peer = RhesisNotify::Peer->start(reply_delay => 400);
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retry_delay => '1s' });

$peer->rules({ stage => 'rcpt', count => 1, action => 'reply', text => '450 4.2.0 Mailbox busy' });
my $id = $node->report;
$node->wait_for_state($id, 'sent');
is( $node->sql("SELECT string_agg(event, ',') FROM rhesis_notify.delivery_events WHERE notification_id = $id"),
	'deferred', 'it was deferred once');
cmp_ok(
	$node->sql(
		"SELECT extract(epoch FROM n.finished_at - e.occurred_at)
		FROM rhesis_notify.task_notifications AS n JOIN rhesis_notify.delivery_events AS e ON e.notification_id = n.id WHERE n.id = $id"),
	'<', 45, 'and sent soon after it was due');

$node->stop;
$peer->stop;
done_testing();
