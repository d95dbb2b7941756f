# A standby sends nothing, a promoted one starts to send, and a demoted one stops. A pause stays
# throughout.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $primary = RhesisNotify::Cluster->serve('primary', peer => $peer, allows_streaming => 1,
	settings => { 'server.wal_log_hints' => 'on', 'server.wal_keep_size' => '256MB' });
my $ours = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'rhesis_notify'};
my $due = q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE delivery_status IN ('pending', 'deferred', 'sending')};

sub follow
{
	my ($follower, $leader) = @_;
	my $leader_is_at = $leader->lsn('write');

	$follower->wait_for("SELECT pg_last_wal_replay_lsn() >= '$leader_is_at'");
	return;
}

$primary->backup('base');
my $standby = RhesisNotify::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# ---- A standby ----

$primary->wait_for_state($primary->report, 'sent');
is($primary->sql('SELECT rhesis_notify.pause()'), 't', 'the primary\'s mail is paused');
$primary->report_many(20, task_name => 'app.waiting');
follow($standby, $primary);
is($standby->sql($due), 20, 'the standby has rows that are due');
is($standby->sql($ours), 0, 'and no process that could mail them');
is($standby->sql('SELECT count(*) FROM rhesis_notify.worker_status'), 0, 'worker_status says so');

# The queue cannot be repaired here. The advice names the place where it can.
$primary->sql(q{UPDATE rhesis_notify.task_notifications SET next_attempt_at = now() - interval '6 minutes' WHERE delivery_status = 'pending'});
$primary->sql(q{WITH held AS (INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status)
	VALUES ('held', 'app.held', 'success', 'held') RETURNING id)
	INSERT INTO rhesis_notify.delivery_events (notification_id, event) SELECT id, 'in_doubt' FROM held});
$primary->sql(q{INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, delivery_status, finished_at)
	VALUES ('failed', 'app.failed', 'success', 'failed', now())});
follow($standby, $primary);
my $ailing = q{SELECT string_agg(check_name, ', ') FROM rhesis_notify.health() WHERE NOT ok};
is($_->sql($ailing), 'pause, oldest due, in doubt, failed', $_->name . ': health() says what is wrong') foreach $primary, $standby;
is($standby->sql(q{SELECT DISTINCT advice FROM rhesis_notify.health() WHERE NOT ok}),
	'This is a standby: mail is sent by the primary. Ask health() there, and do there what it says.', 'and on the standby, that the primary has to be asked');
is($primary->sql(q{SELECT count(DISTINCT advice) FROM rhesis_notify.health() WHERE NOT ok}), 4, 'which says for each what to do');
is($standby->sql(q{SELECT value FROM rhesis_notify.health() WHERE check_name = 'autovacuum'}), 'a standby needs none of its own', 'nor does a standby vacuum');
like($standby->sql_error('SELECT rhesis_notify.resume()'), qr/read-only transaction/, 'an operator is told that it is a standby');

# A pause stays after a restart.
$primary->restart;
$primary->wait_for(q{SELECT state = 'paused' AND paused FROM rhesis_notify.worker_status});
is($primary->sql($due), 20, 'after a restart the primary is still paused');

# ---- After the promotion ----

follow($standby, $primary);
$primary->stop('immediate');
my $before = $peer->mail_count;
$standby->promote;
$standby->wait_for(q{SELECT state = 'paused' AND paused FROM rhesis_notify.worker_status});
is($standby->sql($due), 20, 'the promoted standby is paused as its primary was');
is($standby->sql('SELECT rhesis_notify.resume()'), 't', 'mail is resumed');
$standby->wait_for("SELECT ($due) = 0");
is($peer->mail_count, $before + 20, 'each mail went out once');
$standby->wait_for_state($standby->report, 'sent');
pass('and new ones do');

# ---- After pg_rewind as a standby ----

# The old primary sent a mail that the new one does not know.
$primary->start;
$primary->sql('SELECT rhesis_notify.resume()');
$primary->wait_for_state($primary->report, 'sent');
$primary->stop('fast');
# Up to version 15, pg_rewind reads the new timeline from the control file, which a checkpoint
# writes.
$standby->sql('CHECKPOINT');
command_ok(
	[ 'pg_rewind', '--target-pgdata', $primary->data_dir, '--source-server', $standby->connstr('postgres'), '--no-sync' ],
	'pg_rewind turns the old primary into a standby');
$primary->append_conf('postgresql.conf', 'port = ' . $primary->port);
$primary->enable_streaming($standby);
$primary->set_standby_mode;
$primary->start;
$standby->report_many(20, task_name => 'app.after the failover');
$standby->wait_for("SELECT ($due) = 0");
$before = $peer->mail_count;
follow($primary, $standby);
is($primary->sql($ours), 0, 'the demoted server is quiet');
is($primary->sql(q{SELECT count(*) FROM rhesis_notify.task_notifications WHERE task_name ~ '^app.after' AND delivery_status = 'sent'}),
	20, 'it has what the new primary has');
is($peer->mail_count, $before, 'and mails none of it again');

$primary->stop;
$standby->stop;
done_testing();
