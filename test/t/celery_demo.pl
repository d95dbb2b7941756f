
# Runs the demo of examples/celery/README.md as written, block by block, in two terminals, with the
# broker on Debian's port. Root installs the packages, so this test only checks that the page names
# the right ones.
use strict;
use warnings FATAL => 'all';

use RhesisNotify::OwnNetwork;

use Cwd qw(abs_path);
use File::Basename;
use IO::Socket::INET;
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Utils;
use RhesisNotify::Daemon;
use RhesisNotify::Document qw(page_text blocks);
use RhesisNotify::Peer;
use Test::More;

# The demo starts its servers in an environment without the options of the sanitizers.
plan skip_all => 'the demo gives its servers an environment of its own' if $ENV{RHESIS_SANITIZED};

my $top = abs_path(dirname(__FILE__) . '/../..');
my $examples = "$top/examples/celery";
my $page = page_text('examples/celery/README.md');
my ($demo) = $page =~ /^## Run the demo\n(.*)/ms;
my ($install, $terminal, $work, $submit, $look, $stop) = blocks($demo, 'sh');
my ($submitted, $mailed) = blocks($demo, 'text');

# ---- The old method and the new one ----

my ($old, $new) = blocks($page, 'python');
like($page, qr/^<tr\b[^\n]*<td>\n\n```python\n\Q$old\E```\n\n<\/td><td>\n\n```python\n\Q$new\E```\n\n<\/td><\/tr>$/m, 'the old way and this way stand side by side');
ok(index(slurp_file("$examples/before.py"), $old) >= 0, '... as before.py');
ok(index(slurp_file("$examples/after.py"), $new) >= 0, '... and after.py have them');

# ---- The packages to install ----

# Returns the packages that the demo needs: those that its modules import, and those that SQLAlchemy
# and Celery import for the two URLs on the page. Python's own modules and those of the example are
# left out.
sub imported
{
	my @names = split ' ', qx(/usr/bin/python3 - '$examples' 2>&1 <<'PYTHON'
import ast, pathlib, sys

names = set()
files = list(pathlib.Path(sys.argv[1]).glob("*.py"))
for file in files:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
known = set(sys.stdlib_module_names).union(file.stem for file in files)
print(*{name.split(".")[0] for name in names} - known)
PYTHON
);
	my @sorted = sort @names, $terminal =~ m{^export DATABASE_URL=postgresql\+(\w+):}m, $terminal =~ m{^export CELERY_BROKER_URL=(\w+):}m;
	return @sorted;
}

my ($pip) = $page =~ /^pip install (.*)$/m;
is_deeply([ sort map { s/-binary\z//r } $pip =~ /[\w-]+/g ], [ imported() ], 'pip is to install what is imported');

my ($apt) = $install =~ s/^apt-get install -y (.*)\n//m ? $1 : die "the demo has no packages\n";
my @packages = split ' ', $apt;
is_deeply([ sort @packages ], [ sort 'make', 'redis-server', map { "python3-$_" } imported() ], 'and so is apt-get');
command_ok([ 'dpkg-query', '-W', @packages ], 'these packages are here');

# ---- The demo ----

# The environment of a user's shell. Its Python is Debian's, also if the machine has another one.
chomp(my $bindir = qx(pg_config --bindir));
my %shell = (
	PATH => "$bindir:/usr/bin:/bin", HOME => $ENV{HOME}, LC_ALL => 'C.UTF-8', PYTHONDONTWRITEBYTECODE => 1,
	map { defined $ENV{$_} ? ($_ => $ENV{$_}) : () } qw(PG_CONFIG TMPDIR));
my $checkout = PostgreSQL::Test::Utils::tempdir('checkout');
my ($redis, $worker);

sub in_checkout
{
	my ($name, @blocks) = @_;
	my $output = '';
	local %ENV = %shell;

	ok(IPC::Run::run([ 'sh', '-eu', '-c', join('', "cd $checkout\n", @blocks) ], '<', \undef, '>&', \$output), $name) or diag($output);
	return $output;
}

# Runs blocks of the page in the background, as in a second terminal. They have their own process
# group, and the last command keeps running. Returns the process id.
sub leave_running
{
	my ($log, @blocks) = @_;
	my $pid = fork() // die "could not fork: $!\n";

	return $pid if $pid;
	setpgrp(0, 0);
	%ENV = %shell;
	open(STDIN, '<', '/dev/null') or POSIX::_exit(127);
	open(STDOUT, '>', $log) or POSIX::_exit(127);
	open(STDERR, '>&', \*STDOUT) or POSIX::_exit(127);
	exec('sh', '-eu', '-c', join('', "cd $checkout\n", @blocks)) or POSIX::_exit(127);
}

sub press_ctrl_c
{
	my $pid = $worker // return;

	undef $worker;
	kill 'INT', -$pid;
	waitpid($pid, 0);
	return;
}

END
{
	local $?;
	press_ctrl_c();
	if (-d $checkout)
	{
		local %ENV = %shell;
		system("$checkout/demo/run", '--stop');
	}
}

# Removes what differs between runs: the numbers that the mail server assigns, and the order of the
# lines. Lines of mails end with CR LF.
sub without_chance
{
	my ($text) = @_;
	return [ sort map { s/queued as \d+/queued as N/r } split /\r?\n/, $text ];
}

system("$top/test/copy-sources", $top, $checkout) == 0 or die "could not copy the sources\n";
$redis = RhesisNotify::Daemon->start('redis', [ 'redis-server', '--save', '', '--dir', $checkout ]);
RhesisNotify::Peer::wait_until(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => 6379) }, 'the broker listens where Debian has it');

like(in_checkout('the demo is left running', $install), qr/^It is still running$/m, '... and says so');
my ($socket) = split /\n/, in_checkout('it has a socket', "demo/run --socket\n");

my $log = "$PostgreSQL::Test::Utils::log_path/worker.log";
$worker = leave_running($log, $terminal, $work);
my $output = in_checkout('tasks are submitted, and their mails looked at', $terminal, $submit, "echo ----\n", $look);
my ($states, $subjects) = split /^----\n/m, $output;
is_deeply(without_chance($states), without_chance($submitted), 'README.md shows what became of them') or diag(slurp_file($log));
is_deeply(without_chance($subjects), without_chance($mailed), '... and their subjects');

press_ctrl_c();
unlike(slurp_file($log), qr/Could not report/, 'the worker could report each of its tasks');
like(in_checkout('the demo can be stopped', $terminal, $stop), qr/^The demo is stopped\.$/m, '... as the page says');
ok(!-e dirname($socket), 'nothing is left of it');

$redis->stop;
done_testing();
