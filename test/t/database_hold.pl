# A database can be dropped, copied, renamed and moved while its worker sends. A user without that
# right does not stop the mail.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use RhesisNotify::Session;
use Test::More;

my $peer = RhesisNotify::Peer->start(accept_delay => 5);
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { 'server.allow_in_place_tablespaces' => 'on' });
my $batches = 0;

# Returns the part of a query from FROM on, for the running workers of the database.
sub workers_of
{
	my ($database) = @_;
	return "FROM rhesis_notify.worker_status WHERE database = '$database' AND state NOT IN ('starting', 'stopped', 'stopping')";
}

sub worker_pid
{
	my ($database) = @_;
	return $node->sql('SELECT pid ' . workers_of($database));
}

sub report_batch
{
	my ($database) = @_;
	return $node->sql(
		RhesisNotify::Cluster::insert_of(task_id => 'TASK') =~
		  s/VALUES \((.*)\)/SELECT $1 FROM generate_series(1, 1000) AS n/sr =~
		  s/E'TASK'/'batch @{[ ++$batches ]} task ' || n/r, $database);
}

sub is_sending
{
	my ($database) = @_;
	return $node->sql("SELECT count(*) FROM rhesis_notify.worker_status WHERE database = '$database' AND in_flight > 0");
}

sub has_work
{
	my ($database) = @_;
	return $node->sql("SELECT count(*) FROM rhesis_notify.task_notifications WHERE delivery_status = 'pending'", $database);
}

# Gives the worker of the database mails to send. Returns while the worker is sending.
sub load
{
	my ($database) = @_;
	$node->wait_for('SELECT count(*) = 1 ' . workers_of($database));
	report_batch($database);
	$node->wait_for("SELECT count(*) > 0 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'", $database);
	RhesisNotify::Peer::wait_until(
		sub {
			return 1 if is_sending($database);
			# The worker may have sent all mails before the check.
			report_batch($database) unless has_work($database);
			return 0;
		},
		"$database sends");
	return;
}

sub make_database
{
	my ($name, %options) = @_;
	$node->sql("CREATE DATABASE $name" . ($options{owner} ? " OWNER $options{owner}" : ''));
	$node->create_app($name);
	load($name);
	return;
}

# Runs a statement in a new session, as a user. Returns the error message of psql.
sub complaint
{
	my ($statement, $user) = @_;
	my $error;
	$node->psql('postgres', $statement, stderr => \$error, $user ? (extra_params => [ '-U', $user ]) : ());
	return $error;
}

$node->sql(q{
	CREATE ROLE app_owner LOGIN CREATEDB;
	CREATE ROLE half_owner LOGIN;
	CREATE ROLE stranger LOGIN CREATEDB;
	CREATE ROLE powerless LOGIN;
});
$node->sql("CREATE TABLESPACE elsewhere LOCATION ''");

# ---- DROP DATABASE ----

make_database('app');
is(complaint('DROP DATABASE app'), '', 'DROP DATABASE under load');
make_database('app');
is(complaint('DROP DATABASE app WITH (FORCE)'), '', 'DROP DATABASE ... WITH (FORCE) under load');
make_database('app', owner => 'app_owner');
is(complaint('DROP DATABASE app', 'app_owner'), '', 'by its owner, who is no superuser');
make_database('app', owner => 'app_owner');
is(complaint('DROP DATABASE app WITH (FORCE)', 'app_owner'), '', 'by its owner with FORCE');
make_database('app');
$node->sql(q{ALTER TABLE public."user" RENAME TO person;
	CREATE VIEW public."user" AS SELECT person.* FROM public.person, (SELECT pg_sleep(60) OFFSET 0) AS pause}, 'app');
report_batch('app');
$node->wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND wait_event = 'PgSleep'});
is(complaint('DROP DATABASE app'), '', 'while the worker is in the middle of a long look-up');
$node->wait_for(q{SELECT count(*) = 0 FROM rhesis_notify.worker_status WHERE database = 'app' OR database IS NULL});
pass('no slot is left behind');

# Another session is connected, so DROP DATABASE fails, and mail continues.
make_database('app', owner => 'app_owner');
my $guest = RhesisNotify::Session->start($node, database => 'app');
$guest->query('SELECT 1');
like(complaint('DROP DATABASE app'), qr/database "app" is being accessed by other users/, 'it fails while somebody is connected');
load('app');
pass('and mail goes on afterwards');
$guest->quit;

# DROP DATABASE is not allowed in a transaction. The statement fails after the workers have been
# held.
like(complaint('BEGIN; DROP DATABASE app'), qr/cannot run inside a transaction block/, 'it fails in a transaction');
load('app');
pass('and mail goes on afterwards');

# DROP DATABASE waits 5 s for other sessions. It is cancelled while it waits.
$guest = RhesisNotify::Session->start($node, database => 'app');
$guest->query('SELECT 1');
my $dropper = RhesisNotify::Session->start($node);
my $dropper_pid = $dropper->query('SELECT pg_backend_pid()');
$dropper->begin('DROP DATABASE app');
$node->wait_for('SELECT count(*) = 0 ' . workers_of('app'));
$node->sql("SELECT pg_terminate_backend($dropper_pid)");
load('app');
pass('a dropper that was terminated holds nothing any more');
$guest->quit;

# ---- Users without the right ----

$node->wait_for('SELECT count(*) = 1 ' . workers_of('app'));
make_database('half', owner => 'half_owner');
my %pids = map { $_ => worker_pid($_) } qw(app half);
foreach my $user (qw(stranger powerless))
{
	foreach my $statement (
		'DROP DATABASE app',
		'DROP DATABASE app WITH (FORCE)',
		'ALTER DATABASE app RENAME TO stolen',
		'ALTER DATABASE app SET TABLESPACE elsewhere',
		'CREATE DATABASE copy TEMPLATE app')
	{
		like(complaint($statement, $user), qr/must be owner of database|permission denied/, "$user may not $statement");
	}
}

# The owner lacks a part of the rights that these statements need.
foreach my $statement (
	'ALTER DATABASE half RENAME TO stolen',
	'ALTER DATABASE half SET TABLESPACE elsewhere',
	'CREATE DATABASE copy TEMPLATE half')
{
	like(complaint($statement, 'half_owner'), qr/permission denied/, "an owner without CREATEDB or tablespace may not $statement");
}
like(complaint('DROP DATABASE missing'), qr/does not exist/, 'a database that does not exist is nobody\'s');
foreach my $database (sort keys %pids)
{
	load($database);
	is(worker_pid($database), $pids{$database}, "all that while the worker of $database was left alone");
}

# ---- CREATE DATABASE ... TEMPLATE, RENAME, SET TABLESPACE ----

foreach my $strategy ('', ' STRATEGY file_copy')
{
	load('app');
	is(complaint("CREATE DATABASE copy TEMPLATE app$strategy"), '', "CREATE DATABASE ... TEMPLATE app$strategy under load");
	load('app');
	is(complaint('DROP DATABASE copy'), '', 'the copy can be dropped');
}
load('app');
is(complaint('ALTER DATABASE app RENAME TO app_renamed', 'app_owner'), '', 'RENAME under load');
load('app_renamed');
pass('it is served under its new name');
is(complaint('ALTER DATABASE app_renamed SET TABLESPACE elsewhere'), '', 'SET TABLESPACE under load');
load('app_renamed');
is(complaint('ALTER DATABASE app_renamed SET TABLESPACE pg_default'), '', 'and back');
load('app_renamed');

# While a transaction that renames a database is open, only the mail of that database waits.
my $renamer = RhesisNotify::Session->start($node);
$renamer->query('BEGIN');
is(($renamer->query('ALTER DATABASE app_renamed RENAME TO app'))[1], '', 'a transaction renames a database');
is($node->sql('SELECT count(*) ' . workers_of('app_renamed')), 0, 'it has no worker meanwhile');
my $before = $peer->mail_count;
$node->report;
$peer->wait_for_mails($before + 1);
pass('another database\'s mail goes on');
$node->sql('CREATE DATABASE newcomer');
$node->create_app('newcomer');
$node->wait_for('SELECT count(*) = 1 ' . workers_of('newcomer'));
pass('so does the search for databases');
$renamer->query('ROLLBACK');
load('app_renamed');
pass('rolled back, its mail goes on');
$renamer->query('BEGIN');
$renamer->query('ALTER DATABASE app_renamed RENAME TO app');
$renamer->query('COMMIT');
load('app');
pass('committed, too');
$renamer->quit;

# ---- While the mail server hangs ----

$peer->rules({ stage => 'dot', action => 'silence' });
report_batch('app');
$node->wait_for(q{SELECT in_flight > 0 FROM rhesis_notify.worker_status WHERE database = 'app'});
is(complaint('DROP DATABASE newcomer'), '', 'another database can be dropped while the mail server hangs');
is(complaint('ALTER DATABASE app RENAME TO app_renamed'), '', 'the same one can be renamed');
$peer->rules;
is( $node->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications
		WHERE delivery_status NOT IN ('sent', 'pending', 'sending', 'deferred')}, 'app_renamed'),
	0, 'nothing is lost in it');
is(complaint('DROP DATABASE app_renamed', 'app_owner'), '', 'and dropped');

$node->stop;
done_testing();
