# The author of the recipients view, who is no superuser, can neither end the worker nor hold it up.
# Only the rows of users for whom the view is hostile are affected.
use strict;
use warnings FATAL => 'all';

use IO::Socket::INET;
use POSIX qw(mkfifo);
use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Deeds qw(report_with outcomes);
use RhesisNotify::Peer;
use Test::More;

my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer,
	settings => { recipients => 'app.recipients', max_attempts => 2, retry_delay => '100ms', 'server.wal_level' => 'minimal', 'server.max_wal_senders' => 0 });
my $log_offset = -s $node->logfile;

# A host that accepts connections and sends nothing.
my $silent = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1') or die "could not listen: $!";
my $silent_port = $silent->sockport;

# A pipe to which no program writes.
my $pipe = PostgreSQL::Test::Utils::tempdir() . '/pipe';
mkfifo($pipe, 0600) or die "could not make $pipe: $!";

$node->sql(
	qq{
	CREATE EXTENSION dblink;
	CREATE EXTENSION postgres_fdw;
	CREATE EXTENSION file_fdw;
	CREATE ROLE app_owner;
	CREATE SCHEMA app AUTHORIZATION app_owner;
	CREATE SERVER silent FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '$silent_port');
	CREATE USER MAPPING FOR app_owner SERVER silent OPTIONS (user 'nobody', password 'none');
	GRANT USAGE ON FOREIGN SERVER silent TO app_owner;
	GRANT pg_read_server_files, pg_execute_server_program TO app_owner;
	GRANT EXECUTE ON FUNCTION pg_read_file(text) TO app_owner;
	CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
	GRANT USAGE ON FOREIGN SERVER files TO app_owner;
	SET ROLE app_owner;
	CREATE TABLE app.person (user_id text PRIMARY KEY, deed text);
	INSERT INTO app.person SELECT 'person ' || n FROM generate_series(1, 60) AS n;
	CREATE FOREIGN TABLE app.remote (email text) SERVER silent;
	CREATE FOREIGN TABLE app.program (email text) SERVER files OPTIONS (program 'sleep 86400');
	CREATE FUNCTION app.act(deed text) RETURNS text LANGUAGE plpgsql AS \$\$
	BEGIN
		CASE split_part(deed, ' ', 1)
			WHEN 'exit' THEN
				PERFORM set_config('exit_on_error', 'on', false);
				RAISE 'exit on error';
			WHEN 'catch' THEN
				LOOP
					BEGIN
						PERFORM pg_sleep(60);
					EXCEPTION WHEN query_canceled THEN
						NULL;
					END;
				END LOOP;
			WHEN 'raise' THEN
				RAISE EXCEPTION USING ERRCODE = split_part(deed, ' ', 2), MESSAGE = 'as told';
			WHEN 'lock' THEN
				PERFORM pg_advisory_lock(4711);
			WHEN 'set' THEN
				PERFORM set_config('enable_indexscan', 'off', false), set_config('search_path', 'pg_temp', false), set_config('lock_timeout', '0', false);
			WHEN 'do' THEN
				EXECUTE substr(deed, 4);
			WHEN 'program' THEN
				RETURN (SELECT email FROM app.program);
			WHEN 'pipe' THEN
				RETURN pg_read_file('$pipe');
			WHEN 'remote' THEN
				RETURN (SELECT email FROM app.remote);
			WHEN 'dblink' THEN
				RETURN (SELECT email FROM public.dblink('host=127.0.0.1 port=$silent_port user=nobody password=none dbname=none', 'SELECT 1') AS r (email text));
		END CASE;
		RETURN NULL;
	END \$\$;
	CREATE VIEW app.recipients AS
		SELECT user_id, coalesce(CASE WHEN deed IS NOT NULL THEN app.act(deed) END, replace(user_id, ' ', '') || '\@example.com') AS email FROM app.person;
});
$node->reload;

my $idle = q{SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE state = 'idle'};
$node->wait_for($idle);
my $pid = $node->worker('pid');

# ---- Errors of any kind ----

foreach my $code (qw(57014 57P01 57P02 40001 40P01 XX000 XX001 0A000 P0001 P0004 22012 23505 53200 54001 08006 25006 42501 42P01 55000 58030 HV000 MY001))
{
	report_with($node, "code $code", "raise $code", 13, 44);
	is(outcomes($node, "code $code"), '13 failed recipients_error, 44 failed recipients_error', "SQLSTATE $code for two users harms these alone");
}
is($node->worker('pid'), $pid, 'the worker is the same');

# ---- Attempts to end the worker ----

report_with($node, 'exit', 'exit', 7);
is(outcomes($node, 'exit'), '7 failed recipients_error', 'exit_on_error can\'t be set in a look-up');
is($node->worker('pid'), $pid, 'the worker is the same');

report_with($node, 'catch', 'catch', 7);
is(outcomes($node, 'catch'), '7 failed recipients_error', 'who catches each cancellation is ended');
is($node->worker('pid'), $pid, 'the worker is the same');

# ---- State of the session that would stay ----

report_with($node, 'lock', 'lock', 7);
is(outcomes($node, 'lock'), '', 'an advisory lock is harmless');
$node->wait_for($idle);
is($node->sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, '... and given back');
report_with($node, 'set', 'set', 7);
is(outcomes($node, 'set'), '', 'settings are taken back');

foreach my $statement ('CREATE TEMP TABLE kept AS SELECT 1', 'PREPARE kept AS SELECT 1', 'LISTEN kept',
	'DECLARE kept CURSOR WITH HOLD FOR SELECT 1', 'SET ROLE app_owner', 'SET SESSION AUTHORIZATION app_owner', 'RESET SESSION AUTHORIZATION')
{
	report_with($node, $statement, "do $statement", 7);
	is(outcomes($node, $statement), '7 failed recipients_error', "$statement is refused");
}
is($node->worker('pid'), $pid, 'the worker is the same');

# ---- Another server, a program or a pipe that does not answer ----

foreach my $kind ('remote', 'dblink', 'program', 'pipe')
{
	report_with($node, $kind, $kind, 7);
	$node->wait_for(q{SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE state = 'looking up recipients'});
	pass("$kind: worker_status shows the look-up");
	$node->wait_for(q{SELECT NOT ok AND value ~ 'being read since' FROM rhesis_notify.health() WHERE check_name = 'recipients'});
	pass("$kind: and so does health()");
	$node->sql('CREATE DATABASE elsewhere');
	$node->sql('DROP DATABASE elsewhere');
	pass("$kind: another database can be dropped");
	is(outcomes($node, $kind), '7 failed recipients_error', "$kind: one row fails, the others go out");
	is($node->worker('pid'), $pid, "$kind: the worker is the same");
}

unlike($node->log($log_offset), qr/were being sent when a worker ended/, 'nobody was in doubt');
my %ids = map { $_->raw_header('Message-ID') => 1 } $peer->mails;
is(scalar(keys %ids), $peer->mail_count, 'nobody was mailed twice');

foreach my $kind ('dblink', 'program', 'pipe')
{
	report_with($node, "shutdown of $kind", $kind, 7);
	$node->wait_for(q{SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE state = 'looking up recipients'});
	$node->stop('fast');
	pass("$kind: a fast shutdown does not wait for it");
	$node->start;
	is(outcomes($node, "shutdown of $kind"), '7 failed recipients_error', '... and afterwards one row fails, the others go out');
}
$node->stop;
done_testing();
