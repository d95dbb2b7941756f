# pg_stat_activity shows the processes and their activities, without cost per mail.
# documentation_activity.pl checks that doc/operate.md lists all of them.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use RhesisNotify::Session;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer,
	settings => { workers => 2, retry_delay => '1h', retry_max_delay => '1h', 'server.max_worker_processes' => 16 });
my $time = q{\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*\S+};

# Waits until a process shows a text that matches $pattern and waits for $event. Before PostgreSQL
# 17, the name of every event is Extension.
my $named = $node->sql('SHOW server_version_num') >= 170000;
sub shows
{
	my ($pattern, $event, $what) = @_;
	$event = 'Extension' unless $named;

	ok(eval { $node->wait_for("SELECT count(*) > 0 FROM pg_stat_activity WHERE query ~ '$pattern' AND wait_event = '$event'"); 1 },
		"pg_stat_activity shows $what, and the wait event $event")
	  or diag($node->sql(q{SELECT application_name, state, wait_event, query FROM pg_stat_activity}));
	return;
}

$node->wait_for(q{SELECT count(*) = 2 FROM rhesis_notify.worker_status WHERE state = 'idle'});
is($node->sql(q{SELECT string_agg(application_name, ', ' ORDER BY application_name) FROM pg_stat_activity WHERE backend_type ~ '^rhesis_notify'}),
	'rhesis_notify launcher, rhesis_notify worker 1, rhesis_notify worker 2', 'the processes have names');
shows('^looking after databases and their workers$', 'RhesisNotifyLauncher', 'the launcher');
shows('^waiting for tasks to report$', 'RhesisNotifyIdle', 'a worker that waits');
$node->sql(q{ALTER DATABASE postgres SET application_name = 'the app'});
$node->sql('SELECT pg_terminate_backend(pid) FROM rhesis_notify.worker_status');
$node->wait_for(q{SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name ~ '^rhesis_notify worker [12]$'});
pass('which the app does not change');

$peer->rules({ stage => 'rcpt', action => 'reply', text => '450 4.2.0 Mailbox busy', count => 1 });
my $id = $node->report;
$node->wait_for_state($id, 'deferred');
shows("^waiting until $time, when a mail is due\$", 'RhesisNotifyIdle', 'until when a worker waits');

$peer->rules({ stage => 'rcpt', action => 'silence' });
$node->report_many(5);
shows('^sending [1-5] mails? on [1-5] connections?$', 'RhesisNotifySending', 'how much is on the wire');
$peer->stop;
$peer->rules;
# These mails are due, so the worker tries the server again and again until it is back.
$node->report_many(5, task_name => 'app.tasks.waiting');
shows("^leaving localhost:\\d+ alone until $time\$", 'RhesisNotifyBackingOff', 'a server that is left alone, and until when');
$peer->start_again;
$node->wait_for(q{SELECT bool_and(backing_off_until IS NULL) FROM rhesis_notify.worker_status});
$node->sql(q{SELECT rhesis_notify.retry(id) FROM rhesis_notify.delivery_status WHERE state = 'deferred'});
$node->wait_for(q{SELECT count(*) = 11 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'});

$node->sql('SELECT rhesis_notify.pause()');
shows('^paused$', 'RhesisNotifyPaused', 'a pause');
$node->sql('SELECT rhesis_notify.resume()');
$node->sql('ALTER TABLE public."user" RENAME email TO mail');
$node->report;
shows("^waiting until $time to read recipients again\$", 'RhesisNotifyRecipients', 'recipients that can\'t be read');
$node->sql('ALTER TABLE public."user" RENAME mail TO email');
$node->wait_for(q{SELECT count(*) = 12 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'});

my $operator = RhesisNotify::Session->start($node);
$peer->rules({ stage => 'greeting', action => 'silence' });
$operator->begin('SELECT FROM rhesis_notify.check_smtp()');
shows('^SELECT FROM rhesis_notify.check_smtp\(\)', 'RhesisNotifySession', 'a session that speaks to the mail server');
$peer->hang_up;
$operator->result;
$peer->rules;

$node->sql('SELECT rhesis_notify.pause()');
$id = $node->report;
$node->lock_queue($operator);
shows("^waiting after an error until $time\$", 'RhesisNotifyTrouble', 'a statement that failed, and until when it is not tried again');
$operator->query('COMMIT');
$operator->quit;
$node->wait_for_state($id, 'sent');

# The server has the mail and does not reply, so new settings have to wait.
$peer->rules({ stage => 'accepted', action => 'silence', count => 1 });
my $mails = $peer->mail_count;
$node->report;
RhesisNotify::Peer::wait_until(sub { $peer->mail_count > $mails }, 'the mail is accepted');
$node->configure(max_attempts => 5);
$node->reload;
shows('^stopping$', 'RhesisNotifyStopping', 'a worker that is about to leave');
$peer->hang_up;

$node->reconfigure(smtp_host => '');
shows('^mail off$', 'RhesisNotifyMailOff', 'settings that are missing');

is($node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^rhesis_notify' AND query ~ '@'}), 0, 'no address is shown');

$node->stop;
done_testing();
