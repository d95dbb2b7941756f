# Tests the statements of README.md and doc/: the SQL of each page runs, in order, in the page's own
# database, and every name exists. test/perl/RhesisNotify/Document.pm describes the markers in a
# page.
use strict;
use warnings FATAL => 'all';
use utf8;

use Cwd qw(abs_path);
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Document qw(pages page_text blocks beginning_of);
use RhesisNotify::Peer;
use RhesisNotify::Sources qw(source_text);
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $peer = RhesisNotify::Peer->start;
my $node = RhesisNotify::Cluster->serve('main', peer => $peer);
my $templates = page_text('doc/templates.md');

# The user and the organization in the pages.
my $people = q{
	INSERT INTO public.organization VALUES ('a0000000-0000-4000-8000-000000000001', 'example', 'Example');
	INSERT INTO public."user" (id, email, name, organization_id)
	VALUES ('b0000000-0000-4000-8000-000000000001', 'you@example.com', 'You', 'a0000000-0000-4000-8000-000000000001');
};

sub uniq
{
	my @words = @_;
	my %seen;
	my @sorted = sort grep { !$seen{$_}++ } @words;
	return @sorted;
}

# ---- Names ----

# If a page names an object with its schema, that object must exist.
my %known = map { $_ => 1 } split /\n/, $node->sql(
	q{
	SELECT split_part(name, '.', 2) FROM pg_settings WHERE name LIKE 'rhesis\_notify.%'
	UNION SELECT 'smtp_password'
	UNION SELECT proname FROM pg_proc WHERE pronamespace = 'rhesis_notify'::regnamespace
	UNION SELECT typname FROM pg_type WHERE typnamespace = 'rhesis_notify'::regnamespace
	UNION SELECT relname FROM pg_class WHERE relnamespace = 'rhesis_notify'::regnamespace});
# The example in a recipe does not exist.
my %is_example = ('doc/contributing.md' => { subject_prefix => 1 });
foreach my $page (pages())
{
	is_deeply([ grep { !$known{$_} && !$is_example{$page}{$_} } uniq(page_text($page) =~ m{(?<![/\w])rhesis_notify\.(?!c\b)(\w+)}g) ], [], "$page names nothing that does not exist");
}

# The extension must read the environment variables that a page shows.
my %variables = map { $_ => 1 } source_text('c') =~ /"((?:SMTP|FROM|FRONTEND)_[A-Z_]+)"/g;
foreach my $page (pages())
{
	is_deeply([ grep { !$variables{$_} } uniq(map { /^([A-Z_]+) = /mg } blocks(page_text($page), 'ini')) ], [], "the environment that $page shows is read");
}

# ---- SQL ----

$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');
my $roles = join ', ', map { "'$_'" } split /\n/, $node->sql('SELECT rolname FROM pg_roles');

# Removes everything that a page created.
sub forget_page
{
	$node->safe_psql('postgres', $_) foreach ('DROP DATABASE mydb', 'ALTER SYSTEM RESET ALL');
	$node->safe_psql('postgres', "DROP ROLE $_") foreach split /\n/, $node->sql("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname NOT IN ($roles)");
	$node->reload;
	return;
}

sub begin_page
{
	my ($text) = @_;

	$node->safe_psql('postgres', 'CREATE DATABASE mydb');
	$node->create_app('mydb');
	$node->safe_psql('mydb', $people . beginning_of($text));
	return;
}

sub sql_runs
{
	my ($page, $text) = @_;
	my $number = 0;

	foreach my $block (blocks($text, 'sql'))
	{
		my $errors;
		my $result = $node->psql('mydb', $block, stderr => \$errors);
		is($result, 0, sprintf('SQL %d of %s runs: %s', ++$number, $page, $block =~ s/\n.*//sr)) or diag($errors);
	}
	return;
}

# If the page shows psql's output of a query, the query must return the same columns.
sub answers_are_shaped_so
{
	my ($page, $text) = @_;

	while ($text =~ /^```sql\n((?:(?!^```).)*)^```\n(?:(?!^```).)*?^```(?:text)?\n( *\w[^\n]*)\n[-+]+\n/msg)
	{
		my ($query, $head) = ($1, $2);
		my ($answer) = split /\n/, run_psql($query);

		is($answer, join('|', map { s/^ +| +\z//gr } split /\|/, $head), "$page shows the columns of " . $query =~ s/\n.*//sr);
	}
	return;
}

# Checks that no line of psql's output about mails is wider than a terminal.
sub fits_a_terminal
{
	my ($page, $text) = @_;

	foreach my $query ($text =~ /^(SELECT [^;]*delivery_status[^;]*);/mg)
	{
		my $out;
		IPC::Run::run([ 'psql', '-X', '-q', '-d', $node->connstr('mydb'), '-c', $query ], '>', \$out) or die "psql failed: $query\n";
		is(join("\n", grep { length > 120 } split /\n/, $out), '', "$page fits 120 columns: $query");
	}
	return;
}

# Runs SQL with the names of the columns in the output, as a person sees it.
sub run_psql
{
	my ($query) = @_;
	my ($out, $error);

	IPC::Run::run([ 'psql', '-X', '-A', '-q', '-d', $node->connstr('mydb'), '-c', $query ], '>', \$out, '2>', \$error) or die "psql: $error";
	return $out;
}

# Returns the HTML that render_template() makes of these arguments.
sub html_of
{
	my (@arguments) = @_;
	return $node->sql('SELECT html FROM rhesis_notify.render_template(' . join(', ', map { "'$_'" } @arguments) . ')', 'mydb');
}

sub mails_are_sent
{
	my ($page, $count) = @_;
	$node->wait_for("SELECT count(*) = $count AND bool_and(state = 'sent' AND recipient = 'you\@example.com') FROM rhesis_notify.delivery_status", 'mydb');
	pass("$page: its mails are sent");
	return;
}

my %led_to = (
	'README.md' => sub { mails_are_sent('README.md', 2) },
	'doc/first-mail.md' => sub {
		my ($steps) = page_text('doc/first-mail.md') =~ /^ +step +\|.*\n[-+]+\n((?:.*\|.*\n)+)/m;

		mails_are_sent('doc/first-mail.md', 2);
		is($node->sql('SELECT step FROM rhesis_notify.check_smtp()', 'mydb'), join("\n", $steps =~ /^ (.*?) +\| t/mg), 'check_smtp has the steps that doc/first-mail.md shows');
	},
	'doc/recipients.md' => sub { is($node->sql('SELECT count(*) FROM rhesis_notify.task_notifications', 'mydb'), 0, 'what doc/recipients.md tries is not mailed') },
	'doc/templates.md' => sub {
		my $branded = html_of('task_completion', '{"status": "success", "task_name": "x", "result_url": "https://app.example/1"}', 'acme');

		like($branded, qr/ACME Labs<\/td>.*#b3261e/s, 'five lines of SQL brand a mail');
		unlike($branded, qr/#0b6a94/, '... and leave nothing of the shipped colour');
		like(html_of('failures', '{"any_failures": true, "failures": [{"test": "login", "reason": "timeout"}, {"test": "logout"}], "project_name": "Chat", "status": "success"}'),
			qr{<h2>Chat</h2>\s*<ul><li>login: timeout</li><li>logout: unknown</li></ul>(?!.*tests passed)}s, 'what came from Jinja2 shows what it did there');
	});

foreach my $page (pages())
{
	my $text = page_text($page);

	next unless blocks($text, 'sql');
	begin_page($text);
	sql_runs($page, $text);
	answers_are_shaped_so($page, $text);
	$led_to{$page}->() if $led_to{$page};
	fits_a_terminal($page, $text);
	forget_page();
}

# ---- The variables of templates, and the shipped layout ----

is_deeply(
	{ $templates =~ /^\| `(\w+)` \| `([^`]*)` \|/mg },
	{ split /[\n|]/, $node->sql(q{SELECT variable, example FROM rhesis_notify.template_variables('layout') WHERE example IS NOT NULL}) },
	'doc/templates.md has each variable, with its example');

my ($layout) = $templates =~ /^\| find \| what it is \|\n\| --- \| --- \|\n((?:\|.*\n)+)/m;
my $shipped = slurp_file("$top/templates/layout.html");
foreach my $find (map { s/<p \.\.\.>//r } map { /`([^`]+)`/g } $layout)
{
	ok(index($shipped, $find) >= 0, "the shipped layout has $find");
}

$node->stop;
$peer->stop;
done_testing();
