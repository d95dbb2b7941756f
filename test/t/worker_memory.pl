
# Everything that is read from the application's relations and from the queue is shortened before it
# is in memory. So a worker needs at most 64 MB more than an idle one, whatever a row, a template, a
# registration or a recipients view contains, and however many of them come together.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster qw($JANE $ACME);
use RhesisNotify::Peer;
use Test::More;

plan skip_all => 'a sanitizer needs memory of its own' if $ENV{RHESIS_SANITIZED};

# Shared memory that a process has used counts as its memory, so shared_buffers is small.
my $BOUND_KB = 64 * 1024;
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, settings => { 'server.shared_buffers' => '2MB', retry_delay => '1h', retry_max_delay => '1h', log_deliveries => 'off' });
my $tables = 'rhesis_notify.task_notifications';

# Returns a size in kB: VmHWM is the peak, and VmRSS the current size.
sub memory
{
	my ($pid, $what) = @_;
	my ($size) = slurp_file("/proc/$pid/status") =~ /^$what:\s+(\d+) kB/m;
	return $size;
}

sub forget_peak
{
	my ($pid) = @_;
	open(my $handle, '>', "/proc/$pid/clear_refs") or die "could not open clear_refs: $!";
	print {$handle} '5';
	close $handle or die "could not write clear_refs: $!";
	return;
}

# Starts a new worker. Returns its process id after it has sent mails over all its connections.
sub new_worker
{
	my $pid = $node->worker('pid');

	$node->sql("SELECT pg_terminate_backend($pid, 10000)");
	$node->wait_for("SELECT count(*) = 1 FROM rhesis_notify.worker_status WHERE pid <> $pid AND state = 'idle'");
	$node->report_many(64, task_name => "app.warm up $pid");
	$node->wait_for("SELECT count(*) = 0 FROM $tables WHERE finished_at IS NULL AND delivery_status <> 'deferred'");
	return $node->worker('pid');
}

# Checks that the worker needs little memory for $rows rows. $columns has SQL for the columns, in
# which n is the number of the row.
sub fits
{
	my ($case, $rows, $columns, $states) = @_;
	my $worker = new_worker();
	my $idle = memory($worker, 'VmRSS');
	my %columns = (task_id => "'$case ' || n", task_name => q{'app.export'}, status => q{'success'}, user_id => "'$JANE'", organization_id => "'$ACME'", template => q{'task_completion'}, %$columns);
	my @names = sort keys %columns;

	forget_peak($worker);
	$node->sql("INSERT INTO $tables (" . join(', ', @names) . ') SELECT ' . join(', ', @columns{@names}) . " FROM generate_series(1, $rows) AS n");
	$node->wait_for("SELECT count(*) = $rows FROM $tables WHERE task_id LIKE '$case %' AND delivery_status = ANY ('{" . join(',', @$states) . "}') AND (finished_at IS NOT NULL OR attempts > 0)");
	is($node->worker('pid'), $worker, "$case: the worker is the same");
	my $more = memory($worker, 'VmHWM') - $idle;
	cmp_ok($more, '<', $BOUND_KB, "$case: $rows rows need $more kB");
	$node->sql("DELETE FROM $tables WHERE task_id LIKE '$case %'");
	return;
}

my $wide = q{chr(128512)}; # four bytes
my $random = q{(SELECT string_agg(chr(20000 + (random() * 20000)::integer), '') FROM generate_series(1, 100000))};
my @sent = ('sent');

# ---- The queue ----

#      what                       rows  columns
fits('result of 1 MB',             128, { result => q{jsonb_build_object('log', repeat(md5(n::text), 31000))} }, \@sent);
fits('result of 15 MB',             16, { result => q{jsonb_build_object('log', repeat(md5(n::text), 470000))} }, \@sent);
fits('error of 100 MB',              4, { status => q{'failed'}, error_message => q{repeat('x', 100000000)} }, \@sent);
fits('error of wide characters',   128, { status => q{'failed'}, error_message => "repeat($wide, 65536)" }, \@sent);
fits('subject of wide characters', 128, { subject_template => "repeat($wide, 100000)" }, \@sent);
fits('names of wide characters',   128, { task_name => "repeat($wide, 100000)", template => "repeat($wide, 100000)" }, \@sent);
fits('names that cannot be made small', 128, { task_name => $random }, \@sent);
# All rows have the same name, so that a hash join of the claim cannot write some of them to disk.
fits('four texts that cannot be made small', 128, { map { $_ => $random } qw(task_name template subject_template organization_id) }, ['skipped']);
fits('four others that cannot be made small', 128, { status => q{'failed'}, (map { $_ => $random } qw(task_name subject_template error_message)), result => "jsonb_build_object('log', $random)" }, \@sent);
fits('ids of wide characters',     128, { user_id => "repeat($wide, 100000)", organization_id => "repeat($wide, 100000)" }, ['skipped']);

$node->sql(q{INSERT INTO rhesis_notify.custom_task_types (task_name, template, subject_template, display_name)
	SELECT 'large', 'task_completion', repeat('s', 50000000), repeat('d', 50000000)});
fits('a registration of 100 MB', 64, { task_name => q{'large'}, template => 'NULL' }, \@sent);
$node->sql(qq{INSERT INTO rhesis_notify.custom_task_types (task_name, template, subject_template, display_name)
	SELECT 'wide', repeat($wide, 100000), $random, repeat($wide, 100000)});
fits('a registration of wide characters', 128, { task_name => q{'app.wide'}, template => 'NULL' }, \@sent);
$node->sql(qq{INSERT INTO rhesis_notify.custom_task_types (task_name, template) VALUES (repeat('long', 25000), 'task_completion')});
fits('a registered name of 100 kB', 128, { task_name => q{repeat('long', 25000)}, template => 'NULL', subject_template => $random }, \@sent);
my $name = 'long' x 1000;
$node->sql(qq{SELECT rhesis_notify.email_notification('$name')});
$node->wait_for_state($node->report(task_name => "app.$name", template => undef), 'sent');
pass('and as the last part of a name');
is($node->wait_for_state($node->report(task_name => "${name}er", template => undef), 'skipped')->{delivery_reason}, 'silent_task', 'a name that begins with it is another one');

# ---- Templates ----

$node->sql(qq{INSERT INTO rhesis_notify.templates (name, subject, html, text) VALUES ('mails', 'x', '{{#rows}}{{filler}}{{/rows}}', '{{#rows}}{{filler}}{{/rows}}');
	BEGIN;
	SET LOCAL session_replication_role = replica;
	INSERT INTO rhesis_notify.templates (name, subject, html, text) VALUES ('huge', repeat('x', 50000000), repeat('y', 50000000), repeat('z', 50000000));
	INSERT INTO rhesis_notify.templates (name, html, text) SELECT 'partial' || n, repeat('y', 1000000), repeat('z', 1000000) FROM generate_series(1, 150) AS n;
	INSERT INTO rhesis_notify.templates (name, html, text) SELECT 'partials', string_agg('{{>partial' || n || '}}', ''), 'x' FROM generate_series(1, 150) AS n;
	INSERT INTO rhesis_notify.templates (name, html, text) SELECT 'tags' || n, repeat('{{a}}', 200000), repeat('{{a}}', 200000) FROM generate_series(1, 4) AS n;
	COMMIT});
$node->sql('SELECT rhesis_notify.wake_workers()');
fits('mails of 2 MB', 64, { template => q{'mails'}, result => q{jsonb_build_object('filler', repeat('=', 1000), 'rows', (SELECT jsonb_agg(g) FROM generate_series(1, 950) AS g))} }, \@sent);
fits('a template of 150 MB', 16, { template => q{'huge'} }, \@sent);
fits('150 partials of 2 MB', 4, { template => q{'partials'} }, [ 'sent', 'failed' ]);
fits('templates of many tags', 16, { template => q{'tags' || (n % 4 + 1)} }, [ 'sent', 'failed' ]);

# ---- The application's relations ----

$node->sql(qq{CREATE VIEW public.many AS
		SELECT '$JANE'::text AS user_id, 'jane\@example.com'::text AS email, repeat($wide, 1000) AS name, 'acme'::text AS organization_id, repeat($wide, 1000) AS organization_name
		FROM generate_series(1, 1000) AS a, generate_series(1, 10000) AS b;
	CREATE TABLE public.member (user_id text, email text, name text, organization_id text, organization_name text);
	INSERT INTO public.member SELECT 'user ' || u, 'user' || u || '\@example.com', repeat('n', 256), 'acme ' || o, repeat('o', 256) FROM generate_series(1, 32) AS u, generate_series(1, 9000) AS o;
	CREATE INDEX ON public.member (user_id);
	ANALYZE public.member});
$node->reconfigure(recipients => 'public.many');
fits('a view with 10,000,000 rows for one', 4, {}, ['deferred']);
$node->reconfigure(recipients => 'public.member');
fits('users with 9,000 rows each', 32, { user_id => q{'user ' || n}, organization_id => q{'acme 1'} }, \@sent);

$node->stop;
done_testing();
