# The owner of the extension's objects is no longer a superuser. Mail is sent, and each function
# does what its comment says.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retry_delay => '1s', retry_max_delay => '1s', max_attempts => 100 });

$node->sql(
	q{
	DROP EXTENSION rhesis_notify;
	CREATE ROLE founder SUPERUSER;
	SET ROLE founder;
	CREATE EXTENSION rhesis_notify;
	RESET ROLE;
	ALTER ROLE founder NOSUPERUSER;
	CREATE ROLE operator;
	SELECT rhesis_notify.grant_to('operator', 'operator')});

sub called
{
	my ($call) = @_;
	return $node->sql("SET ROLE operator; SELECT rhesis_notify.$call");
}

$node->wait_for_state($node->report, 'sent');
pass('mail goes out');
is(called('pause()'), 't', 'pause()');
my $cancelled = $node->report;
is(called("cancel($cancelled)"), 't', 'cancel()');
is(called("retry($cancelled)"), 't', 'retry()');
is(called('resume()'), 't', 'resume()');
$node->wait_for_state($cancelled, 'sent');
is(called("retry_all(now() - interval '1 day', 'skipped')"), 0, 'retry_all()');
is(called('adopt_database(true)'), 0, 'adopt_database() of a database that is not a copy');
$node->sql('UPDATE rhesis_notify.database_identity SET token = gen_random_uuid()');
is(called('adopt_database(true)'), 0, 'and of a copy');
is($node->sql('SELECT count(*) FROM rhesis_notify.database_identity JOIN rhesis_notify.database_birth USING (token)'), 1, 'which is none any more');
is(called("purge('0')"), 2, 'purge()');
$node->wait_for_state($node->report, 'sent');
pass('and mail goes out');

# Row security that also applies to the owner hides the queue from the worker. The worker reports
# this. It mails nothing while it may not see all rows.
foreach my $table (qw(task_notifications delivery_events custom_task_types templates database_pause))
{
	$node->sql("ALTER TABLE rhesis_notify.$table ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
	my $waiting = $node->report;
	$node->wait_for("SELECT last_error ~ 'row-level security policy for table .$table' FROM rhesis_notify.worker_status");
	pass("$table: worker_status says what is hidden");
	$node->sql("ALTER TABLE rhesis_notify.$table NO FORCE ROW LEVEL SECURITY");
	$node->wait_for_state($waiting, 'sent');
	pass('and it is mailed when that is mended');
}

# In a session with session_replication_role = replica, purge() needs more rights than the owner
# has. The caller gets an error, and nothing changes.
my $count = $node->sql('SELECT count(*) FROM rhesis_notify.task_notifications');
my $message = $node->sql_error(q{SET session_replication_role = replica; SELECT rhesis_notify.purge('0')});
like($message, qr/permission denied to set parameter "session_replication_role"/, 'purge() in the session of a replica is refused');
is($node->sql('SELECT count(*) FROM rhesis_notify.task_notifications'), $count, 'and removes nothing');

done_testing();
