
# A test that uses this module runs in its own network, which has only a loopback interface. There
# every port is free, and nothing outside can be reached. The test is executed again inside that
# network. So use this module before all others, because PostgreSQL's modules redirect the standard
# output. If users may not create a network on this system, the test is skipped.
#
#   use RhesisNotify::OwnNetwork q{commands that prepare it, for sh};
#
# Mounts that these commands make belong to the test, too.
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
