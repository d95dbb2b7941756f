# test/lint, which `make lint` runs: the checkout passes, and each breach that it is for is found. TAP.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

my $top = dirname(abs_path(dirname(__FILE__)));
my $scratch = tempdir('lint-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $checkout = "$scratch/checkout";

# Output and status of test/lint in a checkout.
sub lint
{
	my ($directory) = @_;
	my $output = qx('$directory/test/lint' 2>&1);
	return ($output, $? >> 8);
}

sub append
{
	my ($file, $line) = @_;
	open(my $handle, '>>', "$checkout/$file") or die "could not write $file: $!\n";
	print $handle "$line\n";
	close $handle or die "could not write $file: $!\n";
	return;
}

# The line is added to a copy of the file, or is all of a new one.
sub is_found
{
	my ($file, $line, $sentence, $name) = @_;
	system("$top/test/copy-sources", $top, $checkout) == 0 or die "could not copy the checkout\n";
	make_path(dirname("$checkout/$file"));
	append($file, $line);
	my ($output, $status) = lint($checkout);

	like($output, qr/\A\Q$file\E\b.*$sentence.*\n\z/, $name);
	isnt($status, 0, '... and it fails');
	return;
}

my ($output, $status) = lint($top);
is($output, '', 'the sources keep to their layout');
is($status, 0, '... so it succeeds');

is_found('src/base/utf8.h', '#include "queue/queue.h"', 'points up: base/ is below queue/', 'an include that points up');
is_found('src/smtp/smtp_pool.c', '# include <policy/outcome.h>', 'points up: smtp/ is below policy/', 'another, in another spelling');
is_found('src/smtp/smtp_pool.c', '#include "mail/mailbox.h"', 'on the same level', 'an include of a folder on the same level');
is_found('src/queue/queue.c', '#include "queue_try.h"', 'names no folder', 'an include without the folder');
is_found('src/queue/queue.c', '#include "../worker/worker.h"', 'names no folder', 'a path that leads out of the folder');
is_found('src/report/health.c', '#include "smtp/smtp_internal.h"', 'its own folder alone', 'an internal header of another folder');
is_found('src/report/health.c', '#include "worker/worker_slot.c"', 'is no header', 'a source that is included');
is_found('src/stray.c', 'int stray;', 'in no folder', 'a source beside the wiring');
is_found('src/new/stray.c', 'int stray;', 'in no folder', 'a source in a folder without a level');

system("$top/test/copy-sources", $top, $checkout) == 0 or die "could not copy the checkout\n";
append('src/rhesis_notify.c', '#include "worker/worker.h"');
($output, $status) = lint($checkout);
is($output, '', 'the wiring may include any folder');

unlink "$checkout/src/queue/README.md";
($output, $status) = lint($checkout);
is($output, "src/queue: has no README.md\n", 'a folder without a README is found');

system('rm', '-rf', "$checkout/src/$_") foreach qw(mail queue recipients report server smtp template worker);
($output, $status) = lint($checkout);
like($output, qr/fewer than 60/, 'sources that are not where they are looked for are no success');
isnt($status, 0, '... but a failure');

done_testing();
