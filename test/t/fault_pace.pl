
# Mails leave no faster than rhesis_notify.max_rate says, whatever the number of workers, and not much slower; and when the server
# says "slow down", all of them do, for a while.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Parallel qw(in_parallel);
use RhesisNotify::Peer;
use Test::More;
use Time::HiRes;

my $PASSWORD = 'peer secret';
my $MAX_RATE = 100;
my $peer = RhesisNotify::Peer->start(password => $PASSWORD);
my $node = RhesisNotify::Cluster->serve(
	'main',
	peer => $peer,
	settings => { workers => 2, max_rate => $MAX_RATE, log_deliveries => 'off', 'server.max_worker_processes' => 32 });

# When a server accepted its mails, in order: their files tell.
sub acceptances
{
	my ($server) = @_;
	return sort { $a <=> $b } map { (Time::HiRes::stat($_))[9] } glob $server->directory . '/mails/*.json';
}

sub count_between
{
	my ($from, $to, @times) = @_;
	return scalar grep { $_ >= $from && $_ < $to } @times;
}

sub wait_until_accepted
{
	my ($server, $count) = @_;
	RhesisNotify::Peer::wait_until(sub { $server->mail_count >= $count }, "$count mails are accepted");
	return;
}

sub wait_for_workers
{
	my ($database) = @_;
	$node->wait_for(q{SELECT count(*) = 2 FROM rhesis_notify.worker_status WHERE state = 'idle' AND database = current_database()}, $database);
	return;
}

# ---- max_rate ----

wait_for_workers('postgres');
my @times;
foreach my $round (1 .. 5)
{
	my $before = $peer->mail_count;

	$node->report_many(1300, task_name => "app.paced $round");
	wait_until_accepted($peer, $before + 1300);
	@times = (acceptances($peer))[ $before .. $before + 1299 ];
	# A machine that stands still for longer than the workers make up for says nothing of them: once more.
	last unless grep { $times[$_] - $times[ $_ - 1 ] > 0.4 } 1 .. $#times;
}

my $in_ten_seconds = count_between($times[0] + 1, $times[0] + 11, @times);
cmp_ok(abs($in_ten_seconds - 10 * $MAX_RATE), '<=', 0.02 * 10 * $MAX_RATE, "10 seconds have 10 times max_rate within 2 %: $in_ten_seconds");

my $most = 0;
foreach my $begin (@times)
{
	my $count = count_between($begin, $begin + 1, @times);
	$most = $count if $count > $most;
}
cmp_ok($most, '<=', 2 * $MAX_RATE, "no second has more than one second's worth on top of its own: $most");
is($node->sql(q{SELECT count(*) FROM rhesis_notify.worker_status WHERE sent > 300}), 2, 'both workers have sent');

# ---- The server asks for less ----

my $RATE = 40;
my @replies = (
	'454 Throttling failure: Maximum sending rate exceeded.',
	'421 4.7.0 Our system has detected an unusual rate of unsolicited mail',
	'450 4.2.1 Peak SMTP relay limit exceeded for customer. This is a temporary error.',
	'451 4.7.1 Rate limit exceeded, slow down',
	'452 Too many recipients received this hour');

# Two workers, one of which is told to slow down after two seconds.
sub throttled
{
	my ($reply, $server) = @_;
	my $database = 'throttled_' . substr $reply, 0, 3;
	my %settings = (smtp_port => $server->port, max_rate => $RATE);

	$node->sql("CREATE DATABASE $database");
	$node->sql("ALTER DATABASE $database SET rhesis_notify.$_ = '$settings{$_}'") foreach sort keys %settings;
	$node->create_app($database);
	wait_for_workers($database);
	$server->rules({ stage => 'mail', after => 2 * $RATE, count => 1, action => 'reply', text => $reply });
	$node->report_many(12 * $RATE, database => $database);
	wait_until_accepted($server, 12 * $RATE);

	my @accepted = acceptances($server);
	my $end = $accepted[-1];
	my $told = $accepted[ 2 * $RATE ];
	return {
		after => count_between($told + 1.5, $told + 4.5, @accepted) / 3,
		later => count_between($end - 3, $end, @accepted) / 3,
		attempts => $node->sql(q{SELECT string_agg(DISTINCT attempts::text, ' ') FROM rhesis_notify.task_notifications}, $database) };
}

my @servers = map { RhesisNotify::Peer->start(password => $PASSWORD) } @replies;
my @seen = in_parallel(map { my $number = $_; sub { throttled($replies[$number], $servers[$number]) } } 0 .. $#replies);
foreach my $number (0 .. $#replies)
{
	my ($reply, $seen) = ($replies[$number], $seen[$number]);
	my $port = $servers[$number]->port;
	my @paces = $node->log =~ /SMTP server "localhost" port $port asks for a slower pace: now at most ([\d.]+) mails per second/g;

	is(scalar @paces, 1, "$reply: the log says, once, that the pace is slower");
	cmp_ok($paces[0], '<=', 0.5 * $RATE, "... by half: $paces[0]");
	cmp_ok($paces[0], '>=', 0.25 * $RATE, '... and not by much more');
	cmp_ok($seen->{after}, '<=', 0.75 * $RATE, "... the mails of both workers leave more slowly: $seen->{after} a second");
	cmp_ok($seen->{later}, '>', $seen->{after}, "... and faster again later: $seen->{later}");
	is($seen->{attempts}, 1, '... no message lost an attempt');
}

$node->stop;
done_testing();
