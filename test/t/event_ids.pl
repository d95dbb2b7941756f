
# The sequence of delivery_events has a lower value than the rows, as after logical replication. No
# outcome is lost, and no mail waits because of it.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $ROWS = 500;
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retry_delay => '1s', retry_max_delay => '1s' });
my $greatest = 'SELECT max(id) FROM rhesis_notify.delivery_events';

# Inserts events as logical replication does: without the sequence, which stays behind.
sub leave_behind
{
	my $id = $node->report;

	$node->wait_for_state($id, 'sent');
	$node->sql(qq{INSERT INTO rhesis_notify.delivery_events (id, notification_id, event) OVERRIDING SYSTEM VALUE
		SELECT (SELECT coalesce(max(id), 0) FROM rhesis_notify.delivery_events) + n, $id, 'deferred' FROM generate_series(1, $ROWS) AS n;
		SELECT setval('rhesis_notify.delivery_events_id_seq', 1, false)});
	return;
}

sub is_well
{
	my ($what) = @_;
	is($node->sql(q{SELECT ok FROM rhesis_notify.health() WHERE check_name = 'queue'}), 't', "$what: health() is content");
	return;
}

# ---- Attempts that fail ----

leave_behind();
like($node->sql(q{SELECT advice FROM rhesis_notify.health() WHERE check_name = 'queue' AND NOT ok}), qr/setval\('rhesis_notify\.delivery_events_id_seq', $ROWS\)/, 'health() names the call that mends it');
$peer->rules({ stage => 'rcpt', action => 'reply', text => '550 5.1.1 No such user', count => 1 }, { stage => 'rcpt', action => 'reply', text => '450 4.2.0 Mailbox busy', count => 1 });
my @ids = map { $node->report } 1 .. 20;
$node->wait_for('SELECT count(*) = 19 FROM rhesis_notify.task_notifications WHERE id = ANY (' . "'{" . join(',', @ids) . "}') AND delivery_status = 'sent'");
pass('all mails go out, but for the one that is refused');
is($node->sql("SELECT string_agg(event, ' ' ORDER BY event) FROM rhesis_notify.delivery_events WHERE id > $ROWS"), 'deferred failed', 'what happened is recorded');
is($peer->mail_count, 20, 'nothing is sent twice');
is_well('after attempts that failed');

# ---- Rows of another worker that died ----

leave_behind();
my $before = $node->sql($greatest);
$peer->rules({ stage => 'dot', action => 'silence' });
my $orphan = $node->report;
$node->wait_for_state($orphan, 'sending');
$node->stop('immediate');
$peer->rules;
$node->start;
$node->wait_for_state($orphan, 'sent');
is($node->sql("SELECT string_agg(event, ' ') FROM rhesis_notify.delivery_events WHERE id > $before"), 'in_doubt', 'what was being sent is recorded as in doubt, and sent');
is_well('after a crash');
like($node->log, qr/LOG:  the sequence of rhesis_notify\.delivery_events\.id was behind the rows/, 'the log says what was done');

$node->stop;
done_testing();
