
# A test that uses this module runs in a network of its own, with nothing in it but a loopback interface: every port is free, and
# nothing outside can be reached. It is started again in there, so the module has to be used before all others: PostgreSQL's take
# standard output over. Where the system does not give users a network of their own, the test is skipped.
#
#   use RhesisNotify::OwnNetwork q{commands that prepare it, for sh};
#
# Mounts that they make are the test's own, too.
package RhesisNotify::OwnNetwork;

use strict;
use warnings;

sub import
{
	my (undef, $prepare) = @_;
	my @enter = (
		qw(unshare --user --map-current-user --keep-caps --mount --net sh -c),
		'ip link set lo up && eval "$1" || exit 1; shift; exec "$@"',
		'sh', $prepare // ':');

	return if $ENV{RHESIS_OWN_NETWORK};
	if (system(@enter, 'true') != 0)
	{
		print "1..0 # SKIP this system does not give users a network of their own\n";
		exit 0;
	}
	$ENV{RHESIS_OWN_NETWORK} = 1;
	exec(@enter, $^X, (map { ('-I', $_) } @INC), $0) or die "could not run the test again: $!\n";
}

1;
