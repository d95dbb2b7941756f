# The symbols of the library: it exports only what PostgreSQL must find. It uses the functions of
# the server, the C library and libcurl, whatever other libraries are preloaded.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
my $library = $node->config_data('--pkglibdir') . '/rhesis_notify.so';
my $postgres = $node->config_data('--bindir') . '/postgres';

# Returns the symbols of one kind, "defined" or "undefined". The version of a symbol comes after
# '@'. Symbols that may be missing (weak ones) are left out.
sub names_of
{
	my ($kind, $file) = @_;
	return map { (split)[-1] } grep { !/ [wv] / } split /\n/, qx{nm -D --$kind-only '$file'};
}

my @exported = names_of(defined => $library);
cmp_ok(scalar(@exported), '>', 30, 'the exported names were found');
is_deeply([ grep { !/^(?:_PG_init|Pg_magic_func|Rhesis(?:Launcher|Worker)Main|(?:pg_finfo_)?rhesis_notify_\w+)$/ } @exported ], [],
	'no name is exported but those that PostgreSQL must find');

my %functions = map { $_ => 1 } map { /^pg_finfo_(\w+)$/ } @exported;
is_deeply([ sort grep { /^rhesis_notify_/ } @exported ], [ sort keys %functions ], 'of functions those that SQL calls');

my %of_server = map { $_ => 1 } names_of(defined => $postgres);
cmp_ok(scalar(keys %of_server), '>', 1000, 'the names of the server were found');
SKIP:
{
	skip 'a sanitizer has functions of its own', 1 if $ENV{RHESIS_SANITIZED};
	is_deeply([ grep { !/\@(?:GLIBC|GCC|CURL)/ && !/^curl_\w+$/ && !$of_server{$_} } names_of(undefined => $library) ], [],
		'what it takes from others is the server\'s, the C library\'s or libcurl\'s');
}

done_testing();
