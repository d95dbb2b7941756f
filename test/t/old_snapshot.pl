# An old snapshot keeps rows of the queue in the indexes. Every row after them is still found: one
# that is due now, one of a transaction that began before all other mails were sent, one that its
# owner made due long ago, and one that another session had locked. Retention works, too.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use RhesisNotify::Session;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retention => '1h', log_deliveries => 'off' });

my $dump = RhesisNotify::Session->start($node);
$dump->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
$dump->query('SELECT count(*) FROM pg_class');

my $slow = RhesisNotify::Session->start($node);
$slow->query('BEGIN');
my $before = $slow->query(RhesisNotify::Cluster::insert_of(task_id => 'before') . ' RETURNING id');

$node->report_many(3000);
$node->wait_for(q{SELECT count(*) = 3000 FROM rhesis_notify.task_notifications WHERE delivery_status = 'sent'});
is($node->sql('SELECT backend_xmin IS NOT NULL FROM pg_stat_activity WHERE pid = ' . $dump->query('SELECT pg_backend_pid()')),
	't', 'a snapshot is held, and 3,000 mails are sent');

my $single = $node->report;
is($node->wait_for_state($single, 'sent')->{attempts}, 1, 'a row that is due now');

$slow->query('COMMIT');
is($node->wait_for_state($before, 'sent')->{attempts}, 1, 'a row of a transaction that began before all that');

my $backdated = $node->report(next_attempt_at => '2020-01-01');
is($node->wait_for_state($backdated, 'sent')->{attempts}, 1, 'a row that was made due long ago');

$node->sql('SELECT rhesis_notify.pause()');
my $locked = $node->report;
$slow->query('BEGIN');
$slow->query("SELECT FROM rhesis_notify.task_notifications WHERE id = $locked FOR UPDATE");
$node->sql('SELECT rhesis_notify.resume()');
my $behind = $node->report;
$node->wait_for_state($behind, 'sent');
is($node->notification($locked)->{delivery_status}, 'pending', 'a row that is locked is passed by');
$slow->query('COMMIT');
is($node->wait_for_state($locked, 'sent')->{attempts}, 1, 'and found when it is not');

$node->sql(q{UPDATE rhesis_notify.task_notifications SET finished_at = finished_at - interval '2 hours' WHERE task_name = 'app.tasks.batch'});
$node->restart;
$node->wait_for(q{SELECT NOT EXISTS (SELECT FROM rhesis_notify.task_notifications WHERE task_name = 'app.tasks.batch')});
is($node->sql('SELECT count(*) FROM rhesis_notify.task_notifications'), 5, 'retention removes the old rows, a batch after another');

is($peer->mail_count, 3005, 'each mail was sent once');

$node->stop;
$peer->stop;
done_testing();
