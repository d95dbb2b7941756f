
# The commit of a task wakes a worker only if the worker could process the new row. It does not
# while the worker is paused or backs off. When that ends, the worker continues at once, and no row
# is forgotten.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Daemon;
use RhesisNotify::Peer;
use RhesisNotify::Session;
use Test::More;
use Time::HiRes qw(time);

my $ROWS = 2000;
my $FEW = $ROWS / 20; # it may wake of itself now and then, the more often the longer the tasks take
my $SOON = 45; # seconds; what is forgotten waits for a minute
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve(
	'main',
	peer => $peer,
	allows_streaming => 1,
	settings => { log_deliveries => 'off', 'server.fsync' => 'off', 'server.max_worker_processes' => 16 });

# Returns the number of times that the worker has gone to sleep.
sub wake_ups
{
	my ($pid) = @_;
	my ($switches) = slurp_file("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
	return $switches;
}

# Checks that the worker rarely wakes up while tasks finish, each in its own transaction.
sub few_wake_ups
{
	my ($when) = @_;
	my $pid = $node->worker('pid');
	my $before = wake_ups($pid);

	$node->sql(join ";\n", map { RhesisNotify::Cluster::insert_of() } 1 .. $ROWS);
	my $count = wake_ups($pid) - $before;
	is($node->worker('pid'), $pid, "$when: it is the same worker");
	cmp_ok($count, '<=', $FEW, "$when: $ROWS tasks wake it $count times");
	return;
}

# Checks that mail starts at once. How long it takes depends on the machine.
sub all_is_sent_soon
{
	my ($what) = @_;
	my $began = time;
	my $left = q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE delivery_status NOT IN ('sent', 'skipped')};
	my $at_first = $node->sql($left);

	$node->wait_for("SELECT left_now = 0 OR left_now < $at_first FROM ($left) AS t (left_now)");
	cmp_ok(time - $began, '<=', $SOON, "$what: mail goes out at once");
	$node->wait_for("SELECT ($left) = 0");
	return;
}

sub pause
{
	$node->sql('SELECT rhesis_notify.pause()');
	$node->wait_for(q{SELECT bool_and(state = 'paused') FROM rhesis_notify.worker_status});
	return;
}

# ---- A pause ----

my $slow_task = RhesisNotify::Session->start($node);
$node->wait_for(q{SELECT bool_and(state = 'idle') FROM rhesis_notify.worker_status});
$slow_task->query('BEGIN; ' . RhesisNotify::Cluster::insert_of());
pause();
few_wake_ups('paused');
$slow_task->query('COMMIT');

my $began = time;
$node->sql('SELECT rhesis_notify.resume()');
RhesisNotify::Peer::wait_until(sub { $peer->mail_count > 0 }, 'a mail');
cmp_ok(time - $began, '<=', $SOON, 'resumed: mail goes out at once');
all_is_sent_soon('resumed');

pause();
few_wake_ups('paused again');
$node->reconfigure(max_attempts => 7);
pass('a reload is heeded in a pause');
few_wake_ups('paused, with new settings');
$node->sql('BEGIN; SELECT rhesis_notify.resume(); ' . RhesisNotify::Cluster::insert_of() . '; COMMIT');
all_is_sent_soon('resumed by a transaction that also reports');

pause();
$node->sql(RhesisNotify::Cluster::insert_of());
ok($node->sql('SELECT pg_terminate_backend(pid) FROM rhesis_notify.worker_status'), 'SIGTERM in a pause');
$node->wait_for(q{SELECT bool_and(state = 'paused') FROM rhesis_notify.worker_status});
$node->sql('SELECT rhesis_notify.resume()');
all_is_sent_soon('resumed, by another worker');

# ---- While the worker waits for a synchronous standby, which resets its latch ----

my $standby = RhesisNotify::Daemon->start('standby',
	[ 'pg_receivewal', '--synchronous', '--no-loop', '-D', PostgreSQL::Test::Utils::tempdir(), '-d', $node->connstr . ' application_name=standby' ]);
$node->wait_for('SELECT count(*) = 1 FROM pg_stat_replication');
$node->reconfigure('server.synchronous_standby_names' => 'standby');

# The worker waits for the commit of a record: the row of a task has no user. No mail is sent, so no
# idle connection wakes the worker, either.
sub while_commit_waits
{
	my ($what) = @_;
	local $ENV{PGOPTIONS} = '-c synchronous_commit=local';

	$node->wait_for(q{SELECT bool_and(state = 'idle' AND connections = 0) FROM rhesis_notify.worker_status});
	kill 'STOP', $standby->{pid};
	$node->report(user_id => '');
	$node->wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND wait_event = 'SyncRep'});
	$what->();
	kill 'CONT', $standby->{pid};
	$began = time;
	return;
}

my $pid = $node->worker('pid');
while_commit_waits(sub {
	$node->configure(max_attempts => 8);
	$node->reload;
	$node->wait_for(q{SELECT current_setting('rhesis_notify.max_attempts') = '8'});
});
$node->wait_for("SELECT bool_and(pid <> $pid) FROM rhesis_notify.worker_status");
cmp_ok(time - $began, '<=', $SOON, 'a reload meanwhile is heeded');

while_commit_waits(sub { $node->report });
all_is_sent_soon('reported meanwhile');

$node->reconfigure('server.synchronous_standby_names' => '');
$standby->stop;

# ---- A server in trouble ----

$peer->stop;
$node->report;
$node->wait_for(q{SELECT bool_and(backing_off_until > now() + interval '3 seconds') FROM rhesis_notify.worker_status});
few_wake_ups('backing off');
$peer->start_again;
$node->wait_for(q{SELECT bool_and(backing_off_until IS NULL) FROM rhesis_notify.worker_status});
all_is_sent_soon('the server is back');

# ---- Recipients that cannot be read ----

$node->sql('ALTER TABLE public."user" RENAME email TO mail');
$node->report;
$node->wait_for(q{SELECT bool_and(state = 'waiting for recipients') FROM rhesis_notify.worker_status});
$node->wait_for(q{SELECT query ~ 'waiting until' AND (regexp_match(query, 'until (\S+ \S+)'))[1]::timestamptz > now() + interval '3 seconds'
	FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker'});
few_wake_ups('waiting for recipients');
$node->sql('ALTER TABLE public."user" RENAME mail TO email');
$node->wait_for(q{SELECT bool_and(state IN ('sending', 'idle')) FROM rhesis_notify.worker_status});
all_is_sent_soon('recipients can be read');

$slow_task->quit;
$node->stop;
done_testing();
