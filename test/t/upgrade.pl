# pg_dump with pg_restore, and pg_upgrade, move a database with everything that users write and a
# queue in every state to another server. There mail continues: rows that were being sent are due,
# each mail keeps its Message-ID, and finished rows stay as they are.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster qw($ACME $JANE);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $old = RhesisNotify::Cluster->serve('old', peer => $peer, settings => { 'server.max_worker_processes' => 16 });
my $states = q{SELECT task_id, delivery_status, delivery_reason, attempts, message_id, smtp_reply, finished_at
	FROM rhesis_notify.task_notifications WHERE task_id !~ 'sending' ORDER BY task_id};

# ---- A database with everything that users write ----

$peer->rules({ stage => 'rcpt', action => 'reply', text => '451 4.3.0 Try again later', count => 1 });
my $tried = $old->wait_for_state($old->report(task_id => 'was tried'), 'deferred');
$old->sql('SELECT rhesis_notify.pause()');
$old->wait_for(q{SELECT state = 'paused' FROM rhesis_notify.worker_status});
$old->sql('CREATE ROLE app');
$old->customise;

# Checks the other database or server: it has the same queue, and after resume() the queue is
# processed.
sub goes_on
{
	my ($node, $database, $how, $before, $is_a_copy) = @_;
	my $mails = $peer->mail_count;

	if ($is_a_copy)
	{
		$node->wait_for("SELECT state = 'a copy' FROM rhesis_notify.worker_status WHERE database = current_database()", $database);
		is($node->sql('SELECT rhesis_notify.adopt_database(true)', $database), 4, "$how: the copy is adopted");
	}
	$node->wait_for("SELECT state = 'paused' FROM rhesis_notify.worker_status WHERE database = current_database()", $database);

	is($node->sql($states, $database), $before, "$how: the queue is the same");
	is($node->sql('SELECT count(*) FROM rhesis_notify.database_pause', $database), 1, "$how: it is paused");

	# A worker that started before the rows arrived looks for orphans once a minute.
	$node->sql("SELECT pg_terminate_backend(pid) FROM rhesis_notify.worker_status WHERE database = '$database'");
	$node->wait_for("SELECT delivery_status = 'pending' FROM rhesis_notify.task_notifications WHERE task_id = 'sending'", $database);
	is($node->sql(q{SELECT event FROM rhesis_notify.delivery_events JOIN rhesis_notify.task_notifications AS n ON n.id = notification_id
			WHERE task_id = 'sending'}, $database), 'in_doubt', "$how: what was being sent is due, and an event says so");
	is($peer->mail_count, $mails, "$how: nothing is mailed as long as it is paused");

	$node->sql(q{UPDATE rhesis_notify.task_notifications SET next_attempt_at = now() WHERE task_id = 'was tried'}, $database);
	$node->sql('SELECT rhesis_notify.resume()', $database);
	$node->wait_for(q{SELECT count(*) = 4 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'}, $database);
	$peer->wait_for_mails($mails + 3);
	my @new = ($peer->mails)[ $mails .. $peer->mail_count - 1 ];
	is(scalar(@new), 3, "$how: what was pending, being sent and due again is mailed");
	is_deeply([ sort map { $_->header('Subject') } @new ], [ 'Custom: Success', 'Export: success', 'Export: success' ], "$how: as it was customised");
	is(scalar(grep { $_->raw_header('Message-ID') eq $tried->{message_id} } @new), 1, "$how: a mail that was tried before keeps its Message-ID");
	is($node->sql(q{SELECT string_agg(task_id, ' ' ORDER BY task_id) FROM rhesis_notify.task_notifications WHERE delivery_status::text = task_id}, $database),
		'cancelled deferred failed held sent skipped', "$how: nothing else has changed");
	is($node->sql(q{SELECT silent FROM rhesis_notify.task_types WHERE task_name = 'collect_results'}, $database), 't', "$how: what was silenced is");
	$node->wait_for_state($node->sql(qq{SET ROLE app; SELECT rhesis_notify.task_completed('new one', 'app.export', 'success', '$JANE', '$ACME')}, $database),
		'sent', $database);
	pass("$how: a task can report, and is mailed");
	return;
}

# ---- pg_dump | pg_restore ----

my $queue = $old->sql($states);
my $dump = $old->backup_dir . '.dump';
command_checks_all([ 'pg_dump', '--format=custom', '--file', $dump, $old->connstr('postgres') ], 0, [qr/^$/], [qr/^$/], 'pg_dump has nothing to complain of');
$old->sql('CREATE DATABASE copy');
command_ok([ 'pg_restore', '--exit-on-error', '--dbname', $old->connstr('copy'), $dump ], 'pg_restore neither');
goes_on($old, 'copy', 'restored', $queue, 1);
$old->sql('DROP DATABASE copy');

# ---- pg_upgrade ----

my $new = RhesisNotify::Cluster->new('new');
$new->init(extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'rhesis_notify'\nlog_statement = none\n");
$new->configure(RhesisNotify::Cluster::peer_settings($peer), from_email => 'Rhesis AI <noreply@renamed.example>', 'server.max_worker_processes' => 16);
$queue = $old->sql($states);
$old->stop;
my $bindir = $old->config_data('--bindir');
my $mails = $peer->mail_count;
chdir $PostgreSQL::Test::Utils::tmp_check or die "could not change the directory: $!";
foreach my $mode ([ '--check' ], [])
{
	command_ok(
		[ 'pg_upgrade', '--no-sync', '--old-datadir', $old->data_dir, '--new-datadir', $new->data_dir, '--old-bindir', $bindir, '--new-bindir', $bindir,
			'--socketdir', $new->host, '--old-port', $old->port, '--new-port', $new->port, @$mode ],
		"pg_upgrade @$mode goes through");
}
is($peer->mail_count, $mails, 'nothing is mailed by an upgrade');
$new->start;
goes_on($new, 'postgres', 'upgraded', $queue, 0);
is($new->sql(q{SELECT system_identifier = (pg_control_system()).system_identifier FROM rhesis_notify.database_identity}), 't',
	'the upgraded database is itself, and knows its new server');

$new->stop;
done_testing();
