# A database that cannot be connected to does not delay the mail of other databases. The log names
# it, without being flooded. When it can be connected to again, its mail is sent.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;
use Time::HiRes qw(time);

my $BAD = 6;
my $GOOD = 12;
my $PROCESSES = 7; # two launchers, one for each of the four databases that are served, and one that waits
my $SOON = 45; # seconds; what waits for the next round of the launcher, or for each bad database, takes longer
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, bare => 1, settings => { 'server.log_line_prefix' => '%m [%p] ' });

sub oid
{
	my ($database) = @_;
	return $node->sql("SELECT oid FROM pg_database WHERE datname = '$database'");
}

sub log_lines
{
	my ($pattern, $offset) = @_;
	return scalar(() = $node->log($offset) =~ /$pattern/g);
}

sub seconds_until
{
	my ($what) = @_;
	my $began = time;

	$what->();
	return time - $began;
}

# ---- Several kinds of damaged databases, older than the working ones ----

$node->sql("CREATE DATABASE bad_$_ TEMPLATE template0") foreach 1 .. $BAD;
$node->create_app('bad_1');
$node->wait_for_state($node->report(database => 'bad_1'), 'sent', 'bad_1');
my %directory = map { $_ => $node->data_dir . '/base/' . oid($_) } qw(bad_2 bad_3);
$node->stop;
$node->configure('server.max_worker_processes' => $PROCESSES, 'server.max_prepared_transactions' => 5);
rename($directory{bad_2}, "$directory{bad_2}.away") or die "could not rename: $!";
rename("$directory{bad_3}/pg_filenode.map", "$directory{bad_3}/away") or die "could not rename: $!";
append_to_file("$directory{bad_3}/pg_filenode.map", 'x' x 512);
$node->start;
$node->sql(q{UPDATE pg_database SET datcollate = 'xx_XX.missing', datctype = 'xx_XX.missing' WHERE datname IN ('bad_1', 'bad_4', 'bad_5', 'bad_6')});
$node->sql('ALTER DATABASE bad_6 CONNECTION LIMIT 0');
$node->sql("CREATE DATABASE good_$_ TEMPLATE template0") foreach 1 .. $GOOD;

my $offset = -s $node->logfile;
$node->restart;
$node->create_app('postgres');
my $elapsed = seconds_until(sub { $node->wait_for_state($node->report, 'sent') });
cmp_ok($elapsed, '<', $SOON, "with $BAD bad databases, the first mail of another one goes out at once");
$node->create_app('good_12');
$elapsed = seconds_until(sub { $node->wait_for_state($node->report(database => 'good_12'), 'sent', 'good_12') });
cmp_ok($elapsed, '<', $SOON, 'so does that of a second one');

foreach my $database (map { "bad_$_" } 1 .. 6)
{
	$node->wait_for_log(qr/CONTEXT:  start of a rhesis_notify worker in database "$database"/, $offset);
	pass("the log names $database");
	is(log_lines(qr/WARNING:  rhesis_notify cannot start a worker in database "$database"/, $offset), 1, "$database: one warning");
}
is($node->sql('SELECT string_agg(check_name, $$ $$) FROM rhesis_notify.health() WHERE NOT ok'), '', 'health() of another database is ok');
$node->wait_for(q{SELECT count(*) = 0 FROM rhesis_notify.worker_slots() WHERE database ~ 'bad'});
pass('none of them keeps a slot');
is(log_lines(qr/no background worker process is free/, $offset), 0, 'and none a process');

# The interval between attempts grows. In twelve seconds there are few attempts, although something
# changes all the time.
$offset = -s $node->logfile;
my $end = time + 12;
while (time < $end)
{
	$node->sql(q{ALTER DATABASE bad_4 CONNECTION LIMIT -1});
}
cmp_ok(log_lines(qr/FATAL: .*\n(?:.*DETAIL: .*\n)?(?:.*HINT: .*\n)?.*CONTEXT:  start of a rhesis_notify worker in database "bad_4"/, $offset), '<=', 6, 'a bad database is tried now and then');

# ---- A damaged database is repaired ----

$node->sql(q{UPDATE pg_database SET datcollate = 'C.UTF-8', datctype = 'C.UTF-8' WHERE datname = 'bad_1'});
$node->wait_for_state($node->report(database => 'bad_1'), 'sent', 'bad_1');
pass('when it can be connected to again its mail goes out');

# ---- A database that makes a process wait ----

$node->sql(q{BEGIN; ALTER DATABASE good_1 RENAME TO renamed; PREPARE TRANSACTION 'rename'});
# Autovacuum may wait for the same lock.
$node->wait_for(q{SELECT count(*) = 1 FROM pg_locks JOIN rhesis_notify.worker_slots() USING (pid) WHERE NOT granted AND classid = 'pg_database'::regclass});
$node->create_app('good_3');
$elapsed = seconds_until(sub { $node->wait_for_state($node->report(database => 'good_3'), 'sent', 'good_3') });
cmp_ok($elapsed, '<', $SOON, 'one that a process waits for delays no other mail');
$node->sql(q{ROLLBACK PREPARED 'rename'});
$node->wait_for(q{SELECT count(*) = 0 FROM rhesis_notify.worker_slots() WHERE database = 'good_1'});
pass('afterwards the process is gone');

foreach my $database (qw(bad_2 bad_4 bad_5 bad_6 good_1))
{
	my $error;
	$node->psql('postgres', "DROP DATABASE $database", stderr => \$error);
	unlike($error, qr/ERROR/, "$database can be dropped");
}
$node->stop;
done_testing();
