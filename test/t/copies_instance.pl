# These are copies: a database from CREATE DATABASE ... TEMPLATE, and a copied data directory whose
# environment has another name. These are not: a database after a failover, a rename or a move to
# another tablespace. A database from an empty template adopts itself.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster qw($JANE $ACME);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, allows_streaming => 1,
	settings => { 'server.max_worker_processes' => 24, 'server.wal_log_hints' => 'on' });
my $tables = 'rhesis_notify.task_notifications';
my $states = "SELECT string_agg(task_id || ' ' || delivery_status, ', ' ORDER BY id) FROM $tables";
my $is = q{SELECT state = '%s' FROM rhesis_notify.worker_status WHERE database = current_database()};

sub wait_for_worker
{
	my ($server, $state, $database) = @_;
	$server->wait_for(sprintf($is, $state), $database);
	return;
}

# Checks that the database is no copy: it mails what is reported there.
sub is_itself
{
	my ($server, $database, $how) = @_;

	$server->wait_for_state($server->report(database => $database), 'sent', $database);
	is($server->sql('SELECT rhesis_notify.copy_sign() IS NULL', $database), 't', "$how: it is itself");
	return;
}

# ---- CREATE DATABASE ... TEMPLATE ----

$node->sql('CREATE DATABASE unused');
$node->create_app('unused');
$node->sql('CREATE DATABASE used');
$node->create_app('used');
$node->wait_for_state($node->report(database => 'used', task_id => 'done'), 'sent', 'used');
$node->sql('SELECT rhesis_notify.pause()', 'used');
$node->report(database => 'used', task_id => 'waiting');
$node->sql('CREATE DATABASE emptied');
$node->create_app('emptied');
$node->wait_for_state($node->report(database => 'emptied'), 'sent', 'emptied');
$node->sql('SELECT rhesis_notify.purge($$0$$)', 'emptied');

foreach my $strategy ('file_copy', 'wal_log')
{
	my $how = "STRATEGY $strategy";

	$node->sql("CREATE DATABASE copy TEMPLATE unused STRATEGY $strategy");
	is_itself($node, 'copy', "$how, an unused template");
	is($node->sql('SELECT token FROM rhesis_notify.database_birth', 'copy') ne $node->sql('SELECT token FROM rhesis_notify.database_birth', 'unused'), 1,
		"$how, an unused template: it has a token of its own");
	$node->sql('DROP DATABASE copy WITH (FORCE)');

	# A task may report before a worker has examined the new database.
	my $launcher = $node->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'rhesis_notify launcher'});
	kill 'STOP', $launcher;
	$node->sql("CREATE DATABASE copy TEMPLATE unused STRATEGY $strategy");
	my $early = $node->report(database => 'copy');
	kill 'CONT', $launcher;
	$node->wait_for_state($early, 'sent', 'copy');
	is_itself($node, 'copy', "$how, an unused template, and a task that was faster than the worker");
	$node->sql('DROP DATABASE copy WITH (FORCE)');

	my $mails = $peer->mail_count;
	$node->sql("CREATE DATABASE copy TEMPLATE used STRATEGY $strategy");
	wait_for_worker($node, 'a copy', 'copy');
	is($node->sql($states, 'copy'), 'done sent, waiting pending', "$how, a used template: it is a copy, and nothing is decided");
	$node->sql('SELECT rhesis_notify.resume()', 'copy');
	wait_for_worker($node, 'a copy', 'copy');
	is($peer->mail_count, $mails, "$how, a used template: resume() does not make it mail");
	is($node->sql('SELECT rhesis_notify.adopt_database(false)', 'copy'), 1, "$how, a used template: it is adopted");
	is_itself($node, 'copy', "$how, a used template that was adopted");
	is($node->sql($states, 'copy') =~ /^done sent, waiting cancelled, / ? 1 : 0, 1, "$how, a used template: what waited was cancelled");
	$node->sql('DROP DATABASE copy WITH (FORCE)');

	$node->sql("CREATE DATABASE copy TEMPLATE emptied STRATEGY $strategy");
	wait_for_worker($node, 'a copy', 'copy');
	$node->report(database => 'copy');
	wait_for_worker($node, 'a copy', 'copy');
	pass("$how, a template that was used and purged: a copy");
	$node->sql('DROP DATABASE copy WITH (FORCE)');
}

# ---- Not a copy ----

$node->sql('ALTER DATABASE unused RENAME TO renamed');
is_itself($node, 'renamed', 'RENAME');
my $tablespace = PostgreSQL::Test::Utils::tempdir();
$node->sql("CREATE TABLESPACE elsewhere LOCATION '$tablespace'");
$node->sql('ALTER DATABASE renamed SET TABLESPACE elsewhere');
is_itself($node, 'renamed', 'SET TABLESPACE');
$node->sql('ALTER DATABASE renamed SET TABLESPACE pg_default');
$node->sql('DROP TABLESPACE elsewhere');
is_itself($node, 'renamed', 'SET TABLESPACE, and back');
$node->sql('DROP EXTENSION rhesis_notify', 'renamed');
$node->sql('CREATE EXTENSION rhesis_notify', 'renamed');
is_itself($node, 'renamed', 'DROP and CREATE EXTENSION');
$node->sql('SET session_replication_role = replica; DROP EXTENSION rhesis_notify; CREATE EXTENSION rhesis_notify', 'renamed');
is_itself($node, 'renamed', 'CREATE EXTENSION in a session of replication');
is($node->sql('SELECT count(*) > 2 FROM rhesis_notify.shipped_templates', 'renamed'), 't', 'and what ships is there');
$node->sql('CREATE DATABASE updated');
$node->create_app('updated', '1.0');
$node->sql('SELECT rhesis_notify.pause()', 'updated');
my $older = $node->report(database => 'updated');
$node->sql("UPDATE $tables SET created_at = created_at - interval '1 hour'", 'updated');
$node->sql('ALTER EXTENSION rhesis_notify UPDATE', 'updated');
$node->sql('SELECT rhesis_notify.resume()', 'updated');
$node->wait_for_state($older, 'sent', 'updated');
is_itself($node, 'updated', 'an update from 1.0');

# ---- The name of the environment ----

is($node->sql('SHOW rhesis_notify.instance'), '', 'a server has no name at first');
like($node->sql_error('SET rhesis_notify.instance = $$x$$'), qr/cannot be changed without restarting the server/, 'a session can\'t set it');
like($node->sql_error('ALTER SYSTEM SET rhesis_notify.instance = $$x$$'), qr/invalid value for parameter.*\nDETAIL:  A copy of the data directory would contain.*\nHINT:  .*RHESIS_NOTIFY_INSTANCE/,
	'ALTER SYSTEM refuses it');
like($node->sql_error('ALTER DATABASE postgres SET rhesis_notify.instance = $$x$$'), qr/cannot be changed without restarting/, 'so does ALTER DATABASE');
my $log_offset = -s $node->logfile;
$node->configure(instance => 'from a file');
$node->restart;
is($node->sql('SHOW rhesis_notify.instance'), '', 'a configuration file does not count');
like($node->log($log_offset), qr/invalid value for parameter "rhesis_notify\.instance"/, 'and the log says so');
is_itself($node, 'postgres', 'a name in a file');
open(my $conf, '<', $node->data_dir . '/postgresql.conf') or die "could not read: $!";
my @lines = grep { !/rhesis_notify\.instance/ } <$conf>;
close $conf;
open($conf, '>', $node->data_dir . '/postgresql.conf') or die "could not write: $!";
print {$conf} @lines;
close $conf;

# The test makes a backup of this server below, with a row that waits.
$node->sql('SELECT rhesis_notify.pause()');
my $waiting = $node->report(task_id => 'waiting');
$node->sql("UPDATE rhesis_notify.database_pause SET paused_by = paused_by");
$node->backup('base');
$node->sql('SELECT rhesis_notify.resume()');
$node->wait_for_state($waiting, 'sent');

# The name changes from none to a name, to another name, and back to none.
foreach my $name ('production', 'staging', '')
{
	my $mails = $peer->mail_count;
	my $how = "the name '$name'";

	$node->{rhesis_environment} = { RHESIS_NOTIFY_INSTANCE => $name };
	$node->restart;
	is($node->sql('SHOW rhesis_notify.instance'), $name, "$how is read from the environment");
	my $id = $node->report;
	wait_for_worker($node, 'a copy', 'postgres');
	like($node->sql('SELECT rhesis_notify.copy_sign()'), qr/rhesis_notify\.instance is not the one/, "$how makes the database a copy");
	$node->sql("SELECT pg_terminate_backend(pid) FROM rhesis_notify.worker_status WHERE database = 'postgres'");
	wait_for_worker($node, 'a copy', 'postgres');
	is($node->notification($id)->{delivery_status}, 'pending', "$how: what is reported waits");
	is($node->sql('SELECT rhesis_notify.adopt_database(true)'), 1, "$how: it is adopted");
	$node->wait_for_state($id, 'sent');
	is($peer->mail_count, $mails + 1, "$how: then it is mailed, once");
	$node->restart;
	is_itself($node, 'postgres', "$how, after another restart");
}

# A name that is not valid is ignored.
$log_offset = -s $node->logfile;
$node->{rhesis_environment} = { RHESIS_NOTIFY_INSTANCE => 'two words' };
$node->restart;
is($node->sql('SHOW rhesis_notify.instance'), '', 'a name that is none is ignored');
like($node->log($log_offset), qr/WARNING:  ignoring environment variable RHESIS_NOTIFY_INSTANCE: invalid value/, 'and a warning says so');
$node->{rhesis_environment} = {};
$node->restart;

# ---- A copied data directory ----

my $copy = RhesisNotify::Cluster->new('copy');
$copy->init_from_backup($node, 'base');
$copy->{rhesis_environment} = { RHESIS_NOTIFY_INSTANCE => 'staging' };
my $mails = $peer->mail_count;
$copy->start;
wait_for_worker($copy, 'a copy', 'postgres');
$copy->sql('SELECT rhesis_notify.resume()');
wait_for_worker($copy, 'a copy', 'postgres');
is($copy->notification($waiting)->{delivery_status}, 'pending', 'a copied data directory under another name decides nothing');
is($peer->mail_count, $mails, 'and mails nothing');
is($copy->sql('SELECT rhesis_notify.adopt_database(false)'), 1, 'it is adopted');
is_itself($copy, 'postgres', 'the adopted copy');
is($copy->notification($waiting)->{delivery_reason}, 'copied', 'what waited is cancelled');
is(scalar(() = $copy->log =~ /WARNING:  rhesis_notify mails nothing in database "postgres": it is a copy/g), 1, 'its log has said so once');
$copy->stop;

# ---- A standby ----

my $standby = RhesisNotify::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->{rhesis_environment} = { RHESIS_NOTIFY_INSTANCE => 'elsewhere' };
$standby->start;
$node->wait_for_catchup($standby);
my $check = q{SELECT concat_ws(' | ', ok, value, advice) FROM rhesis_notify.health() WHERE check_name = '%s'};
like($standby->sql(sprintf $check, 'standby'), qr/^f \| its rhesis_notify\.instance is "elsewhere", the primary's "" \| .*RHESIS_NOTIFY_INSTANCE/, 'a standby with another name is warned of');
like($standby->sql(sprintf $check, 'copy'), qr/^t/, 'it is no copy yet');
like($node->sql(sprintf $check, 'standby'), qr/^t \| this is no standby$/, 'a primary is not warned');
$standby->{rhesis_environment} = {};
$standby->restart;
like($standby->sql(sprintf $check, 'standby'), qr/^t \| its rhesis_notify\.instance is the primary's$/, 'nor is a standby of the same name');
$node->wait_for_catchup($standby);
$node->stop('immediate');
$standby->promote;
is_itself($standby, 'postgres', 'a promoted standby');
$standby->stop;

done_testing();
