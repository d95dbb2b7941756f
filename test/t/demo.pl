# `make demo` prints a table at its end that shows what became of the mails: into a file, on a
# terminal, on a narrow terminal, and as in README.md.
use strict;
use warnings FATAL => 'all';
use utf8;

use Cwd qw(abs_path);
use Encode qw(decode);
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use RhesisNotify::Document qw(page_text);
use Test::More;

# The demo starts its servers in an environment without the options of the sanitizers.
plan skip_all => 'the demo gives its servers an environment of its own' if $ENV{RHESIS_SANITIZED};

my $top = abs_path(dirname(__FILE__) . '/../..');
chomp(my $bindir = qx(pg_config --bindir));
my @demo = ("$top/demo/run", "--bindir=$bindir");

# Returns the output from the title of the table on.
sub end_of_demo
{
	my ($environment, @command) = @_;
	my ($output, $error) = ('', '');
	local %ENV = (%ENV, LC_ALL => 'C.UTF-8', %$environment);

	ok(IPC::Run::run([@command], '<', \undef, '>', \$output, '2>', \$error, IPC::Run::timeout(2 * $PostgreSQL::Test::Utils::timeout_default)), 'the demo succeeds') or diag("$output$error");
	$output = decode('UTF-8', $output) =~ s/\r\n/\n/gr;
	return $output =~ /^(\S*Results\b.*)/ms ? $1 : die "the demo has no end:\n$output";
}

# Removes what differs in each run: times, and the order of the mails on the mail server.
sub without_chance
{
	my ($text) = @_;
	return $text =~ s/ +[\d.]+ m?s\b/ TIME/gr =~ s/queued as \d+/queued as N/gr;
}

# ---- Into a file ----

my $end = end_of_demo({}, @demo);
my ($table) = $end =~ /^(╭.*╯)$/ms;

unlike($end, qr/\e/, 'a file gets no colours');
is_deeply([ map { length } split /\n/, $table ], [ (length((split /\n/, $table)[0])) x (split /\n/, $table) ], 'the lines of the table are of one width');
like($table, qr/│ 1  Task Completed: Test Execution Summary - 2.*… +jane\@acme\.example +✔ sent +1 +[\d.]+ m?s │\n│    ↳ 250 /, 'a mail that was sent');
like($table, qr/│ 4 .* busy\@acme\.example +✔ sent +2 .*\n.*↳ 450 4\.2\.0 Mailbox busy, try again later, then 250 /, 'one that was put off first');
like($table, qr/│ 5 .* gone\@acme\.example +✘ failed +1 .*\n.*↳ 550 5\.1\.1 No such user/, 'one that was refused');
like($table, qr/│ 6  execute_single_test .* – skipped +0 .*\n.*↳ silent_task: /, 'one that is not owed');
like($end, qr/^7 tasks: 4 sent, 1 failed, 2 skipped$/m, 'how many');
my ($mail) = $end =~ /^Look at next\n  a mail +(\S+)$/m;
ok(-s $mail, "it names a mail to look at, $mail");
like(slurp_file($mail), qr/<html/, '... which is one');

my ($shown) = page_text('README.md') =~ /^(\x{e2}\x{95}\x{ad}.*?\x{e2}\x{95}\x{af})$/ms;
is(without_chance(decode('UTF-8', $shown // '')), without_chance($table), 'README.md shows this table');

# ---- On a terminal ----

# Python's pty makes a terminal.
my @on_terminal = ('/usr/bin/python3', '-c', 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))', @demo);
my %terminal = (TERM => 'xterm');

$end = end_of_demo({ %terminal, COLUMNS => 100 }, @on_terminal);
like($end, qr/\e\[32m✔ sent *\e\[0m/, 'a terminal shows what was sent in green');
like($end, qr/\e\[31m✘ failed *\e\[0m/, '... and what failed in red');
is((sort { $b <=> $a } map { length(s/\e\[\d+m//gr) } grep { /[│╭╰]/ } split /\n/, $end)[0], 100, 'the table is as wide as the terminal');

$end = end_of_demo({ %terminal, COLUMNS => 48, NO_COLOR => 1 }, @on_terminal);
unlike($end, qr/\e/, 'NO_COLOR is respected');
unlike($end =~ s/^Look at next.*//msr, qr/^.{49}/m, 'on a narrow terminal no line of it is wider');
like($end, qr/^1  Task Completed: Test Execution Summary - 2 of\n   10 tests failed\n   To      jane\@acme\.example\n   State   ✔ sent$/m, '... and each mail is a paragraph');

# ---- The mail catcher ----

# Starts a mail catcher after some preparation. Returns whether it listens, or why not.
sub start_mail_catcher
{
	my ($password, $preparation) = @_;
	my $output = '';
	local %ENV = (%ENV, PYTHONPATH => "$top/demo", PYTHONDONTWRITEBYTECODE => 1);

	IPC::Run::run([ '/usr/bin/python3', '-c', <<"PYTHON", $password ], '>&', \$output);
import os, sys
from servers import DemoError, fill, new_demo

demo = new_demo("$bindir")
try:
    fill(demo)
    $preparation
    print("listens" if demo.start_mail_catcher(sys.argv[1]) else "has no port")
except DemoError as error:
    print(error)
finally:
    demo.stop()
PYTHON
	return $output;
}

is(start_mail_catcher('-a-password', 'pass'), "listens\n", 'a password that begins with a dash is one');
like(start_mail_catcher('secret', 'os.remove(f"{demo.scratch}/peers/smtp_rules.py")'), qr/^the mail catcher has ended:\n.*No module named 'smtp_rules'/s,
	'a mail catcher that ends says why');

# ---- Without Unicode ----

my $drawing = <<'PYTHON';
from terminal import Column, Row, Terminal, draw

terminal = Terminal()
for line in draw(terminal, [Column("#"), Column("Mail", least=10), Column("To")], [Row(["1", "A subject \u00fc that is cut, since it is far too long for a table of so few columns", "ren\u00e9"], note="a note")]):
    terminal.say(line)
PYTHON
{
	my $output;
	local %ENV = (%ENV, PYTHONPATH => "$top/demo", PYTHONDONTWRITEBYTECODE => 1, PYTHONIOENCODING => 'ascii', COLUMNS => 76);

	IPC::Run::run([ '/usr/bin/python3', '-c', $drawing ], '>', \$output);
	is($output, join('', map { "$_\n" } (
				'+--------------------------------------------------------------------------+',
				'| #  Mail                                                             To   |',
				'+--------------------------------------------------------------------------+',
				'| 1  A subject ? that is cut, since it is far too long for a tabl...  ren? |',
				'|      a note                                                              |',
				'+--------------------------------------------------------------------------+')),
		'a table without Unicode');
}

done_testing();
