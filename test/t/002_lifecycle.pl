
# The processes of the extension: they start when a database needs them, start again after they were
# ended, and stop when they are not needed. They do nothing while there is no work, and do not
# disturb other sessions.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster qw($JANE $ACME);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, bare => 1, allows_streaming => 1);

# Returns the workers of a database in pg_stat_activity.
sub workers
{
	my ($database) = @_;
	return $node->sql("SELECT coalesce(string_agg(pid::text, ' ' ORDER BY pid), '') FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND datname = '$database'");
}

# Returns the seconds from $moment, a time of the server's clock, to the start of the worker of a
# database.
sub started_after
{
	my ($moment, $database) = @_;
	return $node->sql("SELECT EXTRACT(epoch FROM backend_start - '$moment') FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND datname = '$database'");
}

# "At once" is at most this number of seconds. The launcher checks for changes once a minute even if
# it was not notified, so a later start does not show that it was notified.
my $AT_ONCE = 45;

sub moment
{
	return $node->sql('SELECT clock_timestamp()');
}

my $is_served = "SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE database = current_database() AND state = 'idle'";

# ---- A database comes and goes ----

$node->wait_for("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify launcher'");
is(workers('postgres'), '', 'a database without the extension has no worker');

$node->create_app('postgres');
my $moment = moment();
$node->wait_for($is_served);
cmp_ok(started_after($moment, 'postgres'), '<', $AT_ONCE, 'it is served at once after CREATE EXTENSION');
$node->wait_for_state($node->report, 'sent');

my %created;
foreach my $database (qw(second third))
{
	$node->sql("CREATE DATABASE $database");
	$node->create_app($database);
	$created{$database} = moment();
}
foreach my $database (qw(second third))
{
	$node->wait_for($is_served, $database);
	cmp_ok(started_after($created{$database}, $database), '<', $AT_ONCE, "so is database $database");
	$node->wait_for_state($node->report(database => $database), 'sent', $database);
}
is($node->sql('SELECT string_agg(database, $$ $$ ORDER BY database) FROM rhesis_notify.worker_status'), 'postgres second third', 'worker_status shows all of them to a superuser');
my %ids = map { $_->raw_header('Message-ID') => 1 } $peer->mails;
is(scalar(keys %ids), 3, 'mails of different databases have different Message-IDs, although their rows have one number');

$node->sql('DROP EXTENSION rhesis_notify', 'second');
$node->wait_for("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND datname = 'second'");
pass('DROP EXTENSION works beside the worker, and the worker leaves');
$node->sql('CREATE EXTENSION rhesis_notify', 'second');
$node->wait_for($is_served, 'second');
$node->wait_for_state($node->report(database => 'second'), 'sent', 'second');
pass('CREATE EXTENSION brings it back');

$node->sql('BEGIN; DROP EXTENSION rhesis_notify; ROLLBACK', 'second');
$node->sql('BEGIN; DROP EXTENSION rhesis_notify; CREATE EXTENSION rhesis_notify; COMMIT', 'second');
$node->wait_for_state($node->report(database => 'second'), 'sent', 'second');
pass('one transaction that drops and creates it is noticed, too');

$node->sql('DROP DATABASE third');
pass('a database can be dropped beside its worker');
$node->sql('ALTER DATABASE second RENAME TO fourth');
$node->wait_for_state($node->report(database => 'fourth'), 'sent', 'fourth');
pass('and renamed');
$node->sql('CREATE DATABASE fifth TEMPLATE fourth');
$node->wait_for(q{SELECT state = 'a copy' FROM rhesis_notify.worker_status WHERE database = current_database()}, 'fifth');
is($node->sql('SELECT rhesis_notify.adopt_database(true)', 'fifth'), 0, 'and copied; the copy waits for somebody to adopt it');
$node->wait_for($is_served, 'fifth');
pass('then it is served');
$node->sql('DROP DATABASE fourth WITH (FORCE)');
$node->sql('DROP DATABASE fifth');

# ---- Processes that end ----

$moment = moment();
my $worker = workers('postgres');
$node->sql("SELECT pg_terminate_backend($worker)");
$node->wait_for("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND pid <> $worker");
cmp_ok(started_after($moment, 'postgres'), '<', $AT_ONCE, 'a terminated worker is back at once');
$node->wait_for_state($node->report, 'sent');

$worker = workers('postgres');
$node->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'rhesis_notify launcher'");
$node->wait_for_state($node->report, 'sent');
pass('without a launcher mail goes on');
$node->wait_for("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify launcher'");
is(workers('postgres'), $worker, 'a new launcher finds the worker that is there');
$node->sql("SELECT pg_terminate_backend($worker)");
$node->wait_for("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND pid <> $worker");
pass('and looks after it');

$worker = workers('postgres');
$node->sql("SELECT pg_cancel_backend($worker)");
$node->wait_for_state($node->report, 'sent');
is(workers('postgres'), $worker, 'a worker that is cancelled goes on');

# ---- More than one worker ----

$node->configure(workers => 2);
$node->reload;
$node->wait_for("SELECT count(*) = 2 FROM rhesis_notify.worker_status WHERE state = 'idle'");
my $before = $peer->mail_count;
$node->report_many(200, task_name => 'app.two_workers');
$node->wait_for("SELECT count(*) = 200 FROM rhesis_notify.task_notifications WHERE task_name = 'app.two_workers' AND delivery_status = 'sent'");
is($peer->mail_count, $before + 200, 'two workers send each mail once');
is($node->sql('SELECT sum(sent) > 200 FROM rhesis_notify.worker_status'), 't', 'both are counted');
$node->configure(workers => 1);
$node->reload;
$node->wait_for("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker'");
$node->wait_for_state($node->report, 'sent');
pass('one can be taken back');

# ---- Settings for the application do not change the worker ----

$worker = workers('postgres');
$node->sql($_, 'template1') foreach (
	'ALTER DATABASE postgres SET default_transaction_read_only = on',
	'ALTER DATABASE postgres SET statement_timeout = 1',
	'ALTER DATABASE postgres SET search_path = nowhere',
	"ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'",
	"ALTER DATABASE postgres SET role = 'pg_monitor'",
	"SELECT pg_terminate_backend($worker)");
{
	local $ENV{PGOPTIONS} = '-c default_transaction_read_only=off -c statement_timeout=0 -c role=none';
	$node->wait_for("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND datname = 'postgres' AND pid <> $worker");
	$node->wait_for_state($node->report, 'sent');
	$worker = workers('postgres');
}
pass('a read-only default, a time limit, a search path and a role that are meant for the app leave the worker alone');
$node->sql('ALTER DATABASE postgres RESET ALL', 'template1');
$node->wait_for("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND datname = 'postgres' AND pid <> $worker");

# ---- Nothing to do ----

# Returns the CPU time and the voluntary context switches of a process.
sub exertion
{
	my ($pid) = @_;
	my @stat = split ' ', slurp_file("/proc/$pid/stat") =~ s/^.*\) //r;
	my ($switches) = slurp_file("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
	return "ticks $stat[11] $stat[12] switches $switches";
}

SKIP: {
	skip 'no /proc here', 2 unless -e '/proc/self/stat';
	$node->wait_for($is_served);

	# Each process may check for work once a minute. So the test observes three times, and one
	# observation must find no activity.
	foreach my $type ('worker', 'launcher')
	{
		my $pid = $node->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'rhesis_notify $type'");
		my @looks;
		foreach my $look (1 .. 3)
		{
			my $first = exertion($pid);
			$node->sql('SELECT pg_sleep(4)');
			push @looks, [ $first, exertion($pid) ];
			last if $looks[-1][0] eq $looks[-1][1];
		}
		is($looks[-1][1], $looks[-1][0], "an idle $type neither uses CPU nor wakes in 4 s");
	}
}

# ---- A standby ----

$node->backup('copy');
my $standby = RhesisNotify::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->{rhesis_environment} = {};
$standby->start;
my $id = $node->report;
$node->wait_for_state($id, 'sent');
$node->wait_for_catchup($standby);
is($standby->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'rhesis_notify'"), 0, 'a standby is quiet');
is($standby->notification($id)->{delivery_status}, 'sent', 'and shows what became of the mail');
is($standby->sql('SELECT count(*) FROM rhesis_notify.worker_status'), 0, 'it has no workers to show');
$node->stop;
$standby->promote;
$id = $standby->report;
$standby->wait_for_state($id, 'sent');
pass('promoted, it takes over');
$standby->stop;

# ---- Requirements for the server ----

my $full = RhesisNotify::Cluster->serve('full', settings => { 'server.max_worker_processes' => 2 });
$full->wait_for_log(qr/WARNING:  no background worker process is free for rhesis_notify\n.*DETAIL:  .*\n.*HINT:  Increase max_worker_processes/);
$full->report;
is(scalar(() = $full->log =~ /no background worker process is free/g), 1, 'without a free process the log says once what to do');
$full->stop;

done_testing();
