# The disk is full for a moment, or memory runs out while a mail is rendered: mail waits, and
# nothing is lost or sent twice.
#
# RHESIS_SMALL_DISK is a directory on a file system of some 32 MB. If it is not set, that part is
# skipped.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

# Without this, memory that malloc keeps from an earlier large allocation could be enough for the
# next one.
local $ENV{GLIBC_TUNABLES} = 'glibc.malloc.mmap_threshold=65536';

my $peer = RhesisNotify::Peer->start(accept_delay => 2);
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retry_delay => '1s' });
my $nothing_due = q{SELECT count(*) = 0 FROM rhesis_notify.task_notifications WHERE delivery_status IN ('pending', 'sending', 'deferred')};

sub nothing_lost_or_repeated
{
	my ($when) = @_;
	my %ids = map { $_->raw_header('X-Notification-ID') => 1 } $peer->mails;
	my @sent = split /\n/, $node->sql(q{SELECT id FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'});

	is($node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE delivery_status <> 'sent'}), 0, "$when: everything is sent");
	is_deeply([ sort { $a <=> $b } keys %ids ], [ sort { $a <=> $b } @sent ], "$when: every mail has arrived");
	is($peer->mail_count, scalar(keys %ids), "$when: none came twice");
	return;
}

# ---- A full disk ----

sub fill
{
	my ($file) = @_;
	open(my $handle, '>', $file) or die "could not open $file: $!";
	while (syswrite($handle, "\0" x 8192)) { }
	close $handle;
	return;
}

SKIP:
{
	my $disk = $ENV{RHESIS_SMALL_DISK} or skip 'there is no small file system', 5;

	mkdir "$disk/tablespace" or die "could not make a directory: $!";
	$node->sql("CREATE TABLESPACE small LOCATION '$disk/tablespace'");
	$node->sql('ALTER TABLE rhesis_notify.task_notifications SET TABLESPACE small');
	$node->sql('SELECT rhesis_notify.pause()');
	$node->report_many(3000, task_name => 'app.full disk');
	$node->sql('SELECT rhesis_notify.resume()');
	$node->wait_for(q{SELECT count(*) > 100 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'});
	fill("$disk/filler");
	$node->wait_for(q{SELECT last_error ~ 'No space left on device' AND state = 'waiting after an error' FROM rhesis_notify.worker_status});
	pass('a full disk is shown in worker_status');
	my $before = $node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'});
	cmp_ok($before, '<', 3000, 'it was full in the middle');
	unlink "$disk/filler";
	$node->wait_for($nothing_due);
	nothing_lost_or_repeated('after a full disk');
	$node->sql('ALTER TABLE rhesis_notify.task_notifications SET TABLESPACE pg_default');
	$node->sql('DROP TABLESPACE small');
}

# ---- No memory ----

if ($ENV{RHESIS_SANITIZED})
{
	note('AddressSanitizer does without the limit of a process');
	$node->stop;
	done_testing();
	exit 0;
}

# Limits a worker's memory to $extra bytes more than it has now. Without $extra, removes the limit.
sub limit_memory
{
	my ($pid, $extra) = @_;
	my ($size) = slurp_file("/proc/$pid/status") =~ /^VmSize:\s+(\d+) kB/m;

	run_log([ 'prlimit', '--pid', $pid, '--as=' . (defined $extra ? $size * 1024 + $extra : 'unlimited') . ':' ])
	  or die 'could not limit the memory of a process';
	return;
}

# First give the worker what a busy one has: all connections and their memory.
$node->report_many(500, task_name => 'app.before the lack');
$node->wait_for($nothing_due);
my $worker = $node->worker('pid');
my $offset = -s $node->logfile;
limit_memory($worker, 2 * 1024 * 1024);
$node->sql(q{INSERT INTO rhesis_notify.templates (name, html) VALUES ('large', '{{#rows}}{{filler}}{{/rows}}')});
my $id = $node->report(template => 'large', result => '{"filler": "' . 'x' x 1000 . '", "rows": [' . join(',', 1 .. 950) . ']}');
$node->report_many(100, task_name => 'app.beside a large one');
$node->wait_for("SELECT delivery_reason = 'render_error' FROM rhesis_notify.task_notifications WHERE id = $id");
is($node->notification($id)->{delivery_status}, 'deferred', 'a mail that needs too much memory is deferred');
like(($node->events($id))[0]{detail}{message}, qr/^out of memory/, 'its event says why');
$node->wait_for(q{SELECT count(*) = 100 FROM rhesis_notify.task_notifications WHERE task_name = 'app.beside a large one' AND delivery_status = 'sent'});
pass('the others of its batch go out');
limit_memory($worker);
$node->wait_for_state($id, 'sent');
pass('so does that one when there is memory again');
is($node->worker('pid'), $worker, 'the worker is still the same');
nothing_lost_or_repeated('after a lack of memory');

$node->stop;
done_testing();
