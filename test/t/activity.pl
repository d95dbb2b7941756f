# pg_stat_activity tells the processes apart and what each is doing; what a worker shows costs nothing for each mail.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer,
	settings => { workers => 2, retry_delay => '1h', retry_max_delay => '1h', 'server.max_worker_processes' => 16 });
my $time = q{\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*\S+};

# Wait until a worker shows a text like this; returns its wait event.
sub shows
{
	my ($pattern, $what) = @_;
	my $worker = qq{FROM pg_stat_activity WHERE backend_type = 'rhesis_notify worker' AND query ~ '$pattern'};

	ok(eval { $node->wait_for("SELECT count(*) > 0 $worker"); 1 }, "pg_stat_activity shows $what")
	  or diag($node->sql(q{SELECT application_name, state, query FROM pg_stat_activity WHERE backend_type ~ 'rhesis'}));
	return $node->sql("SELECT wait_event $worker LIMIT 1");
}

# Named from PostgreSQL 17 on.
my $named = $node->sql('SHOW server_version_num') >= 170000;
sub is_event
{
	my ($event, $name) = @_;
	return is($event, $named ? $name : 'Extension', "its wait event is $name, or Extension before PostgreSQL 17");
}

$node->wait_for(q{SELECT count(*) = 2 FROM rhesis_notify.worker_status WHERE state = 'idle'});
is($node->sql(q{SELECT string_agg(application_name, ', ' ORDER BY application_name) FROM pg_stat_activity WHERE backend_type ~ '^rhesis_notify'}),
	'rhesis_notify launcher, rhesis_notify worker 1, rhesis_notify worker 2', 'the processes have names');
is_event(shows('^waiting for tasks to report$', 'a worker that waits'), 'RhesisNotifyIdle');
$node->sql(q{ALTER DATABASE postgres SET application_name = 'the app'});
$node->sql('SELECT pg_terminate_backend(pid) FROM rhesis_notify.worker_status');
$node->wait_for(q{SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name ~ '^rhesis_notify worker [12]$'});
pass('which the app does not change');

$peer->rules({ stage => 'rcpt', action => 'reply', text => '450 4.2.0 Mailbox busy', count => 1 });
my $id = $node->report;
$node->wait_for_state($id, 'deferred');
shows("^waiting until $time, when a mail is due\$", 'until when a worker waits');

$peer->rules({ stage => 'rcpt', action => 'silence' });
$node->report_many(5);
is_event(shows('^sending [1-5] mails on [1-5] connections$', 'how much is on the wire'), 'RhesisNotifySending');
$peer->stop;
$peer->rules;
is_event(shows("^leaving localhost:\\d+ alone until $time\$", 'a server that is left alone, and until when'), 'RhesisNotifyBackingOff');
$peer->start_again;
$node->wait_for(q{SELECT bool_and(backing_off_until IS NULL) FROM rhesis_notify.worker_status});
$node->sql(q{SELECT rhesis_notify.retry(id) FROM rhesis_notify.delivery_status WHERE state = 'deferred'});
$node->wait_for(q{SELECT count(*) = 6 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'});

$node->sql('SELECT rhesis_notify.pause()');
is_event(shows('^paused$', 'a pause'), 'RhesisNotifyPaused');
$node->sql('SELECT rhesis_notify.resume()');
$node->sql('ALTER TABLE public."user" RENAME email TO mail');
$node->report;
is_event(shows("^waiting until $time to read recipients again\$", 'recipients that can\'t be read'), 'RhesisNotifyRecipients');
$node->sql('ALTER TABLE public."user" RENAME mail TO email');
$node->wait_for(q{SELECT count(*) = 7 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'});
$node->reconfigure(smtp_host => '');
is_event(shows('^mail off$', 'settings that are missing'), 'RhesisNotifyMailOff');

is($node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^rhesis_notify' AND query ~ '@'}), 0, 'no address is shown');

$node->stop;
done_testing();
