# What README.md and doc/ say is so: their SQL runs, their settings have those defaults, their Python reports tasks.
use strict;
use warnings FATAL => 'all';
use utf8;

use Cwd qw(abs_path);
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster qw($ACME $JANE);
use RhesisNotify::Peer;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $readme = slurp_file("$top/README.md");
my $templates = slurp_file("$top/doc/templates.md");

# The fenced blocks of a language, without the indentation of a list that they stand in.
sub blocks
{
	my ($text, $language) = @_;
	my @blocks;

	while ($text =~ /^( *)```$language\n(.*?)^\1```$/msg)
	{
		my ($indentation, $block) = ($1, $2);
		push @blocks, $block =~ s/^$indentation//mgr;
	}
	return @blocks;
}

# The rows of the table that begins with this head, as lists of cells without backquotes.
sub table
{
	my ($head) = @_;
	my ($rows) = $readme =~ /^\Q$head\E.*\n\|[- |]+\n((?:\|.*\n)+)/m or die "no table begins with $head";
	return map { [ map { s/^\s*`?|`?\s*$//gr } (split /\|/, $_, -1)[ 1 .. 3 ] ] } split /\n/, $rows;
}

sub uniq
{
	my %seen;
	return sort grep { !$seen{$_}++ } @_;
}

# ---- Settings: each is there, with that default, and none is left out ----

my $node = RhesisNotify::Cluster->serve('main', bare => 1, environment => { LANG => 'C.UTF-8' });
my @settings = table('| setting |');

is_deeply(
	[ sort map { $_->[0] } @settings ],
	[ sort 'rhesis_notify.smtp_password', split /\n/, $node->sql(q{SELECT name FROM pg_settings WHERE name LIKE 'rhesis\_notify.%'}) ],
	'the settings are those of the server');
foreach my $setting (grep { $_->[0] ne 'rhesis_notify.smtp_password' } @settings)
{
	is($node->sql("SHOW $setting->[0]"), $setting->[2], "the default of $setting->[0]");
}

my %environment = map { $_->[1] => $_->[0] } grep { $_->[1] ne '' } @settings;
my $sources = join '', map { slurp_file($_) } glob("$top/src/settings*.c");
is_deeply([ sort keys %environment ], [ uniq($sources =~ /"((?:SMTP|FROM|FRONTEND)_[A-Z_]+)"/g) ],
	'the environment variables are those of the source');

# ---- The SQL of each document, in its order, in a database of its own ----

my $peer = RhesisNotify::Peer->start;
$node->configure(RhesisNotify::Cluster::peer_settings($peer), from_email => 'noreply@rhesis.example');
$node->reload;
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');
$node->safe_psql('postgres', $_) foreach ('CREATE DATABASE mydb', 'CREATE DATABASE templates_doc');
$node->create_app($_) foreach qw(postgres mydb templates_doc);

is_deeply(
	[ map { $_->[0] } table('| state | meaning') ],
	[ split /\n/, $node->sql('SELECT unnest(enum_range(NULL::rhesis_notify.delivery_state))') ],
	'the states are those of the type');

my $code = join '', map { slurp_file($_) } glob("$top/src/*.c");
foreach my $reason (map { split /`, `/, $_->[0] } table('| reason |'))
{
	like($code, qr/['"]$reason['"]/, "there is a reason $reason");
}

# README.md creates the extension; doc/templates.md shows one notification by its number.
$node->safe_psql('mydb', 'DROP EXTENSION rhesis_notify');
$node->safe_psql('templates_doc',
	q{INSERT INTO rhesis_notify.task_notifications (task_id, task_name, status) SELECT n, 'silent', 'success' FROM generate_series(1, 17) AS n});

sub runs
{
	my ($database, $document, $text) = @_;
	my @blocks = blocks($text, 'sql');
	my $number = 0;

	cmp_ok(scalar(@blocks), '>', 4, "$document has SQL");
	foreach my $block (@blocks)
	{
		my $errors;
		my $result = $node->psql($database, $block, stderr => \$errors);
		is($result, 0, sprintf('SQL %d of %s runs: %s', ++$number, $document, $block =~ s/\n.*//sr)) or diag($errors);
	}
	return;
}

# What is named with its schema must be there; README.md drops the extension at its end.
my %known = map { $_ => 1 } split /\n/, $node->sql(
	q{
	SELECT split_part(name, '.', 2) FROM pg_settings WHERE name LIKE 'rhesis\_notify.%'
	UNION SELECT 'smtp_password'
	UNION SELECT proname FROM pg_proc WHERE pronamespace = 'rhesis_notify'::regnamespace
	UNION SELECT relname FROM pg_class WHERE relnamespace = 'rhesis_notify'::regnamespace});
foreach my $document ([ 'README.md', $readme ], [ 'doc/templates.md', $templates ])
{
	my ($name, $text) = @$document;
	is_deeply([ grep { !$known{$_} } uniq($text =~ /rhesis_notify\.(\w+)/g) ], [], "$name names nothing that does not exist");
}

# The other way round: what a user may call or read is in the tables of README.md.
my $internal = qr/^(?:worker_slots|shipped_\w+|custom_task_types|database_pause)$/;
my %told = map { $_ => 1 } (map { $_->[0] =~ /(\w+)\(/g } table('| function |')), (map { $_->[0] } table('| table or view |'));
is_deeply(
	[
		grep { !$told{$_} && !/$internal/ } split /\n/, $node->sql(
			q{
			SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'rhesis_notify'::regnamespace AND prorettype <> 'trigger'::regtype
			UNION SELECT relname FROM pg_class WHERE relnamespace = 'rhesis_notify'::regnamespace AND relkind IN ('r', 'v')
			ORDER BY 1})
	],
	[], 'README.md leaves out nothing that a user may call or read');

runs('mydb', 'README.md', $readme);
runs('templates_doc', 'doc/templates.md', $templates);

# ---- The variables of templates, and what the examples do ----

is_deeply(
	{ $templates =~ /^\| `(\w+)` \| `([^`]*)` \|/mg },
	{ split /[\n|]/, $node->sql(q{SELECT variable, example FROM rhesis_notify.template_variables('layout') WHERE example IS NOT NULL}) },
	'doc/templates.md has each variable, with its example');

sub html_of
{
	my (@arguments) = @_;
	return $node->sql('SELECT html FROM rhesis_notify.render_template(' . join(', ', map { "'$_'" } @arguments) . ')', 'templates_doc');
}

my $branded = html_of('task_completion', '{"status": "success", "task_name": "x", "result_url": "https://app.example/1"}', 'acme');
like($branded, qr/ACME Labs<\/td>.*#b3261e/s, 'five lines of SQL brand a mail');
unlike($branded, qr/#0b6a94/, '... and leave nothing of the shipped colour');
like(html_of('failures', '{"any_failures": true, "failures": [{"test": "login", "reason": "timeout"}, {"test": "logout"}], "project_name": "Chat", "status": "success"}'),
	qr{<h2>Chat</h2>\s*<ul><li>login: timeout</li><li>logout: unknown</li></ul>(?!.*tests passed)}s, 'what came from Jinja2 shows what it did there');
my ($layout) = $templates =~ /^\| find \| what it is \|\n\| --- \| --- \|\n((?:\|.*\n)+)/m;
my $shipped = slurp_file("$top/templates/layout.html");
foreach my $find (map { s/<p \.\.\.>//r } map { /`([^`]+)`/g } $layout)
{
	ok(index($shipped, $find) >= 0, "the shipped layout has $find");
}

# ---- Links ----

foreach my $document ([ $top, 'README.md' ], [ "$top/doc", 'templates.md' ])
{
	my ($directory, $name) = @$document;
	my $text = slurp_file("$directory/$name");
	my %anchors = map { lc() =~ s/[^\w\s-]//gr =~ s/ /-/gr => 1 } $text =~ /^#+ (.*)$/mg;
	my @targets = ($text =~ /\]\(([^)]+)\)/g, $text =~ /src="([^"]+)"/g);

	is_deeply([ grep { !/^https:/ && !(/^#(.*)/ ? $anchors{$1} : -e "$directory/$_") } @targets ], [], "the links of $name lead somewhere");
}

# ---- Python ----

my @python = blocks($readme, 'python');
foreach my $example (qw(sqlalchemy_task celery_task))
{
	is(shift(@python), slurp_file("$top/examples/$example.py"), "README.md shows examples/$example.py as it is");
}
is_deeply(\@python, [], 'README.md has no other Python');

# A worker of Celery, and two of its tasks; it goes on until its input ends.
my $driver = <<'PYTHON';
import os
import sys

from celery.contrib.testing.worker import start_worker

import celery_task


@celery_task.app.task(base=celery_task.NotifyingTask, template="task_completion", name="reports.broken")
def broken():
    raise ValueError("no such report")


owner = {"user_id": os.environ["OWNER"], "organization_id": os.environ["ORGANIZATION"]}
with start_worker(celery_task.app, pool="solo", perform_ping_check=False):
    celery_task.export.apply_async(["May"], headers=owner, task_id="celery 1")
    broken.apply_async(headers=owner, task_id="celery 2")
    sys.stdin.read()
PYTHON

$node->sql(q{SELECT rhesis_notify.grant_to('app')});
my ($input, $output) = ('', '');
my $celery;
{
	local %ENV = (
		%ENV,
		OWNER => $JANE,
		ORGANIZATION => $ACME,
		PYTHONPATH => "$top/examples",
		PYTHONDONTWRITEBYTECODE => 1,
		CELERY_BROKER_URL => 'memory://',
		DATABASE_URL => sprintf('postgresql+psycopg2://app@/postgres?host=%s&port=%d', $node->host, $node->port));
	$celery = IPC::Run::start([ '/usr/bin/python3', '-c', $driver ], '<', \$input, '>&', \$output, IPC::Run::timeout(120));
}
$celery->pump_nb until $node->sql(q{SELECT count(*) = 2 FROM rhesis_notify.task_notifications WHERE finished_at IS NOT NULL}) eq 't' || !$celery->pumpable;
$celery->finish;

is( $node->sql(q{SELECT string_agg(concat_ws('|', task_id, task_name, status, delivery_status, recipient_email, result, error_message), E'\n' ORDER BY task_id)
		FROM rhesis_notify.task_notifications}),
	qq{celery 1|reports.export|success|sent|jane\@example.com|{"rows": 12, "report": "May"}\n}
	  . q{celery 2|reports.broken|failed|sent|jane@example.com|ValueError: no such report},
	'tasks of Celery are mailed, as the examples do it') or diag($output);
is( $node->sql(q{SELECT bool_and(completed_at >= started_at) FROM rhesis_notify.task_notifications}), 't', 'with their execution time');

$node->stop;
$peer->stop;
done_testing();
