# Every setting that a user or a superuser may change gets a hostile value for the database or for
# the worker's role. Mail continues, and the claim reads no more than before.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my $history = 50_000;
my $mails = 20;
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { retention => '0' });
my $table = q{FROM pg_stat_user_tables WHERE relid = 'rhesis_notify.task_notifications'::regclass};

# The test's own sessions keep their settings.
my $settable = q{FROM pg_settings WHERE context IN ('user', 'superuser') AND name !~ '[.]'
	AND name NOT IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable', 'session_authorization', 'seed', 'default_table_access_method')};
my @own = map { my ($name, $value) = split /=/, $_, 2; $value =~ s/([\\ ])/\\$1/g; "-c $name=$value" }
  split /\n/, $node->sql("SELECT name || '=' || setting $settable AND name NOT IN ('role', 'search_path')");
$ENV{PGOPTIONS} = join ' ', @own, '-c role=none', '-c search_path=public';

$node->sql(
	qq{
	CREATE ROLE nobody;
	INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status, user_id, delivery_status, finished_at)
	SELECT 'old ' || n, 'app.old', 'success', 'nobody', 'sent', now() FROM generate_series(1, $history) AS n;
	ANALYZE rhesis_notify.task_notifications;

	-- Sets each setting to a hostile value that it accepts. Returns the names of the settings that
	-- accept none.
	CREATE FUNCTION public.set_hostile(whose text, extreme text) RETURNS text LANGUAGE plpgsql AS \$\$
	DECLARE
		setting record;
		wanted text;
		taken bool;
		refused text := '';
	BEGIN
		FOR setting IN SELECT * $settable
		LOOP
			taken := false;
			FOREACH wanted IN ARRAY CASE
				WHEN setting.name = 'role' THEN '{nobody}'
				WHEN setting.name = 'restrict_nonsystem_relation_kind' THEN '{"foreign-table, view"}'
				WHEN setting.name = 'search_path' THEN '{pg_temp}'
				WHEN setting.name IN ('default_tablespace', 'temp_tablespaces') THEN '{pg_default}'
				WHEN setting.vartype = 'bool' THEN ARRAY[CASE setting.boot_val WHEN 'on' THEN 'off' ELSE 'on' END]
				WHEN setting.vartype = 'enum' AND extreme = 'least' THEN setting.enumvals
				WHEN setting.vartype = 'enum' THEN (SELECT array_agg(v ORDER BY n DESC) FROM unnest(setting.enumvals) WITH ORDINALITY AS e (v, n))
				WHEN setting.vartype IN ('integer', 'real') AND extreme = 'least' THEN ARRAY[setting.min_val, '1', '100']
				WHEN setting.vartype IN ('integer', 'real') THEN ARRAY[setting.max_val, '100000', '1000']
				ELSE '{German, sql_standard, LATIN1, Asia/Kathmandu, India, C, heap, simple, pglz, nowhere, debug5}' END::text[]
			LOOP
				BEGIN
					EXECUTE format('ALTER %s SET %I = %L', whose, setting.name, wanted);
					taken := true;
				EXCEPTION WHEN OTHERS THEN NULL;
				END;
				EXIT WHEN taken AND wanted <> setting.boot_val;
			END LOOP;
			IF NOT taken THEN
				refused := refused || ' ' || setting.name;
			END IF;
		END LOOP;
		RETURN refused;
	END \$\$});

# Returns the number of rows of the queue that have been read since the server started.
sub rows_read
{
	return $node->sql("SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) $table");
}

sub rows_updated
{
	return $node->sql("SELECT n_tup_upd $table");
}

# Mails the reports of some tasks. Returns the number of rows that were read for them.
sub mail_and_count
{
	my ($name) = @_;
	my ($read, $updated) = (rows_read(), rows_updated());

	$node->report_many($mails, task_name => $name);
	$node->wait_for("SELECT count(*) = $mails FROM rhesis_notify.task_notifications WHERE task_id ~ '^$name ' AND delivery_status = 'sent'");
	# A worker publishes its statistics in a later transaction.
	RhesisNotify::Peer::wait_until(
		sub {
			$node->wait_for_state($node->report, 'sent');
			return rows_updated() >= $updated + 2 * $mails;
		},
		'the worker has handed its figures over');
	return rows_read() - $read;
}

# The test's own query of the queue uses an index, so it reads few rows.
$node->sql('CREATE INDEX ON rhesis_notify.task_notifications (task_id text_pattern_ops)');
$node->wait_for(q{SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE state = 'idle'});
my $usual = mail_and_count('usual');
cmp_ok($usual, '<', $history, "usually $mails mails read $usual rows");

foreach my $whose ('DATABASE postgres', 'ROLE postgres', 'ROLE ALL', 'ROLE ALL IN DATABASE postgres', 'ROLE postgres IN DATABASE postgres')
{
	foreach my $extreme ($whose =~ / IN |ALL/ ? 'least' : ('least', 'greatest'))
	{
		my $pid = $node->worker('pid');
		my $refused = $node->sql("SELECT public.set_hostile('$whose', '$extreme')");

		cmp_ok(scalar(split ' ', $refused), '<', 15, "ALTER $whose: the values are taken, but for$refused");
		# SQL refuses this user later, because this session does not have it.
		$node->psql('postgres', "ALTER $whose SET session_authorization = 'nobody'");
		$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE state = 'idle' AND pid <> $pid");
		my $read = mail_and_count("$whose $extreme" =~ s/\W/_/gr);
		cmp_ok($read, '<', $history, "ALTER $whose SET, each setting at its $extreme: $mails mails read $read rows");
		$pid = $node->worker('pid');
		$node->sql("ALTER $whose RESET ALL");
		$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE state = 'idle' AND pid <> $pid");
	}
}
is($node->sql(q{SELECT coalesce(string_agg(last_error, ' '), '') FROM rhesis_notify.worker_status}), '', 'without any error');
my %ids = map { $_->raw_header('Message-ID') => 1 } $peer->mails;
is(scalar(keys %ids), $peer->mail_count, 'nobody was mailed twice');

# ---- In the configuration of the server ----

$node->reconfigure(map { ("server.$_" => 'off') } qw(enable_nestloop enable_tidscan enable_indexscan enable_sort));
$node->reconfigure('server.exit_on_error' => 'on', 'server.random_page_cost' => '1000000');
my $read = mail_and_count('configured');
cmp_ok($read, '<', $history, "settings of the planner in postgresql.conf: $mails mails read $read rows");

$node->stop;
done_testing();
