# A dump contains what users wrote, and nothing that the extension ships. The restored database
# works at once.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'rhesis_notify'");
$node->start;
$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(original copy);

$node->safe_psql(
	'original', q{
	CREATE EXTENSION rhesis_notify;
	CREATE ROLE app;
	SELECT rhesis_notify.pause();
	SELECT rhesis_notify.grant_to('app');
	SELECT rhesis_notify.email_notification('app.export', subject_template => 'Export: {status}');
	SELECT rhesis_notify.silence('collect_results');
	INSERT INTO rhesis_notify.templates (organization_id, name, subject)
	VALUES (NULL, 'task_completion', 'Done'), ('acme', 'task_completion', 'Done at Acme');
	-- A template that could not be written any more: its partial is gone.
	INSERT INTO rhesis_notify.templates (organization_id, name, text) VALUES ('acme', 'mine', '{{>footer}}'), ('acme', 'footer', 'x');
	DELETE FROM rhesis_notify.templates WHERE name = 'footer';
	SELECT rhesis_notify.task_completed('task ' || n, 'app.export', 'success', user_id => '1', result => '{"rows": 12}')
	FROM generate_series(1, 3) AS n;
	SELECT rhesis_notify.cancel(max(id)) FROM rhesis_notify.task_notifications;
});

my $dump = $node->backup_dir . '.dump';
command_checks_all(
	[ 'pg_dump', '--format=custom', '--file', $dump, $node->connstr('original') ],
	0, [qr/^$/], [qr/^$/], 'pg_dump has nothing to complain of');

# A worker may read the queue while a dump is being restored. So the tables that decide about its
# rows must be restored before the rows.
my ($contents) = run_command([ 'pg_restore', '--list', $dump ]);
my @order = $contents =~ /TABLE DATA rhesis_notify (\w+)/g;
my %position = map { $order[$_] => $_ } 0 .. $#order;
cmp_ok($position{$_}, '<', $position{task_notifications}, "$_ comes before the queue") for qw(database_pause custom_task_types);

command_ok([ 'pg_restore', '--exit-on-error', '--dbname', $node->connstr('copy'), $dump ], 'the dump can be restored');

# Each dumped table, row by row.
my @tables = split /\n/, $node->safe_psql(
	'original', q{
	SELECT relation::regclass
	FROM pg_extension, unnest(extconfig) AS relation JOIN pg_class ON pg_class.oid = relation
	WHERE extname = 'rhesis_notify' AND relkind = 'r' ORDER BY 1
});
cmp_ok(scalar @tables, '>=', 5, 'tables that are dumped: ' . join(', ', @tables));
for my $table (@tables)
{
	my $rows = "SELECT t::text FROM $table AS t ORDER BY 1";
	my $original = $node->safe_psql('original', $rows);

	isnt($original, '', "the original has rows in $table");
	# The copy has its own identity beside the dumped one, so it knows that it is a copy.
	$rows = 'SELECT i::text FROM rhesis_notify.database_identity AS i WHERE token NOT IN (SELECT token FROM rhesis_notify.database_birth)'
	  if $table eq 'rhesis_notify.database_identity';
	is($node->safe_psql('copy', $rows), $original, "the copy has the same rows in $table");
}

is($node->safe_psql('copy', "SELECT silent FROM rhesis_notify.task_types WHERE task_name = 'collect_results'"),
	't', 'what was silenced stays silent');
is($node->safe_psql('copy', 'SELECT count(*) > 0 FROM rhesis_notify.shipped_templates'), 't', 'the shipped templates are there');
is( $node->safe_psql('copy', "SET ROLE app; SELECT rhesis_notify.task_completed('task 4', 'app.export', 'success')"),
	$node->safe_psql('original', 'SELECT max(id) + 1 FROM rhesis_notify.task_notifications'),
	'privileges are there, and ids go on where they were');
is( $node->safe_psql(
		'copy', q{INSERT INTO rhesis_notify.templates (name, subject) VALUES ('layout', 'x') RETURNING id > ALL
		(SELECT id FROM rhesis_notify.templates)}),
	't', 'the ids of templates, too');
is($node->safe_psql('copy', 'SELECT rhesis_notify.cancel(id) FROM rhesis_notify.delivery_status WHERE state = \'pending\' LIMIT 1'),
	't', 'events can be added');

is($node->safe_psql('copy', 'SELECT rhesis_notify.adopt_database(true)'), 2, 'the copy is adopted, with what waits in it');
is($node->safe_psql('copy', 'SELECT rhesis_notify.copy_sign() IS NULL'), 't', 'then it is itself');

my $epoch = 'SELECT last_value FROM rhesis_notify.worker_epoch';
cmp_ok($node->safe_psql('copy', $epoch), '>', $node->safe_psql('original', $epoch),
	'workers of the copy have numbers that the original never had');

$node->stop;
done_testing();
