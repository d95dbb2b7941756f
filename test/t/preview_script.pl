# examples/preview.sh shows a template: subject and text in the terminal, and the HTML in the
# browser, as doc/templates.md says.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Document qw(page_text blocks);
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $node = RhesisNotify::Cluster->serve('main');
my $directory = PostgreSQL::Test::Utils::tempdir('browser');

# Runs the command with a program as the browser that stores the page. Returns the output and the
# page.
sub preview
{
	my ($command) = @_;
	my ($output, $error) = ('', '');
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', BROWSER => "cp -t $directory");

	ok(IPC::Run::run([ 'sh', '-c', "cd '$top' && $command" ], '<', \undef, '>', \$output, '2>', \$error, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default)), "$command runs") or diag($error);
	my $page = slurp_file("$directory/mail.html");
	unlink "$directory/mail.html";
	return ($output, $page);
}

my ($text, $html) = preview('examples/preview.sh');
like($text, qr/\ASubject: Task Completed: .*\n\n.*Task Details/s, 'subject and text are in the terminal');
like($html, qr/<html.*Task Details/s, '... and the HTML in the browser');

# ---- As in the documentation ----

$node->sql(q{INSERT INTO rhesis_notify.templates (organization_id, name, html, text)
	SELECT 'acme', name, replace(html, '{{from_name}}</td>', 'ACME Labs</td>'), text FROM rhesis_notify.shipped_templates WHERE name = 'layout'});
my @commands = map { split /\n/ } grep { /preview\.sh/ } blocks(page_text('doc/templates.md'), 'sh');
is(scalar(@commands), 2, 'doc/templates.md has two commands');

($text, $html) = preview($commands[0]);
like($html, qr/API Tests/, 'a template is filled in with the examples of its variables');

($text, $html) = preview($commands[1]);
like($text, qr/\ASubject: .*Failed.*out of memory/s, 'variables are laid over them');
like($html, qr/ACME Labs/, '... and it is the organization\'s');

# ---- A mistake ----

my ($output, $error) = ('', '');
{
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', BROWSER => 'false', TMPDIR => $directory);
	ok(!IPC::Run::run([ "$top/examples/preview.sh", 'no_such_template' ], '<', \undef, '>', \$output, '2>', \$error), 'a template that does not exist is an error');
}
like($error, qr/there is no template "no_such_template"/, '... that says so');
is_deeply([ glob("$directory/rhesis_notify_preview.*") ], [], '... and leaves nothing behind');

$node->stop;
done_testing();
