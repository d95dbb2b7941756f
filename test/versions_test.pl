# Tests `make test-versions` with a Debian that cannot be made, because its mirror does not answer.
# The run must continue, fail, and report it. TAP. test/run runs this as root. `make test-versions`
# itself shows that an existing Debian is tested. A release candidate has no image:
# the run must skip it and print the reason.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Test::More;

my $versions = abs_path(dirname(__FILE__)) . '/versions';
my $roots = tempdir('roots-XXXXXX', TMPDIR => 1, CLEANUP => 1);

# A port of ours on which no program listens.
my $port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp') or die "no free port: $!\n";
my $mirror = 'http://127.0.0.1:' . $port->sockport . '/debian';

sub run_without_mirror
{
	my ($suites, @wanted) = @_;
	my $output = qx(env LC_ALL=C no_proxy=127.0.0.1 DEBIAN_MIRROR=$mirror SUITES=$suites TESTS= "$versions" "$roots" @wanted 2>&1);
	return ($output, $?);
}

my ($output, $status) = run_without_mirror('unit', 15, 17, 18, 19);

cmp_ok($status, '!=', 0, 'the run fails');
foreach my $release (qw(bookworm trixie sid experimental))
{
	like($output, qr{^E: .*\n(?:.*\n)*?no Debian $release could be made in $roots/$release$}m, "it says that there is no $release, and debootstrap's reason");
	ok(!-e "$roots/$release", '... which the next run does not take for one');
}
my $failures = join '', map { "PostgreSQL $_: 0 passed, 1 failed, \\d+ s\n" } 15, 17, 18, 19;
like($output, qr/^${failures}0 passed, 4 failed\n\z/m, 'each version counts as a failure')
  or diag($output);

($output, $status) = run_without_mirror('', 19);
like($output, qr/^skipped: image of PostgreSQL 19 - \S.*\n/m, 'the image of a release candidate is skipped, with a reason');
like($output, qr/^0 passed, 1 failed, 1 skipped\n\z/m, '... and counted') or diag($output);

done_testing();
