# The sources, as test/list-sources has them, and the levels of their folders.
package RhesisNotify::Sources;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename;

our @EXPORT_OK = qw(source_files source_text folder_levels);

my $top = abs_path(dirname(__FILE__) . '/../../..');

# The folders of src/, the lowest first: a folder needs none but those of the levels below its own.
my @levels = (
	[qw(base)], [qw(mustache mail smtp)], [qw(policy)], [qw(settings)], [qw(server)], [qw(queue)],
	[qw(recipients)], [qw(template)], [qw(delivery)], [qw(worker report)],);

sub folder_levels
{
	return @levels;
}

# Full paths: of the C sources those of one extension ("c", "h") or of both, or ("sql") the parts of the install script.
sub source_files
{
	my ($extension) = @_;
	open(my $list, '-|', "$top/test/list-sources", $extension // ()) or die "could not run test/list-sources: $!\n";
	chomp(my @files = <$list>);
	close $list or die "test/list-sources failed\n";
	return map { "$top/$_" } @files;
}

# The same as one text.
sub source_text
{
	my ($extension) = @_;
	local @ARGV = source_files($extension);
	local $/ = undef;
	return join '', <>;
}

1;
