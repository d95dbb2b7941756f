# Settings for the application do not change the worker. A database that refuses connections gets no
# worker. A lack of processes is reported once, and the worker starts as soon as a process is free.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { 'server.allow_in_place_tablespaces' => 'on' });
my $worker = q{FROM rhesis_notify.worker_status WHERE database = 'postgres'};

# The settings of the test's own sessions.
$ENV{PGOPTIONS} = join ' ', map { "-c $_" } qw(default_transaction_read_only=off statement_timeout=0 lock_timeout=0
  idle_in_transaction_session_timeout=0 idle_session_timeout=0 search_path=public role=none session_replication_role=origin row_security=on);

# Checks that the worker restarts and mails.
sub mails_go_on
{
	my ($old_pid, $what) = @_;

	$node->wait_for("SELECT count(*) FILTER (WHERE pid <> $old_pid AND state = 'idle') = 1 $worker");
	$node->wait_for_state($node->report, 'sent');
	pass("the worker mails in spite of $what");
	return;
}

# ---- Settings for the application ----

my @settings = (
	[ default_transaction_read_only => "'on'" ],
	[ default_transaction_isolation => "'serializable'" ],
	[ default_transaction_deferrable => "'on'" ],
	[ statement_timeout => "'1'" ],
	[ lock_timeout => "'1'" ],
	[ idle_in_transaction_session_timeout => "'1'" ],
	[ idle_session_timeout => "'1'" ],
	[ search_path => 'pg_temp, hostile, pg_catalog' ],
	[ role => "'nobody'" ],
	[ session_replication_role => "'replica'" ],
	[ row_security => "'off'" ],
	[ default_tablespace => "'elsewhere'" ],
	[ temp_tablespaces => "'elsewhere'" ],
	[ zero_damaged_pages => "'on'" ],
	[ synchronous_commit => "'off'" ],
	[ transform_null_equals => "'on'" ],
	[ enable_indexscan => "'off'" ],
	[ plan_cache_mode => "'force_custom_plan'" ],
	[ datestyle => "'German'" ],
	[ intervalstyle => "'sql_standard'" ],
	[ timezone => "'Asia/Kathmandu'" ],
	[ client_encoding => "'LATIN1'" ],
	[ client_min_messages => "'error'" ],
	[ work_mem => "'64'" ],
	[ array_nulls => "'off'" ],
	[ extra_float_digits => "'-15'" ],);
# PostgreSQL 19 refuses it.
push @settings, [ standard_conforming_strings => "'off'" ] if $node->sql('SHOW server_version_num') < 190000;

$node->sql("CREATE TABLESPACE elsewhere LOCATION ''");
$node->sql(q{
	CREATE ROLE nobody;
	CREATE SCHEMA hostile;
	CREATE FUNCTION hostile.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'the app''s now()'; END $$;
	CREATE FUNCTION hostile.equal(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'the app''s ='; END $$;
	CREATE OPERATOR hostile.= (FUNCTION = hostile.equal, LEFTARG = bigint, RIGHTARG = bigint);
});

foreach my $whose ('DATABASE postgres', 'ROLE postgres')
{
	my $pid = $node->sql("SELECT pid $worker");

	# In one transaction, so that the worker restarts once.
	$node->sql(join "\n", 'BEGIN;', map({ "ALTER $whose SET $_->[0] = $_->[1];" } @settings), 'COMMIT');
	mails_go_on($pid, "ALTER $whose SET ...");
	$pid = $node->sql("SELECT pid $worker");
	$node->sql("ALTER $whose RESET ALL");
	mails_go_on($pid, "ALTER $whose RESET ALL");
}
is($node->sql(q{SELECT count(*) FROM rhesis_notify.worker_status WHERE last_error IS NOT NULL}), 0, 'without any error');

# ---- Databases that refuse connections ----

my $newcomers = 0;

# Waits until the launcher has examined all databases. It has done so when it has found a new one.
sub launcher_has_looked
{
	my $name = 'newcomer_' . ++$newcomers;
	$node->sql("CREATE DATABASE $name");
	$node->sql('CREATE EXTENSION rhesis_notify', $name);
	$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE database = '$name' AND state = 'idle'");
	$node->sql("DROP DATABASE $name");
	return;
}

my $served = q{SELECT count(*) FILTER (WHERE state = 'idle') = 1 FROM rhesis_notify.worker_status WHERE database = 'moody'};
my $forgotten = q{SELECT count(*) = 0 FROM rhesis_notify.worker_status WHERE database = 'moody' OR database IS NULL};

$node->sql('CREATE DATABASE moody');
$node->create_app('moody');
$node->wait_for($served);
my $offset = -s $node->logfile;

$node->sql('ALTER DATABASE moody ALLOW_CONNECTIONS false');
$node->wait_for($forgotten);
launcher_has_looked();
is($node->sql($forgotten), 't', 'a database with ALLOW_CONNECTIONS false is left alone');
$node->sql('ALTER DATABASE moody ALLOW_CONNECTIONS true');
$node->wait_for($served);
pass('and served when they are allowed again');

# An interrupted DROP DATABASE leaves datconnlimit at -2. No process is notified of this UPDATE.
$node->sql(q{UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'moody'});
launcher_has_looked();
$node->sql(q{SELECT pg_terminate_backend(pid) FROM rhesis_notify.worker_status WHERE database = 'moody'});
$node->wait_for($forgotten);
launcher_has_looked();
is($node->sql($forgotten), 't', 'so is one whose DROP was interrupted');
$node->sql(q{UPDATE pg_database SET datconnlimit = 0 WHERE datname = 'moody'});
launcher_has_looked();
$node->wait_for($served);
pass('a limit of 0 binds ordinary roles, not the worker');
unlike($node->log($offset), qr/FATAL:(?!.*terminating)/, 'nobody has knocked at a closed door');
$node->sql('DROP DATABASE moody');

# ---- Too few processes ----

# One process for the launcher, one for a worker, and one for PostgreSQL's launcher of logical
# replication.
$node->configure('server.max_worker_processes' => 3);
$offset = -s $node->logfile;
$node->sql('CREATE DATABASE second');
$node->create_app('second');
$node->restart;
my $lack = qr/WARNING:  no background worker process is free for rhesis_notify\n.*DETAIL:  max_worker_processes is 3;.*\n.*HINT:  Increase max_worker_processes/;
RhesisNotify::Peer::wait_until(sub { $node->log($offset) =~ $lack }, 'the launcher says that it lacks processes');
pass('a lack of processes is said, with the setting that is too low');

sub ticks_of_launcher
{
	my $launcher = $node->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'rhesis_notify launcher'});
	my @fields = split ' ', slurp_file("/proc/$launcher/stat") =~ s/^.*\)//sr;
	return $fields[11] + $fields[12];
}

# One of the two databases has a worker, and its mails are sent meanwhile.
my ($lucky) = split /\n/, $node->sql(q{SELECT database FROM rhesis_notify.worker_status WHERE state = 'idle'});
my $unlucky = $lucky eq 'second' ? 'postgres' : 'second';
my $ticks = ticks_of_launcher();
foreach (1 .. 3)
{
	$node->wait_for_state($node->report(database => $lucky), 'sent', $lucky);
}
my $waiting = $node->report(database => $unlucky);
is(scalar(() = $node->log($offset) =~ /no background worker process is free/g), 1, 'and said once');
$node->sql('DROP EXTENSION rhesis_notify', $lucky);
$node->wait_for_state($waiting, 'sent', $unlucky);
pass('the other database is served as soon as a process is free');
cmp_ok(ticks_of_launcher() - $ticks, '<', 20, 'the launcher did not spin');

$node->stop;
done_testing();
