# Unusual ways to run a server: single-user mode, wal_level minimal, many reloads in a short time,
# and a row of pg_database that was changed by hand (the launcher notices the change within a
# minute). Nothing is lost, and mail continues.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;
use Time::HiRes qw(sleep);

my $RELOADS = 100;
my $MAILS = 300;
my $peer = RhesisNotify::Peer->start(accept_delay => 5);
my $node = RhesisNotify::Cluster->serve(
	'main',
	peer => $peer,
	settings => { 'server.wal_level' => 'minimal', 'server.max_wal_senders' => 0, 'server.max_prepared_transactions' => 2 });
my $all_sent = q{SELECT bool_and(delivery_status = 'sent') FROM rhesis_notify.task_notifications};

$node->wait_for_state($node->report, 'sent');
pass('wal_level minimal');

# ---- Single-user mode ----

$node->sql('BEGIN; ' . RhesisNotify::Cluster::insert_of() . q{; PREPARE TRANSACTION 'task'});
$node->stop;
my $input = join "\n",
  RhesisNotify::Cluster::insert_of(),
  q{COMMIT PREPARED 'task'},
  'ALTER DATABASE postgres SET rhesis_notify.max_attempts = 3',
  'CREATE DATABASE copy TEMPLATE postgres',
  'DROP DATABASE copy',
  'SELECT rhesis_notify.wake_workers()',
  '';
my ($output, $errors) = ('', '');
ok(IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir, 'postgres' ], '<', \$input, '>', \$output, '2>', \$errors), 'single-user mode');
unlike($errors, qr/ERROR|FATAL|PANIC/, 'a task reports, a prepared one is committed, a database comes and goes');
$node->start;
$node->wait_for($all_sent);
is($node->sql('SELECT count(*) FROM rhesis_notify.task_notifications'), 3, 'the mails go out when the server is up');

# ---- Many reloads in a short time ----

my $before = $peer->mail_count;
$node->report_many($MAILS, task_name => 'app.storm');
my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
foreach my $reload (1 .. $RELOADS)
{
	kill 'HUP', $postmaster;
	sleep(0.02);
}
$node->wait_for($all_sent);
is($peer->mail_count, $before + $MAILS, "$RELOADS reloads while $MAILS mails are sent: each goes out once");

# ---- pg_database, changed by hand ----

$node->sql('CREATE DATABASE app');
$node->create_app('app');
my $is_served = q{SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE database = 'app' AND state = 'idle'};
my $is_left = q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND datname = 'app'};

foreach my $closed ('datistemplate = true', 'datallowconn = false')
{
	$node->wait_for($is_served);
	$node->sql("UPDATE pg_database SET $closed WHERE datname = 'app'");
	$node->wait_for($is_left);
	pass("$closed: the worker leaves");
	$node->wait_for(q{SELECT count(*) = 0 FROM rhesis_notify.worker_slots() WHERE database = 'app'});
	pass('and leaves no slot behind');
	$node->sql(q{UPDATE pg_database SET datistemplate = false, datallowconn = true WHERE datname = 'app'});
}
$node->sql('ALTER DATABASE app CONNECTION LIMIT 0');
$node->wait_for_state($node->report(database => 'app'), 'sent', 'app');
pass('what was changed back is served again, whatever its connection limit');
$node->sql('ALTER DATABASE app ALLOW_CONNECTIONS false');
$node->wait_for($is_left);
pass('ALLOW_CONNECTIONS false ends the worker');

unlike($node->log, qr/rhesis_notify cannot start a worker/, 'all that is no trouble of a database');
$node->stop;
done_testing();
