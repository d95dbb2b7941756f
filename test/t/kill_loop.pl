# Processes are killed again and again while a backlog is sent. No mail is lost, and a mail whose
# outcome was recorded is never sent again. A mail arrives twice only if it was claimed and not yet
# recorded.
#
# With RHESIS_SOAK there are 32 kills over 5,000 rows.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my ($kills, $rows) = $ENV{RHESIS_SOAK} ? (32, 5000) : (6, 900);
my $connections = 8;
my $peer = RhesisNotify::Peer->start(accept_delay => 20);
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => {
	smtp_connections => $connections,
	retry_delay => '100ms',
	max_attempts => 100,
	'server.restart_after_crash' => 'on',
	'server.log_min_messages' => 'warning' });

my %deeds = (
	worker => sub { kill 'KILL', shift },
	launcher => sub { kill 'KILL', $node->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'rhesis_notify launcher'}) },
	'worker that is terminated' => sub { kill 'TERM', shift },
	'immediate shutdown' => sub { $node->stop('immediate'); $node->start },);

# Every second kill is that of a worker. The others take turns.
my @order = ('worker', 'launcher', 'worker', 'immediate shutdown', 'worker', 'worker that is terminated');

# For each kill: [the number of mails that had arrived, the ids of the rows that were recorded as
# sent]
my @recorded;
my %killed;
my $sent = q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'};

$node->sql('SELECT rhesis_notify.pause()');
$node->report_many($rows);
$node->sql('SELECT rhesis_notify.resume()');
foreach my $number (1 .. $kills)
{
	my $deed = $order[ ($number - 1) % @order ];
	my $enough = int(0.8 * $rows * $number / $kills);

	# On a busy machine, all mails may have been sent before this query finds one in flight.
	$node->wait_for("SELECT count(*) >= $enough AND (count(*) = $rows OR (SELECT count(*) FILTER (WHERE in_flight > 0) = 1 FROM rhesis_notify.worker_status))
		FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'");
	my $worker = $node->worker('pid');
	$deeds{$deed}->($worker);
	$killed{$deed}++;
	$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE pid <> $worker AND state NOT IN ('starting', 'stopping', 'stopped')");
	# The mails are counted after this query. A mail that arrives in between may be that of a row in
	# its result.
	my @ids = split /\n/, $node->sql($sent =~ s/count\(\*\)/id/r);
	push @recorded, [ $peer->mail_count, \@ids ];
}
$node->wait_for("SELECT ($sent) = $rows");

my (%message_ids, %last, %times);
my $number = 0;
foreach my $mail ($peer->mails)
{
	my $id = $mail->raw_header('X-Notification-ID');

	$message_ids{$id}{ $mail->raw_header('Message-ID') } = 1;
	$last{$id} = ++$number;
	$times{$id}++;
}
my $duplicates = $number - keys %times;
my $in_doubt = $node->sql(q{SELECT count(*) FROM rhesis_notify.delivery_events WHERE event = 'in_doubt'});
my $at_once = $node->sql(q{SELECT coalesce(max(orphans), 0) FROM
	(SELECT count(*) AS orphans FROM rhesis_notify.delivery_events WHERE event = 'in_doubt' GROUP BY detail -> 'epoch') AS kill});

is(scalar(keys %times), $rows, "nothing is lost over $rows mails and " . join(', ', map { "$killed{$_} times $_" } sort keys %killed));
is_deeply([ map { my ($count, $ids) = @$_; grep { $last{$_} > $count } @$ids } @recorded ], [], 'what was recorded is never sent again');
is_deeply([ grep { keys %{ $message_ids{$_} } > 1 } keys %message_ids ], [], 'every duplicate has its original\'s Message-ID');
is_deeply([ grep { !$message_ids{ (split / /)[0] }{ (split / /)[1] } }
		split /\n/, $node->sql(q{SELECT id || ' ' || message_id FROM rhesis_notify.task_notifications}) ],
	[], 'and the one that is on record');
cmp_ok($duplicates, '<=', $in_doubt, "$duplicates came twice, of $in_doubt that were claimed and not recorded");
cmp_ok($at_once, '<=', 16 * $connections, "no worker left more behind than it claims ahead of its connections: $at_once");
is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications AS n WHERE attempts <> 1 +
		(SELECT count(*) FROM rhesis_notify.delivery_events WHERE notification_id = n.id AND event = 'in_doubt')}),
	0, 'each row has counted its attempts');
diag("$duplicates of $number mails were duplicates; $in_doubt were claimed and not recorded when a process was killed, at most $at_once at once");

$node->stop;
done_testing();
