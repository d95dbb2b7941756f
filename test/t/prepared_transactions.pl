# COMMIT PREPARED is a normal commit: changes of the queue, the extension or a setting in the
# prepared transaction take effect at once. It makes no difference who commits it, or whether the
# server crashed before.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster qw($JANE);
use RhesisNotify::Peer;
use Test::More;
use Time::HiRes qw(time);

my $SOON = 45; # seconds; what is forgotten waits for a minute
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { 'server.max_prepared_transactions' => 10 });

sub workers
{
	my ($database) = @_;
	return "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND datname = '$database'";
}

sub prepare
{
	my ($name, $statements, $database) = @_;

	$node->sql("BEGIN; $statements; PREPARE TRANSACTION '$name'", $database);
	return;
}

# Commits the prepared transaction $name, and waits until the query $then returns true.
sub commit_soon
{
	my ($name, $what, $then, $database) = @_;
	my $began;

	$node->sql("COMMIT PREPARED '$name'", $database);
	$began = time;
	$node->wait_for($then);
	cmp_ok(time - $began, '<', $SOON, $what);
	return;
}

my $all_sent = q{SELECT bool_and(delivery_status = 'sent') FROM rhesis_notify.task_notifications};
my $is_idle = q{SELECT bool_and(state = 'idle') FROM rhesis_notify.worker_status WHERE database = 'postgres'};

# ---- Rows ----

$node->wait_for_state($node->report, 'sent');
foreach my $round (1 .. 3)
{
	prepare('task', RhesisNotify::Cluster::insert_of());
	$node->wait_for($is_idle);
	commit_soon('task', "mail goes out at once, round $round", $all_sent);
}
prepare('one', RhesisNotify::Cluster::insert_of());
prepare('other', RhesisNotify::Cluster::insert_of());
$node->wait_for_state($node->report, 'sent');
commit_soon('other', 'of two the second', q{SELECT count(*) = 6 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'});
commit_soon('one', 'then the first', $all_sent);

my $count = $peer->mail_count;
prepare('rolled back', RhesisNotify::Cluster::insert_of());
$node->sql(q{ROLLBACK PREPARED 'rolled back'});
$node->wait_for_state($node->report, 'sent');
is($peer->mail_count, $count + 1, 'one that is rolled back is not mailed');

prepare('crash', RhesisNotify::Cluster::insert_of());
$node->stop('immediate');
$node->start;
$node->wait_for($is_idle);
commit_soon('crash', 'after a crash', $all_sent);

# ---- As drivers do it ----

my $script = q{
import sys, psycopg2
connection = psycopg2.connect(sys.argv[1])
for two_sessions in (False, True):
    xid = connection.xid(1, 'notification %s' % two_sessions, 'branch')
    connection.tpc_begin(xid)
    connection.cursor().execute(sys.argv[2] % two_sessions)
    connection.tpc_prepare()
    if two_sessions:
        connection.close()
        connection = psycopg2.connect(sys.argv[1])
        connection.tpc_commit(xid)
    else:
        connection.tpc_commit()
};
$node->wait_for($is_idle);
run_log([ '/usr/bin/python3', '-c', $script, $node->connstr('postgres'), RhesisNotify::Cluster::insert_of(task_id => 'driver %s') ])
  or die 'psycopg2 failed';
my $began = time;
$node->wait_for($all_sent);
cmp_ok(time - $began, '<', $SOON, q{psycopg2's tpc_commit()});

# ---- Operator functions ----

$node->sql('SELECT rhesis_notify.pause()');
$node->wait_for(q{SELECT bool_and(state = 'paused') FROM rhesis_notify.worker_status});
$node->report;
prepare('resume', 'SELECT rhesis_notify.resume()');
commit_soon('resume', 'resume()', $all_sent);

# ---- The extension ----

$node->sql('CREATE DATABASE app');
$node->sql('CREATE ROLE boss SUPERUSER');
prepare('create', 'CREATE EXTENSION rhesis_notify', 'app');
$node->sql(q{ROLLBACK PREPARED 'create'}, 'app');
prepare('create', 'CREATE EXTENSION rhesis_notify', 'app');
is($node->sql(workers('app')), 0, 'a prepared CREATE EXTENSION starts nothing');
commit_soon('create', 'committed, it starts a worker', workers('app') =~ s/count\(\*\)/count(*) = 1/r, 'app');
$node->wait_for(q{SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE database = 'app' AND state = 'idle'}, 'app');
foreach my $drop ('DROP EXTENSION rhesis_notify', 'DROP OWNED BY boss')
{
	prepare('drop', $drop, 'app');
	is($node->sql(workers('app')), 1, "a prepared $drop ends nothing");
	commit_soon('drop', 'committed, it ends the worker', workers('app') =~ s/count\(\*\)/count(*) = 0/r, 'app');
	prepare('create', 'SET LOCAL ROLE boss; CREATE EXTENSION rhesis_notify', 'app');
	$node->stop('immediate');
	$node->start;
	$node->wait_for($is_idle);
	commit_soon('create', 'CREATE EXTENSION, with a crash in between', workers('app') =~ s/count\(\*\)/count(*) = 1/r, 'app');
	$node->wait_for(q{SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE database = 'app' AND state = 'idle'}, 'app');
}

# ---- Settings and names ----

foreach my $database ('postgres', 'app')
{
	my $pid = $node->worker('pid');

	prepare('setting', 'ALTER DATABASE postgres SET rhesis_notify.max_attempts = 3', $database);
	commit_soon('setting', "a setting of the database, set in $database", "SELECT bool_and(pid <> $pid) FROM rhesis_notify.worker_status WHERE database = 'postgres'", $database);
	$node->wait_for($is_idle);
}
prepare('rename', 'ALTER DATABASE app RENAME TO app_renamed');
commit_soon('rename', 'a database that was renamed is served', q{SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE database = 'app_renamed' AND state = 'idle'});
prepare('close', 'ALTER DATABASE app_renamed ALLOW_CONNECTIONS false');
commit_soon('close', 'one that allows no connections is not', workers('app_renamed') =~ s/count\(\*\)/count(*) = 0/r);
prepare('open', 'ALTER DATABASE app_renamed ALLOW_CONNECTIONS true');
commit_soon('open', 'until it does', workers('app_renamed') =~ s/count\(\*\)/count(*) = 1/r);

$node->stop;
done_testing();
