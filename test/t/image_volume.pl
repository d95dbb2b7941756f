# A PostgreSQL that has no file of the extension finds it through extension_control_path and
# dynamic_library_path, in directories as CloudNativePG mounts them (share/extension, lib). It sends
# mail, and updates the extension from the scripts there.
use strict;
use warnings FATAL => 'all';

use File::Basename;
use File::Copy;
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use RhesisNotify::Cluster;
use RhesisNotify::Peer;
use Test::More;

my ($major) = qx("$ENV{PG_CONFIG}" --version) =~ /^PostgreSQL (\d+)/ or die "pg_config names no version\n";
plan skip_all => "PostgreSQL $major has no extension_control_path: 18 and later have it" if $major < 18;

# A copy of the staged PostgreSQL, whose files of the extension are moved to the volume.
my $peer = RhesisNotify::Peer->start;
my $installation = PostgreSQL::Test::Utils::tempdir();
my $volume = "$installation/extensions/rhesis_notify";
my ($prefix, $libraries, $shared) = map { chomp(my $directory = qx("$ENV{PG_CONFIG}" $_)); "$installation$directory" } qw(--bindir --pkglibdir --sharedir);
$prefix = dirname($prefix);

system_or_bail('cp', '-a', "$ENV{RHESIS_STAGE}/.", $installation);
make_path("$volume/share/extension", "$volume/lib");
my @scripts = glob "$shared/extension/rhesis_notify*";
cmp_ok(scalar(@scripts), '>', 2, 'there are a control file and scripts');
move($_, "$volume/share/extension/") or die "could not move $_: $!\n" foreach @scripts;
move("$libraries/rhesis_notify.so", "$volume/lib/") or die "could not move the library: $!\n";
system_or_bail('chmod', '-R', 'a-w', $volume);

my %paths = (
	'server.max_worker_processes' => 16,
	'server.extension_control_path' => "\$system:$volume/share",
	'server.dynamic_library_path' => "\$libdir:$volume/lib");
my $node = RhesisNotify::Cluster->serve('main', peer => $peer, bare => 1, installed => $prefix, settings => \%paths);

$node->create_app('postgres');
my $mail = $node->report;
$node->wait_for_state($mail, 'sent');
is($peer->mail_count, 1, 'a mail is sent');
is($node->sql(q{SELECT module_name || ' ' || version FROM pg_get_loaded_modules() WHERE file_name = 'rhesis_notify.so'}),
	'rhesis_notify ' . $node->sql(q{SELECT extversion FROM pg_extension WHERE extname = 'rhesis_notify'}), 'pg_get_loaded_modules() shows the name and version of the library');
my ($maps) = map { slurp_file("/proc/$_/maps") } $node->worker('pid');
like($maps, qr{ \Q$volume\E/lib/rhesis_notify\.so$}m, 'the worker runs the library of the volume');
unlike($maps, qr{(?<!\Q$volume\E/lib)/rhesis_notify\.so$}m, '... and no other');

# Objects of an earlier version name the library in the same way.
foreach my $version (map { m{/rhesis_notify--(\d+\.\d+)\.sql$} ? $1 : () } glob "$volume/share/extension/*")
{
	my $database = "from $version";

	$node->sql(qq{CREATE DATABASE "$database"});
	$node->create_app($database, $version);
	$node->sql('ALTER EXTENSION rhesis_notify UPDATE', $database);
	$mail = $node->report(database => $database);
	$node->wait_for_state($mail, 'sent', $database);
	pass("$version is created and updated from the volume, and sends mail");
}

# A restart begins with the library, a session with the functions.
$node->restart;
$mail = $node->report;
$node->wait_for_state($mail, 'sent');
pass('mail is sent after a restart');

# Without the paths nothing of it can be found: the files above were those of the volume.
$node->stop;
$node->configure('server.extension_control_path' => '$system', 'server.dynamic_library_path' => '$libdir');
my $log_offset = -s $node->logfile;
ok(!$node->start(fail_ok => 1), 'without the paths the server does not start');
like($node->log($log_offset), qr/could not access file "rhesis_notify"/, '... because it finds no library');
$node->configure('server.shared_preload_libraries' => '');
$node->start;
$node->sql('CREATE DATABASE another');
like($node->sql_error('CREATE EXTENSION rhesis_notify', 'another'), qr/extension "rhesis_notify" is not available/, '... and no control file');

$node->stop;
done_testing();
