# A worker that must not send reports the reason, and sends as soon as it may. The cases: no
# encryption to a remote host, and SQL objects of another version.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer);

# ---- Plaintext ----

my $log_offset = -s $node->logfile;
$node->reconfigure(smtp_host => 'mail.example.invalid', smtp_tls => 'none', smtp_user => '', smtp_password => '');
my $waiting = $node->report;
is($node->worker('state'), 'mail off', 'no mail without TLS to a host beyond loopback');
like($node->worker('last_error'), qr/smtp_tls is none, which is for loopback hosts/, 'worker_status says why');
like($node->log($log_offset), qr/WARNING:  SMTP configuration incomplete\. Email notifications will be disabled\.\n.*DETAIL:  rhesis_notify\.smtp_tls is none/,
	'so does the log');
like($node->sql('SELECT step, ok, detail FROM rhesis_notify.check_smtp()'), qr/\Asettings\|f\|rhesis_notify\.smtp_tls is none/, 'and check_smtp()');
$node->reconfigure(smtp_allow_plaintext => 'on');
$node->wait_for(q{SELECT last_error ~ 'resolve' FROM rhesis_notify.worker_status});
pass('smtp_allow_plaintext lets it try');
$node->reconfigure(RhesisNotify::Cluster::peer_settings($peer), smtp_tls => 'auto', smtp_allow_plaintext => 'off');
$node->wait_for_state($waiting, 'sent');
pass('what waited goes out when the settings are right');

# ---- Versions that do not match ----

$log_offset = -s $node->logfile;
$node->sql(q{UPDATE pg_extension SET extversion = '0.1' WHERE extname = 'rhesis_notify'});
$node->sql('SELECT pg_terminate_backend(pid) FROM rhesis_notify.worker_status');
$node->wait_for('SELECT count(*) = 0 FROM rhesis_notify.worker_status WHERE pid IS NOT NULL');
$waiting = $node->report;
$node->wait_for_log(qr/WARNING:  rhesis_notify sends no mail in database "postgres": the loaded library and the extension's objects are of different versions/, $log_offset);
like($node->log($log_offset), qr/DETAIL:  The library is version \S+, the objects are version 0\.1\.\n.*HINT:  If the objects are older, run ALTER EXTENSION/,
	'SQL objects of another version are answered with a clear message');
is($node->notification($waiting)->{delivery_status}, 'pending', 'mail waits meanwhile');
$node->sql(q{UPDATE pg_extension SET extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'rhesis_notify')
	WHERE extname = 'rhesis_notify'; ALTER DATABASE postgres SET rhesis_notify.max_attempts = 5});
$node->wait_for_state($waiting, 'sent');
pass('and goes out when they fit');

done_testing();
