
# Mails are sent no faster than rhesis_notify.max_rate, whatever the number of workers. If the
# server says "slow down", all workers slow down for a while. test/pgtap/pace.sql, which has its own
# clock, tests the exact pace. Here a mail may be late for any reason, but never early.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Parallel qw(in_parallel);
use RhesisNotify::Peer;
use Test::More;
use Time::HiRes;

my $PASSWORD = 'peer secret';
my $MAX_RATE = 50;
my $peer = RhesisNotify::Peer->start(password => $PASSWORD);
my $node = RhesisNotify::Cluster->serve(
	'main',
	peer => $peer,
	settings => { workers => 2, max_rate => $MAX_RATE, log_deliveries => 'off', 'server.max_worker_processes' => 32 });

# Returns the times when a server accepted its mails, in order, from the times of their files.
sub acceptances
{
	my ($server) = @_;
	my @times = sort { $a <=> $b } map { (Time::HiRes::stat($_))[9] } glob $server->directory . '/mails/*.json';
	return @times;
}

# Counts the mails that were accepted too early. No mail is sent before the time $begin. $pace is a
# function that takes a number of seconds after $begin and returns how many mails may have been sent
# by then. A mail is accepted after it has been sent.
sub too_early
{
	my ($begin, $pace, @times) = @_;
	return scalar grep { $_ + 1 > $pace->($times[$_] - $begin) } 0 .. $#times;
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
my $begin = Time::HiRes::time();
$node->report_many(10 * $MAX_RATE, task_name => 'app.paced');
wait_until_accepted($peer, 10 * $MAX_RATE);
my @times = acceptances($peer);
is(too_early($begin, sub { $MAX_RATE * ($_[0] + 0.5) + 1 }, @times), 0, 'never more than max_rate mails a second, and half a second of it on top');

my ($from, $most) = (0, 0);
foreach my $until (0 .. $#times)
{
	$from++ while $times[$until] - $times[$from] >= 1;
	$most = $until - $from + 1 if $until - $from >= $most;
}
note("the best second has $most");
is($node->sql(q{SELECT count(*) FROM rhesis_notify.worker_status WHERE sent > 0}), 2, 'both workers have sent');

# ---- A server that asks to slow down ----

my $RATE = 40;
my @replies = (
	'454 Throttling failure: Maximum sending rate exceeded.',
	'421 4.7.0 Our system has detected an unusual rate of unsolicited mail',
	'450 4.2.1 Peak SMTP relay limit exceeded for customer. This is a temporary error.',
	'451 4.7.1 Rate limit exceeded, slow down',
	'452 Too many recipients received this hour');

# Two workers send at max_rate. After the mails of two seconds the server asks one worker to slow
# down.
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

	return {
		accepted => [ acceptances($server) ],
		attempts => $node->sql(q{SELECT string_agg(DISTINCT attempts::text, ' ') FROM rhesis_notify.task_notifications}, $database) };
}

# Returns the lower paces that the log shows for a server.
sub paces_of
{
	my ($server) = @_;
	my $port = $server->port;

	return map { /now at most ([\d.]+) mails per second/ }
	  grep { /SMTP server "localhost" port $port asks for a slower pace/ } split /\n/, $node->log;
}

my @servers = map { RhesisNotify::Peer->start(password => $PASSWORD) } @replies;
my @seen = in_parallel(map { my $number = $_; sub { throttled($replies[$number], $servers[$number]) } } 0 .. $#replies);
foreach my $number (0 .. $#replies)
{
	my ($reply, $seen) = ($replies[$number], $seen[$number]);
	my @paces = paces_of($servers[$number]);

	is(scalar @paces, 1, "$reply: the log says, once, that the pace is slower");
	my $pace = $paces[0];
	cmp_ok($pace, '<=', 0.5 * $RATE, "... by half, or more where the machine had not come to max_rate: $pace");
	# When the server asked, at most 16 mails were being sent, so it asked at $told or later. After
	# this the pace grows by a thirtieth per second. The mails that each worker was sending come in
	# addition.
	my ($told) = $seen->{accepted}[ 2 * $RATE - 16 ];
	my @after = grep { $_ > $told } @{ $seen->{accepted} };
	cmp_ok(scalar(@after), '>', 5 * $pace, '... before most mails have left');
	is(too_early($told, sub { $pace * ($_[0] + $_[0]**2 / 60) + 0.5 * $RATE + 2 * 16 }, @after), 0, '... the mails of both workers leave more slowly');
	is($seen->{attempts}, 1, '... no message lost an attempt');
}

# The pace grows again until it reaches max_rate. explain() shows the current pace.
my $database = 'throttled_' . substr $replies[0], 0, 3;
$node->sql('SELECT rhesis_notify.pause()', $database);
my $id = $node->report(database => $database);
$node->wait_for("SELECT decision = '$RATE mails a second' FROM rhesis_notify.explain($id) WHERE step = 'pace'", $database);
pass('after a while it is max_rate again');

$node->stop;
done_testing();
