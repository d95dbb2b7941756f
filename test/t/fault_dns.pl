
# A name server that answers no question blocks nothing: no worker, no shutdown, no DROP DATABASE.
# And a server that cannot be reached is treated as one that is down.
#
# The test has its own network, with only a loopback interface and that name server.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::OwnNetwork q{
	directory=$(mktemp -d) &&
	printf "nameserver 127.0.0.1\\noptions timeout:30 attempts:5\\n" >"$directory/resolv.conf" && mount --bind "$directory/resolv.conf" /etc/resolv.conf &&
	echo "hosts: files dns" >"$directory/nsswitch.conf" && mount --bind "$directory/nsswitch.conf" /etc/nsswitch.conf
	prepared=$?
	rm -r "$directory"
	[ $prepared -eq 0 ]
};

use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;
use Time::HiRes qw(time);

# ---- The name server ----

# The questions arrive at this socket. The process that holds it reads none of them.
my $name_server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 53, Proto => 'udp') or die "could not listen: $!\n";

sub questions
{
	my $bits = '';
	vec($bits, fileno($name_server), 1) = 1;
	return select($bits, undef, undef, 0) > 0;
}

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { connect_timeout => '1s', smtp_host => 'mail.example.com' });
my $backs_off = q{SELECT state = 'backing off' AND last_error IS NOT NULL FROM rhesis_notify.worker_status WHERE database = current_database()};

# Waits until the worker waits for the look-up.
sub wait_for_lookup
{
	my ($database) = @_;
	$node->wait_for(q{SELECT in_flight > 0 FROM rhesis_notify.worker_status WHERE database = current_database()}, $database);
	return;
}

sub seconds
{
	my ($code) = @_;
	my $begin = time;
	$code->();
	return sprintf('%.1f', time - $begin);
}

$node->report_many(20);
$node->wait_for($backs_off);
ok(questions(), 'the name server was asked');
like($node->worker('last_error'), qr/[Rr]esolv.*time|timed? ?out/, 'worker_status says that the name was not found in time');
is($node->sql(q{SELECT sum(attempts) FROM rhesis_notify.task_notifications}), 0, 'no attempt is used');
is($node->sql('SELECT DISTINCT delivery_reason FROM rhesis_notify.task_notifications WHERE delivery_reason IS NOT NULL'),
	'connection', 'the reason is the connection');

# The look-up lasts for more than two minutes. Meanwhile the worker reacts at once to a reload, to
# DROP DATABASE and to a shutdown.
$node->configure(connect_timeout => '300s');
$node->reload;
wait_for_lookup('postgres');
my $pid = $node->worker('pid');
cmp_ok(seconds(sub { $node->sql("SELECT pg_terminate_backend($pid, 100000)") }), '<', 60, 'a worker in the middle of a lookup can be ended');
# At a shutdown the postmaster signals each process twice: the process, and its process group.
wait_for_lookup('postgres');
$pid = $node->worker('pid');
1 while kill 'TERM', $pid;
$node->wait_for(qq{SELECT pid <> $pid AND in_flight > 0 FROM rhesis_notify.worker_status WHERE database = current_database()});
is($node->sql('SELECT sum(attempts) FROM rhesis_notify.task_notifications'), 0, 'signals that come again do not keep it from giving back what it has');
$node->sql('CREATE DATABASE doomed');
$node->create_app('doomed');
$node->report_many(5, database => 'doomed');
wait_for_lookup('doomed');
cmp_ok(seconds(sub { $node->sql('DROP DATABASE doomed') }), '<', 60, 'its database can be dropped in the middle of a lookup');
wait_for_lookup('postgres');
cmp_ok(seconds(sub { $node->stop('fast') }), '<', 60, 'the server can be stopped in the middle of a lookup');

# ---- A server that cannot be reached ----

$node->configure(smtp_host => '192.0.2.1', connect_timeout => '1s');
$node->start;
$node->wait_for($backs_off);
like($node->worker('last_error'), qr/connect to 192\.0\.2\.1|unreachable/i, 'a host without a route: worker_status tells of it');

# If the queue of connections of a server is full, the server does not answer. (libcurl 8.5 reports
# only how long it waited. A refusal would take less than a second.)
my $full = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "could not listen: $!\n";
my @waiting = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0) } 1 .. 4;
$node->reconfigure(smtp_host => 'localhost', smtp_port => $full->sockport);
$node->wait_for($backs_off);
like($node->worker('last_error'), qr/timed? ?out|timeout|connect .* after \d{4} ms/i, 'a host that does not answer: worker_status tells of it');
is($node->sql(q{SELECT sum(attempts) FROM rhesis_notify.task_notifications}), 0, 'no attempt is used');

# ---- At the end everything works ----

$node->reconfigure(smtp_host => 'localhost', smtp_port => $peer->port);
$node->wait_for(q{SELECT bool_and(delivery_status = 'sent') FROM rhesis_notify.task_notifications});
is($node->sql(q{SELECT string_agg(DISTINCT attempts::text, ' ') FROM rhesis_notify.task_notifications}), 1, 'all mails go out at their first attempt');
is($peer->mail_count, 20, 'once each');

$node->stop;
done_testing();
