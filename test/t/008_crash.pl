
# A process dies while mails are sent: no mail is lost. If a mail is sent twice, it has the same
# Message-ID both times. If in_doubt is "hold", it is held instead.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster qw($JANE $ACME);
use RhesisNotify::Peer;
use Test::More;

# The mail server is slow, so mails are still being sent when the test ends a process.
my $peer = RhesisNotify::Peer->start(accept_delay => 50);
my $node = RhesisNotify::Cluster->serve(
	'main',
	peer => $peer,
	settings => { smtp_connections => 4, retry_delay => '100ms', 'server.restart_after_crash' => 'on' });

sub in_state
{
	my ($name, $state) = @_;
	return $node->sql("SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_name = '$name' AND delivery_status = '$state'");
}

# The mail server accepts half of these mails at once. It accepts the others after its rules change.
sub hold_half
{
	my ($count) = @_;
	$peer->rules({ stage => 'mail', after => $count / 2, action => 'hold' });
	return;
}

# Reports 200 tasks, and calls $deed after some of their mails have been sent. All mails must
# arrive. Returns how many arrived a second time.
sub lose_nothing
{
	my ($name, $what, $deed) = @_;
	my $before = $peer->mail_count;

	hold_half(200);
	$node->report_many(200, task_name => $name);
	$peer->wait_for_mails($before + 20);
	$deed->();
	cmp_ok($peer->mail_count, '<', $before + 200, "$what: it happened in the middle");
	$peer->rules;
	$node->wait_for("SELECT count(*) = 200 FROM rhesis_notify.task_notifications WHERE task_name = '$name' AND delivery_status = 'sent'");

	my @mails = ($peer->mails)[ $before .. $peer->mail_count - 1 ];
	my %times;
	$times{ $_->raw_header('Message-ID') }++ foreach @mails;
	is(scalar(keys %times), 200, "$what: each of 200 mails has arrived");
	is($node->sql("SELECT count(DISTINCT message_id) FROM rhesis_notify.task_notifications WHERE task_name = '$name'"), 200,
		"$what: and is on record");
	my %contents;
	$contents{ $_->raw_header('X-Notification-ID') }{ $_->raw_header('Message-ID') } = 1 foreach @mails;
	is_deeply([ grep { keys %{ $contents{$_} } > 1 } keys %contents ], [], "$what: what came twice has one Message-ID");
	return @mails - 200;
}

# ---- kill -9 of a worker: the postmaster restarts all processes ----

my $repeated = lose_nothing(
	'app.killed',
	'kill -9 of a worker',
	sub {
		my $log_offset = -s $node->logfile;
		my $worker = $node->worker('pid');

		cmp_ok(in_state('app.killed', 'sending'), '>', 0, 'kill -9 of a worker: while mails are being sent');
		kill 'KILL', $worker;
		$node->wait_for_log(qr/all server processes terminated; reinitializing/, $log_offset);
		$node->poll_query_until('postgres', 'SELECT true') or die 'the server is not back';
	});
cmp_ok($repeated, '<=', 16, "kill -9 of a worker: no more came twice than was on its way ($repeated did)");
is($node->sql("SELECT count(*) FROM rhesis_notify.delivery_events WHERE event = 'in_doubt'") > 0, 1, 'what was in doubt is on record');
ok($node->log_contains(qr/WARNING:  \d+ notifications? (?:was|were) being sent when a worker ended/), 'and in the log');

# ---- A regular end loses nothing and repeats nothing ----

is(lose_nothing('app.terminated', 'SIGTERM of a worker', sub { $node->sql('SELECT pg_terminate_backend(' . $node->worker('pid') . ')') }), 0,
	'SIGTERM of a worker: none came twice');
is(lose_nothing('app.reloaded', 'a reload', sub { $node->reload }), 0, 'a reload: none came twice');
is(lose_nothing('app.restarted', 'a restart of the server', sub { $node->restart }), 0, 'a restart of the server: none came twice');

$repeated = lose_nothing('app.immediate', 'an immediate shutdown', sub { $node->stop('immediate'); $node->start });
cmp_ok($repeated, '<=', 16, "an immediate shutdown: no more came twice than was on its way ($repeated did)");

lose_nothing('app.peer', 'a mail server that is killed', sub { $peer->stop('KILL'); $peer->start_again });

# ---- In doubt: the server got the whole mail, and no reply came ----

$peer->start_otherwise(accept_delay => undef);
$peer->rules({ stage => 'accepted', action => 'close', count => 1 });
my $before = $peer->mail_count;
my $id = $node->report;
my $row = $node->wait_for_state($id, 'sent');
my ($first, $second) = ($peer->mails)[ $before, $before + 1 ];
is($peer->mail_count, $before + 2, 'in doubt, it is sent again');
is($first->raw_header('Message-ID'), $second->raw_header('Message-ID'), 'with the same Message-ID');
is(($node->events($id))[0]{event}, 'in_doubt', 'and that is on record');
is($node->worker('in_doubt > 0'), 't', 'and counted');

$node->reconfigure(in_doubt => 'hold');
$peer->rules({ stage => 'accepted', action => 'close', count => 1 });
$before = $peer->mail_count;
$id = $node->report;
$row = $node->wait_for_state($id, 'held');
is($row->{delivery_reason}, 'in_doubt', 'or it is held, where that is chosen');
$node->wait_for_state($node->report, 'sent');
is($node->notification($id)->{delivery_status}, 'held', 'it stays so');
is($node->sql("SELECT rhesis_notify.retry($id)"), 't', 'until somebody says retry');
$node->wait_for_state($id, 'sent');
is($peer->mail_count, $before + 3, 'then it goes out');

# The same happens after a crash: mails that were being sent are held.
$peer->start_otherwise(accept_delay => 50);
$before = $peer->mail_count;
hold_half(200);
$node->report_many(200, task_name => 'app.held');
$peer->wait_for_mails($before + 20);
$node->stop('immediate');
$peer->rules;
$node->start;
$node->wait_for("SELECT count(*) FILTER (WHERE delivery_status = 'held') > 0 AND count(*) FILTER (WHERE delivery_status NOT IN ('held', 'sent')) = 0
	FROM rhesis_notify.task_notifications WHERE task_name = 'app.held'");
my %times;
$times{ $_->raw_header('Message-ID') }++ foreach ($peer->mails)[ $before .. $peer->mail_count - 1 ];
is_deeply([ grep { $times{$_} > 1 } keys %times ], [], 'after a crash with in_doubt = hold none comes twice');
is($node->sql("SELECT bool_and(delivery_reason = 'in_doubt') FROM rhesis_notify.task_notifications WHERE task_name = 'app.held' AND delivery_status = 'held'"), 't', 'those that may have are held');
is($node->sql("SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_name = 'app.held' AND delivery_status = 'held' AND rhesis_notify.cancel(id)"),
	$node->sql("SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_name = 'app.held' AND delivery_status = 'cancelled'"), 'and can be cancelled');

$node->stop;
done_testing();
