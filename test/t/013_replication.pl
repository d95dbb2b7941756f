
# The subscriber mails the rows that arrive by logical replication, once.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $publisher = RhesisNotify::Cluster->serve('publisher', allows_streaming => 'logical');
my $subscriber = RhesisNotify::Cluster->serve('subscriber', peer => $peer, allows_streaming => 'logical');

$publisher->sql('CREATE PUBLICATION tasks FOR TABLE rhesis_notify.task_notifications WITH (publish = $$insert$$)');
$subscriber->sql("CREATE SUBSCRIPTION tasks CONNECTION " . RhesisNotify::Cluster::literal($publisher->connstr('postgres')) . " PUBLICATION tasks");
$subscriber->wait_for_subscription_sync($publisher, 'tasks');

my $id = $publisher->report;
$publisher->wait_for_catchup('tasks');

# The worker would find the row within a minute. This wakes it earlier.
$subscriber->sql('SELECT rhesis_notify.wake_workers()');
$subscriber->wait_for_state($id, 'sent');
is($peer->mail_count, 1, 'a replicated row is mailed once');
is($publisher->notification($id)->{delivery_status}, 'pending', 'the publisher, which has no mail server, knows nothing of it');

$subscriber->stop;
$publisher->stop;
done_testing();
