# A worker holds no more resources after many mails and connections than before: the numbers of
# descriptors and threads, and its memory, do not grow. The figures are notes.
use strict;
use warnings FATAL => 'all';

use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

# A leak of 20 bytes per mail, or of two kilobytes per connection, exceeds this. Smaller growth
# comes from the heaps of short-lived threads that look names up.
my $MOST_GROWTH_KB = 1024;
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { log_deliveries => 'off' });
my $batches = 0;

# A fast server that only counts.
my $sink_port = PostgreSQL::Test::Cluster::get_free_port();
my $sink = fork() // die "could not fork: $!";
if ($sink == 0)
{
	exec('/usr/sbin/smtp-sink', "127.0.0.1:$sink_port", 100) or POSIX::_exit(127);
}

# Sends that number of mails. Returns the resources of the worker after them.
sub level_after
{
	my ($mails) = @_;
	my $name = 'app.batch ' . ++$batches;
	my $worker = $node->worker('pid');
	my $is_one_thread = sub { slurp_file("/proc/$worker/status") =~ /^Threads:\s+1$/m };

	$node->report_many($mails, task_name => $name);
	$node->wait_for("SELECT count(*) = $mails FROM rhesis_notify.task_notifications WHERE task_name = '$name' AND delivery_status = 'sent'");
	$node->wait_for(q{SELECT state = 'idle' AND connections = 0 FROM rhesis_notify.worker_status});
	RhesisNotify::Peer::wait_until($is_one_thread, 'the worker has one thread');
	is($node->worker('pid'), $worker, "after $mails mails it is the same worker, with one thread");
	my ($memory) = slurp_file("/proc/$worker/status") =~ /^RssAnon:\s+(\d+) kB$/m;

	# Do not count the files of the database: how many a process has open depends on PostgreSQL.
	my $data = $node->data_dir;
	my @descriptors = grep { !m{^(?:\Q$data\E/)?(?:base|global|pg_wal|pg_xact)/} } map { readlink($_) // () } glob "/proc/$worker/fd/*";
	return { mails => $mails, descriptors => scalar(@descriptors), memory => $memory };
}

# Compares the resources with those of the first measurement. By then, each part of the worker has
# been used.
sub are_level
{
	my ($what, $first, @others) = @_;
	my $number = 0;

	foreach my $level (@others)
	{
		$number += $level->{mails};
		note("$what: after $number more mails $level->{descriptors} descriptors, 1 thread, $level->{memory} kB");
	}
	note("$what: $first->{descriptors} descriptors, 1 thread and $first->{memory} kB at first");
	is_deeply([ map { $_->{descriptors} } @others ], [ map { $first->{descriptors} } @others ], "$what: descriptors are level");
  SKIP:
	{
		skip 'AddressSanitizer keeps freed memory', 1 if $ENV{RHESIS_SANITIZED};
		my ($most) = sort { $b <=> $a } map { $_->{memory} } @others;
		cmp_ok($most, '<=', $first->{memory} + $MOST_GROWTH_KB, "$what: memory is level");
	}
	return;
}

# ---- 50,000 mails ----

$node->reconfigure(smtp_host => 'localhost', smtp_port => $sink_port, smtp_user => '', smtp_password => '', smtp_tls => 'none');
are_level('50,000 mails', map { level_after($_) } 5_000, (10_000) x 5);

# ---- 500 connections with a login ----

$node->reconfigure(RhesisNotify::Cluster::peer_settings($peer), smtp_tls => 'auto', messages_per_connection => 1);
are_level('500 reconnects', map { level_after($_) } (100) x 6);
cmp_ok(scalar(() = $peer->transcript =~ /^\d+ - connected$/mg), '>=', 600, 'each mail had a connection of its own');

# ---- Connections that the server closes ----

$node->reconfigure(messages_per_connection => 500);
my $level = level_after(10);
foreach my $round (1 .. 50)
{
	$node->wait_for_state($node->report, 'sent');
	$peer->hang_up;
	$node->wait_for(q{SELECT connections = 0 FROM rhesis_notify.worker_status});
}
are_level('50 lost connections', $level, level_after(10));
my %connections = map { $_->envelope->{connection} => 1 } ($peer->mails)[ -60 .. -1 ];
cmp_ok(scalar(keys %connections), '>=', 50, 'the server has ended each connection');

$node->stop;
done_testing();

END
{
	local $?;
	kill 'TERM', $sink if $sink;
}
