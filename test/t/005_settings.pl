
# Settings: the five environment variables of the original are enough, changes apply after a reload,
# invalid values are refused with a hint, and the password is never visible.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster qw($JANE);
use RhesisNotify::Peer;
use Test::More;

my $password = 'Zq7-secret-of-the-environment';
my $peer = RhesisNotify::Peer->start(user => 'app@rhesis.example', password => $password);

# ---- Only the variables of the original ----

# The test adds only the certificate authority. In production it is the system's.
my $node = RhesisNotify::Cluster->serve(
	'environment',
	environment => {
		SMTP_HOST => 'localhost',
		SMTP_PORT => $peer->port,
		SMTP_USER => $peer->user,
		SMTP_PASSWORD => $password,
		FRONTEND_URL => 'https://app.rhesis.example'
	},
	settings => { smtp_ca_file => RhesisNotify::Peer::certificates() . '/ca.pem' });

$node->wait_for_state($node->report(result => '{"test_run_id": "r1"}'), 'sent');
my ($mail) = $peer->mails;
is($mail->envelope->{user}, 'app@rhesis.example', 'user and password come from the environment');
is($mail->envelope->{from}, 'app@rhesis.example', 'the sender is the user, which is an address');
like($mail->raw_header('From'), qr/^"?Rhesis AI"? </, 'with the name Rhesis AI');
like($mail->text, qr{https://app\.rhesis\.example/test-runs/r1}, 'links begin with FRONTEND_URL');
is($node->sql('SHOW rhesis_notify.smtp_host'), 'localhost', 'SHOW tells what holds');
is($node->sql('SHOW rhesis_notify.smtp_port'), $peer->port, 'also of the port');

# ---- SIGHUP, ALTER SYSTEM, ALTER DATABASE ----

$node->sql("ALTER SYSTEM SET rhesis_notify.from_email = 'Alter System <system\@rhesis.example>'");
$node->reconfigure;
$node->wait_for_state($node->report, 'sent');
is(($peer->mails)[-1]->envelope->{from}, 'system@rhesis.example', 'a reload applies ALTER SYSTEM');

my $worker = $node->worker('pid');
$node->sql("ALTER DATABASE postgres SET rhesis_notify.from_email = 'Alter Database <database\@rhesis.example>'");
$node->wait_for("SELECT pid <> $worker AND state NOT IN ('starting', 'stopping') FROM rhesis_notify.worker_status");
$node->wait_for_state($node->report, 'sent');
is(($peer->mails)[-1]->envelope->{from}, 'database@rhesis.example', 'ALTER DATABASE is noticed without a reload');
$node->sql('ALTER DATABASE postgres RESET ALL');
$node->sql('ALTER SYSTEM RESET ALL');

# ---- Invalid values ----

foreach my $case (
	[ smtp_host => 'smtp://mail.example.com:25/', qr/HINT: .*smtp\.sendgrid\.net/ ],
	[ smtp_host => "mail.example.com\nX", qr/HINT: / ],
	[ smtp_port => '0', qr/outside the valid range/ ],
	[ smtp_port => '70000', qr/outside the valid range/ ],
	[ smtp_tls => 'maybe', qr/HINT: .*starttls/ ],
	[ from_email => 'nobody', qr/HINT: .*name\@example\.com/ ],
	[ from_email => "a\@example.com\r\nBcc: b\@example.com", qr/HINT: / ],
	[ reply_to => 'a@', qr/HINT: / ],
	[ frontend_url => 'http://app.example.com', qr/HINT: .*https:/ ],
	[ frontend_url => 'javascript:alert(1)', qr/HINT: .*https:/ ],
	[ frontend_url => 'https://a.example"><script>', qr/HINT: / ],
	[ frontend_url => 'https://', qr/names no host/ ],
	[ frontend_url => 'https://:443/', qr/names no host/ ],
	[ frontend_url => 'https://[]/', qr/names no host/ ],
	[ frontend_url => 'https://[::1/', qr/names no host/ ],
	[ frontend_url => 'https://app.example.com:port', qr/neither a port nor a path/ ],
	[ frontend_url => 'https://app.example.com:65536', qr/port is larger/ ],
	[ frontend_url => 'https://[::1]443', qr/neither a port nor a path/ ],
	[ frontend_url => 'https://app.example.com?a=b', qr/no path can follow a query/ ],
	[ frontend_url => 'https://app.example.com/#top', qr/no path can follow a query/ ],
	[ frontend_url => 'https://jane:secret@app.example.com', qr/character/ ],
	[ frontend_url => 'https://app.example.com /', qr/character/ ],
	[ frontend_url => 'HTTP://[2001:db8::1]', qr/HINT: .*allow_http_links/ ],
	[ frontend_url => 'http://[::1].example.com', qr/neither a port nor a path/ ],
	[ frontend_url => 'http://localhost.example.com', qr/HINT: .*allow_http_links/ ],
	[ recipients => 'people', qr/HINT: .*schema/ ],
	[ recipients => 'a.b.c', qr/HINT: .*schema/ ],
	[ organization_setting => 'organization', qr/HINT: / ],
	[ redirect_all_to => 'Some Body <a@example.com>', qr/HINT: / ],
	[ retry_delay => '3 fortnights', qr/HINT: .*"min"/ ],
	[ workers => '0', qr/outside the valid range/ ],
	[ smtp_connections => '-1', qr/outside the valid range/ ],
	[ in_doubt => 'forget', qr/HINT: .*resend/ ],
	[ smpt_host => 'typing-error.example.com', qr/invalid configuration parameter name/ ],)
{
	my ($name, $value, $says) = @$case;
	my $message = $node->sql_error("ALTER DATABASE postgres SET rhesis_notify.$name = " . RhesisNotify::Cluster::literal($value));

	like($message, $says, "$name = '" . $value =~ s/[\r\n]+/\\n/gr . q(' is refused));
}

# In mails, the path of a page is appended to a valid URL.
foreach my $case (
	[ 'https://app.example.com/' => 'https://app.example.com' ], [ 'HTTPS://App.Example.com' => 'HTTPS://App.Example.com' ],
	[ 'https://app.example.com:8443/base/path//' => 'https://app.example.com:8443/base/path' ], [ 'https://app.example.com/#/' => 'https://app.example.com/#' ],
	[ 'https://[2001:db8::1]:8443' => 'https://[2001:db8::1]:8443' ], [ 'http://[::1]:3000/' => 'http://[::1]:3000' ],
	[ " https://app.example.com:65535/ \r\n" => 'https://app.example.com:65535' ],
	[ 'http://localhost:3000' => 'http://localhost:3000' ], [ 'HTTP://127.0.0.1' => 'HTTP://127.0.0.1' ])
{
	my ($url, $link) = @$case;
	like($node->sql("SET rhesis_notify.frontend_url = '$url'; SELECT text FROM rhesis_notify.render_template('task_completion', '{\"task_name\": \"T\", \"status\": \"success\", \"test_run_id\": \"r1\"}')"),
		qr{^\Q$link\E/test-runs/r1$}m, "frontend_url = $url");
}

# In postgresql.conf an invalid value is refused, too. The server and the mail continue.
my $log_offset = -s $node->logfile;
$node->configure(frontend_url => 'http://app.example.com');
$node->reload;
$node->wait_for_log(qr/invalid value for parameter "rhesis_notify\.frontend_url".*\n.*DETAIL:  .*\n.*HINT:  .*https/, $log_offset);
$node->wait_for_state($node->report, 'sent');
pass('a mistake in postgresql.conf stops nothing');
$node->configure(frontend_url => 'https://app.rhesis.example');

# A setting must allow links with plain http. The order of the two settings does not matter. SQL
# shows why mails have no links.
my $problem = q{SELECT string_agg(value, E'\n') FROM (
	SELECT ok::text || ' ' || value AS value FROM rhesis_notify.health() WHERE check_name = 'links'
	UNION ALL SELECT detail FROM rhesis_notify.check_smtp() WHERE step = 'settings'
	UNION ALL SELECT step || ': ' || decision || ', ' || detail FROM rhesis_notify.explain((SELECT max(id) FROM rhesis_notify.task_notifications)) WHERE step = 'links') AS t};

sub link_is
{
	my ($link, $what) = @_;
	my $id = $node->report(result => '{"test_run_id": "r1"}');
	$node->wait_for_state($id, 'sent');
	my $text = ($peer->mails)[-1]->text;
	$link ? like($text, qr{^\Q$link\E/test-runs/r1}m, $what) : unlike($text, qr/test-runs/, $what);
	return;
}

sub all_say
{
	my ($ok, $why, $what) = @_;
	like($node->sql($problem), qr/^$ok mails go without links: $why\n.*Mails go without links: $why\nlinks: none, $why$/, $what);
	return;
}

my $plain = qr{rhesis_notify\.frontend_url is http://app\.example\.com, and links are https, unless rhesis_notify\.allow_http_links is on};
$node->configure(frontend_url => 'http://app.example.com');
$node->reload;
$node->wait_for(q{SELECT current_setting('rhesis_notify.frontend_url') ~ '^http:' AND state = 'idle' FROM rhesis_notify.worker_status});
link_is(undef, 'a mail without a link');
all_say('false', $plain, 'health(), check_smtp() and explain() say that plain http is not allowed');
$node->reconfigure(allow_http_links => 'on');
link_is('http://app.example.com', 'plain http that is allowed, behind the URL in postgresql.conf');
$node->reconfigure(allow_http_links => 'off');
$node->sql(q{SET rhesis_notify.allow_http_links = on; ALTER DATABASE postgres SET rhesis_notify.frontend_url = 'http://db.example.com';
	ALTER DATABASE postgres SET rhesis_notify.allow_http_links = on});
$node->wait_for(q{SELECT state = 'idle' AND started_at > now() - interval '1 minute' FROM rhesis_notify.worker_status});
$node->reconfigure;
link_is('http://db.example.com', 'by ALTER DATABASE, the URL first');
$node->sql('ALTER DATABASE postgres RESET ALL');
like($node->sql_error(q{ALTER SYSTEM SET rhesis_notify.frontend_url = 'http://app.example.com'}), qr/HINT: .*allow_http_links/, 'ALTER SYSTEM refuses plain http');
like($node->sql_error(q{SET rhesis_notify.frontend_url = 'http://app.example.com'}), qr/HINT: .*allow_http_links/, 'so does SET');
$log_offset = -s $node->logfile;
$node->reconfigure(frontend_url => 'ftp://app.example.com');
ok($node->log_contains(qr/DETAIL:  Links in mails begin with this URL, and it does not begin with https:/, $log_offset), 'the log says why a value is refused');
$node->reconfigure(frontend_url => '');
link_is(undef, 'no URL, no link');
all_say('true', qr/rhesis_notify\.frontend_url \(environment: FRONTEND_URL\) is not set/, 'which they say');

# An invalid value in the environment causes a warning, and the default is used.
$node->{rhesis_environment}{SMTP_PORT} = 'submission';
$node->{rhesis_environment}{FROM_EMAIL} = 'nobody';
$node->{rhesis_environment}{FRONTEND_URL} = 'app.example.com';
$node->adjust_conf('postgresql.conf', 'rhesis_notify.frontend_url', undef);
$node->configure(smtp_port => $peer->port);
$node->restart;
ok($node->log_contains('WARNING:  ignoring environment variable SMTP_PORT: invalid value'), 'a wrong number in the environment is said');
ok($node->log_contains('WARNING:  ignoring environment variable FROM_EMAIL: invalid value'), 'a wrong address too');
ok($node->log_contains(qr/variable FRONTEND_URL: invalid value\n.*DETAIL:  The value is "app\.example\.com"\. .*begin with https:/), 'and why, with the value');
link_is(undef, 'a URL that is refused');
all_say('false', qr{the environment's FRONTEND_URL was refused, since it does not begin with https://}, 'is said in psql too');
$node->{rhesis_environment}{FRONTEND_URL} = 'http://app.example.com';
$node->configure(allow_http_links => 'on');
$node->restart;
link_is('http://app.example.com', 'plain http from the environment that is allowed');
$node->stop;

# ---- The password is never visible ----

my %secrets = map { $_ => "Zq7-$_-secret" } qw(first second system session database role);
my $secret = qr/Zq7-\w+-secret/;
$peer->start_otherwise(password => $secrets{first});
$node = RhesisNotify::Cluster->serve('password', peer => $peer);
$node->wait_for_state($node->report, 'sent');

$peer->start_otherwise(password => $secrets{second});
$node->reconfigure(smtp_password => $secrets{second});
$node->wait_for_state($node->report, 'sent');
pass('a reload applies a new password');

$peer->start_otherwise(password => $secrets{system});
$node->sql("ALTER SYSTEM SET rhesis_notify.smtp_password = '$secrets{system}'");
$node->reconfigure;
$node->wait_for_state($node->report, 'sent');
pass('so does ALTER SYSTEM');

foreach my $statement (
	"SET rhesis_notify.smtp_password = '$secrets{session}'",
	"ALTER DATABASE postgres SET rhesis_notify.smtp_password = '$secrets{database}'",
	"ALTER ROLE ALL SET rhesis_notify.smtp_password = '$secrets{role}'",
	"SELECT set_config('rhesis_notify.smtp_password', '$secrets{session}', false)",
	"CREATE FUNCTION f() RETURNS void LANGUAGE sql SET rhesis_notify.smtp_password = '$secrets{session}' AS 'SELECT'")
{
	my $shown = $statement =~ s/'Zq7.*?'/…/r;
	my $message = $node->sql_error($statement);

	like($message, qr/can only be set in the server's configuration/, "refused: $shown");
	unlike($message, $secret, 'and the answer does not repeat it');
}
$node->sql("CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher; CREATE ROLE anybody LOGIN");
foreach my $role (qw(postgres watcher anybody))
{
	my $as = $role eq 'postgres' ? '' : "SET ROLE $role; ";
	my $seen = $node->sql("${as}SELECT row_to_json(s) FROM pg_settings AS s; SELECT * FROM pg_db_role_setting");

	unlike($seen, $secret, "$role sees it in neither pg_settings nor pg_db_role_setting");
	foreach my $query ('SHOW rhesis_notify.smtp_password', 'SHOW ALL', "SELECT current_setting('rhesis_notify.smtp_password')",
		'SELECT * FROM rhesis_notify.worker_status', 'SELECT * FROM rhesis_notify.check_smtp()')
	{
		my ($output, $error);
		$node->psql('postgres', "${as}$query", stdout => \$output, stderr => \$error);
		unlike("$output$error", $secret, "$role does not see it with $query");
	}
}
{
	my ($output, $error);
	$node->psql('postgres', 'SET ROLE watcher; SELECT * FROM pg_file_settings', stdout => \$output, stderr => \$error);
	unlike("$output$error", $secret, 'pg_monitor does not see it in pg_file_settings');
}

my ($dump) = run_command([ 'pg_dumpall', '-d', $node->connstr('postgres') ]);
like($dump, qr/CREATE EXTENSION.*rhesis_notify/, 'a dump was made');
unlike($dump, $secret, 'it does not have the password');
is($node->sql('SELECT count(*) FROM pg_stat_activity AS a WHERE a::text ~ $$Zq7-(first|second|system)-secret$$'), 0, 'pg_stat_activity neither');
unlike($node->log =~ s/^.*(?:STATEMENT|LOG:  statement).*Zq7-(?!first|second|system).*$//mgr, $secret, 'nor the log, also of reloads that changed it');

# ---- A file with the password, which is read again at each login ----

my $file = PostgreSQL::Test::Utils::tempdir('secret') . '/password';
append_to_file($file, "$secrets{system}\n");
$node->sql('ALTER SYSTEM RESET ALL');
$node->reconfigure(smtp_password_file => $file, smtp_password => 'not this one');
$node->wait_for_state($node->report, 'sent');
pass('the file counts before the setting');

$worker = $node->worker('pid');
$peer->start_otherwise(password => 'turned over');
my $id = $node->report;
$node->wait_for("SELECT last_error ~ '535' FROM rhesis_notify.worker_status");
append_to_file("$file.new", 'turned over');
rename("$file.new", $file) or die "could not rename: $!";
$node->wait_for_state($id, 'sent');
is($node->worker('pid'), $worker, 'a secret that is replaced is noticed without a reload');

# The worker uses a password for one second before it reads the file again.
unlink $file;
$node->wait_for("SELECT clock_timestamp() > finished_at + interval '1 second' FROM rhesis_notify.task_notifications WHERE id = $id");
$peer->start_otherwise;
$id = $node->report;
$node->wait_for("SELECT last_error ~ 'could not open' AND state = 'backing off' FROM rhesis_notify.worker_status");
like($node->worker('last_error'), qr/could not open rhesis_notify\.smtp_password_file ".*": No such file/, 'a file that is gone is said');
is($node->notification($id)->{attempts}, 0, 'and harms no mail');
append_to_file($file, 'turned over');
$node->wait_for_state($id, 'sent');
$node->stop;

# ---- Without a mail server ----

$node = RhesisNotify::Cluster->serve('off', settings => { expire_after => '1h' });
my @ids = map { $node->report } 1 .. 3;
my $silent = $node->report(template => undef);
$node->wait_for_log(qr/SMTP configuration incomplete/);
$node->wait_for("SELECT state = 'mail off' FROM rhesis_notify.worker_status");
is_deeply([ map { $node->notification($_)->{delivery_status} } @ids ], [ ('pending') x 3 ], 'without a mail server rows wait');
$node->reconfigure;
$node->reconfigure;
is(scalar(() = $node->log =~ /WARNING:  SMTP configuration incomplete\. Email notifications will be disabled\.\n.*DETAIL:  rhesis_notify\.smtp_host \(environment: SMTP_HOST\) is not set/g),
	1, 'the log says once what is missing');
# Set the birth of the database as adopt_database() does: rows that are older than the database
# belong to it.
$node->sql(q{UPDATE rhesis_notify.database_birth SET born = '-infinity'});
my $late = $node->report;
$node->sql("UPDATE rhesis_notify.task_notifications SET created_at = now() - interval '2 hours' WHERE id = $late");
$node->reconfigure(RhesisNotify::Cluster::peer_settings($peer), smtp_password => 'turned over');
$node->wait_for_state($_, 'sent') for @ids;
pass('they go out when there is one');
is($node->wait_for_state($late, 'skipped')->{delivery_reason}, 'expired', 'but for those that are too old');
is($node->wait_for_state($silent, 'skipped')->{delivery_reason}, 'silent_task', 'and those that owe none');

# User and password must be set together.
foreach my $half ([ smtp_user => '' ], [ smtp_password => '' ])
{
	$log_offset = -s $node->logfile;
	$node->configure(smtp_user => $peer->user, smtp_password => 'turned over');
	$node->reconfigure(@$half);
	my $waiting = $node->report;
	$node->wait_for_log(qr/SMTP configuration incomplete\..*\n.*DETAIL:  .*smtp_user/, $log_offset);
	is($node->notification($waiting)->{delivery_status}, 'pending', "without $half->[0] the mail waits");
	$node->reconfigure(smtp_user => $peer->user, smtp_password => 'turned over');
	$node->wait_for_state($waiting, 'sent');
}
$node->stop;

done_testing();
