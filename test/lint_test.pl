# Tests test/lint, which `make lint` runs: the checkout passes, and each kind of breach is found.
# TAP.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename;
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use Test::More;

my $top = dirname(abs_path(dirname(__FILE__)));
my $scratch = tempdir('lint-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $checkout = "$scratch/checkout";

# Returns the output and the status of test/lint in a checkout.
sub lint
{
	my ($directory, @checks) = @_;
	my $output = qx('$directory/test/lint' @checks 2>&1);
	return ($output, $? >> 8);
}

sub slurp
{
	my ($file) = @_;
	open(my $handle, '<', $file) or return;
	local $/ = undef;
	return scalar <$handle>;
}

sub write_file
{
	my ($file, $text) = @_;
	open(my $handle, '>', $file) or die "could not write $file: $!\n";
	print $handle $text;
	close $handle or die "could not write $file: $!\n";
	return;
}

# Adds the line to a file of the copy, or creates the file with it, until this check has seen it.
# The check must report the breach.
sub is_found
{
	my ($check, $file, $line, $sentence, $name) = @_;
	my $before = slurp("$checkout/$file");

	make_path(dirname("$checkout/$file"));
	write_file("$checkout/$file", ($before // '') . "$line\n");
	my ($output, $status) = lint($checkout, $check);
	defined $before ? write_file("$checkout/$file", $before) : unlink "$checkout/$file";

	like($output, qr/\A(?:\Q$file\E\b.*$sentence.*\n)+\z/, $name);
	isnt($status, 0, '... and it fails');
	return;
}

my ($output, $status) = lint($top);
is($output, '', 'nothing is found in the sources as they are');
is($status, 0, '... so it succeeds');
system("$top/test/copy-sources", $top, $checkout) == 0 or die "could not copy the checkout\n";

# ---- Layout ----

is_found('layout', 'src/base/utf8.h', '#include "queue/queue.h"', 'points up: base/ is below queue/', 'an include that points up');
is_found('layout', 'src/smtp/smtp_pool.c', '# include <policy/outcome.h>', 'points up: smtp/ is below policy/', 'another, in another spelling');
is_found('layout', 'src/smtp/smtp_pool.c', '#include "mail/mailbox.h"', 'on the same level', 'an include of a folder on the same level');
is_found('layout', 'src/queue/queue.c', '#include "queue_try.h"', 'names no folder', 'an include without the folder');
is_found('layout', 'src/queue/queue.c', '#include "../worker/worker.h"', 'names no folder', 'a path that leads out of the folder');
is_found('layout', 'src/report/health.c', '#include "smtp/smtp_internal.h"', 'its own folder alone', 'an internal header of another folder');
is_found('layout', 'src/report/health.c', '#include "worker/worker_slot.c"', 'is no header', 'a source that is included');
is_found('layout', 'src/stray.c', 'int stray;', 'in no folder', 'a source beside the wiring');
is_found('layout', 'src/new/stray.c', 'int stray;', 'in no folder', 'a source in a folder without a level');

my $wiring = slurp("$checkout/src/rhesis_notify.c");
write_file("$checkout/src/rhesis_notify.c", qq{$wiring#include "worker/worker.h"\n});
($output, $status) = lint($checkout, 'layout');
is($output, '', 'the wiring may include any folder');

unlink "$checkout/src/queue/README.md";
($output, $status) = lint($checkout, 'layout');
is($output, "src/queue: has no README.md\n", 'a folder without a README is found');

# ---- Words ----

is_found('words', 'src/queue/queue.c', q{/* NoteRowsDueSince */}, 'NoteRowsDueSince', 'a name of old in a source');
is_found('words', 'doc/operate.md', q{The worker heeds a wish.}, 'wish', 'a word of old in a page');
is_found('words', 'test/t/health.pl', q{# The worker says farewell.}, 'farewell', 'a word of old in a test');

# ---- Calls ----

# Checks that a circle is found: a lower file of the copy gets a function that calls a higher one.
sub circle_is_found
{
	my ($lower, $call, $upper, $name) = @_;
	my $before = slurp("$checkout/$lower");

	write_file("$checkout/$lower", "$before\nvoid\nCallUp(void)\n{\n\t$call\n}\n");
	my ($found, $failed) = lint($checkout, 'calls');
	write_file("$checkout/$lower", $before);
	like($found, qr/^\Q$lower\E: is in a circle of calls: .*\b\Q$upper\E\b/m, $name);
	isnt($failed, 0, '... and it fails');
	return;
}

circle_is_found('src/smtp/smtp_transaction.c', 'SmtpKill(NULL);', 'smtp_connection.c', 'a call from the dialogue up to the connection');
circle_is_found('src/smtp/smtp_timer.c', 'SmtpRun(NULL);', 'smtp.c', 'a circle of more than two files');
circle_is_found('bench/sink/smtp.c', 'SessionStart(0);', 'session.c', 'a call from the protocol up to the session');
is_deeply([ lint($checkout, 'calls') ], [ '', 0 ], 'the same files without the call are in no circle');
write_file("$checkout/bench/sink/smtp.c", slurp("$checkout/bench/sink/smtp.c") . "\n/* SessionStart() is named here, */ static const char *text = \"and SessionStart() here\";\n");
is_deeply([ lint($checkout, 'calls') ], [ '', 0 ], 'a name in a comment or a string is no call');

# ---- What other programs find ----

is_found('format', 'src/queue/queue.c', 'int  stray;', 'clang-format', 'C in another style');
is_found('format', 'bench/sink/session.c', 'int  stray;', 'clang-format', '... outside src/ as well');
is_found('shell', 'test/stray.sh', "# shellcheck shell=sh\nrm -r \$1", 'SC2086', 'a shell script that splits words');
is_found('shell', 'demo/stray', "#!/bin/sh\nrm -r \$1", 'SC2086', '... also one that its first line alone tells');
is_found('python', 'examples/stray.py', 'import os', 'imported but unused', 'an import in Python that nothing uses');
is_found('python', 'bench/stray', "#!/usr/bin/env python3\nprint(stray)", 'undefined name', 'a name in Python that is not defined');
# Keep few Perl files in this copy, because perlcritic is slow.
remove_tree("$checkout/test/t");
is_found('perl', 'test/stray.pl', "use strict;\nuse warnings;\nmy \$stray;", 'declared but not used', 'a variable in Perl that nothing uses');
is_found('perl', 'test/guide/stray', "#!/usr/bin/perl\nuse warnings;\nprint 1;", 'strictures', 'a program in Perl without strict');

write_file("$checkout/.perlcriticrc", "[No::Such::Policy\n");
($output, $status) = lint($checkout, 'perl');
like($output, qr/\Aperlcritic failed: /, 'a program that does not do its work is no success');
isnt($status, 0, '... but a failure');
($output, $status) = lint($checkout, 'none');
isnt($status, 0, 'nor is a check that does not exist');

system('rm', '-rf', "$checkout/src/$_") foreach qw(mail queue recipients report server smtp template worker);
($output, $status) = lint($checkout, 'layout');
like($output, qr/fewer than 60/, 'nor are sources that are not where they are looked for');
isnt($status, 0, '... but a failure');

done_testing();
