# A database from which others are copied can have the extension, whether it is marked as a template
# or not. CREATE DATABASE works each time, whatever the worker is doing, and mail continues
# afterwards.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use RhesisNotify::Session;
use Test::More;

my $COPIES = 20;
my $AT_ONCE = 10;
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { 'server.max_worker_processes' => 32 });

# Returns the error message of psql.
sub complaint
{
	my ($statement, $user) = @_;
	my $error;

	$node->psql('postgres', $statement, stderr => \$error, $user ? (extra_params => [ '-U', $user ]) : ());
	return $error;
}

sub workers_of
{
	my ($database) = @_;
	return $node->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND datname = '$database'");
}

sub wait_until_served
{
	my ($database) = @_;
	$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE database = '$database' AND state = 'idle'");
	return;
}

# Makes copies one after the other. They meet the worker in each state: working, gone, starting,
# connecting.
sub copies_one_after_the_other
{
	my ($what, $template) = @_;
	my $complaints = '';

	foreach my $copy (1 .. $COPIES)
	{
		$complaints .= complaint("CREATE DATABASE copy$copy$template");
		$node->sql('SELECT pg_sleep(0.05)') if $copy % 2;
	}
	is($complaints, '', "$what: $COPIES copies one after the other");
	$complaints = '';
	$complaints .= complaint("DROP DATABASE IF EXISTS copy$_") foreach 1 .. $COPIES;
	unlike($complaints, qr/ERROR/, "$what: the copies can be dropped");
	return;
}

sub copies_at_once
{
	my ($what, $template) = @_;
	my @sessions = map { RhesisNotify::Session->start($node) } 1 .. $AT_ONCE;
	my $complaints = '';

	$sessions[$_]->begin("CREATE DATABASE copy$_$template") foreach 0 .. $#sessions;
	foreach my $session (@sessions)
	{
		my ($out, $error) = $session->result;
		$complaints .= $error;
		$session->quit;
	}
	is($complaints, '', "$what: $AT_ONCE copies at once");
	complaint("DROP DATABASE copy$_") foreach 0 .. $#sessions;
	return;
}

# ---- template1, the default template ----

$node->create_app('template1');
is(workers_of('template1'), 0, 'a template has no worker');
is(complaint('CREATE DATABASE copy'), '', 'it can be copied');
wait_until_served('copy');
pass('the copy is served');
complaint('DROP DATABASE copy');

$node->sql('ALTER DATABASE template1 IS_TEMPLATE false');
wait_until_served('template1');
pass('without its mark template1 has a worker');
copies_one_after_the_other('template1', '');
copies_at_once('template1', '');
wait_until_served('template1');
$node->wait_for_state($node->report(database => 'template1'), 'sent', 'template1');
pass('the mail of template1 goes on');

# ---- A database becomes a template while the mail server hangs ----

$node->sql('ALTER DATABASE template1 IS_TEMPLATE true');
$node->wait_for("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND datname = 'template1'");
$node->sql('CREATE ROLE creator LOGIN CREATEDB');
$node->sql('CREATE DATABASE pattern TEMPLATE template0');
$node->create_app('pattern');
wait_until_served('pattern');
like(complaint('CREATE DATABASE copy TEMPLATE pattern', 'creator'), qr/permission denied/, 'what is no template can be copied by its owner alone');
$peer->rules({ stage => 'dot', action => 'silence' });
$node->wait_for_state($node->report(database => 'pattern'), 'sending', 'pattern');
$node->sql(q{UPDATE pg_database SET datistemplate = true WHERE datname = 'pattern'});
is(complaint('CREATE DATABASE copy TEMPLATE pattern', 'creator'), '', 'a template can be copied by others, while its last worker waits for the mail server');
$peer->rules;
complaint('DROP DATABASE copy', 'creator');
$node->wait_for("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND datname = 'pattern'");
pass('and it is served no more');

$node->stop;
done_testing();
