# The Makefile: it refuses what cannot be built with one sentence, and builds stale files again. If
# root builds in a user's checkout, the files belong to that user. TAP. test/run runs this as root.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;
use Time::HiRes;

my $top = dirname(abs_path(dirname(__FILE__)));
my $scratch = tempdir('makefile-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $checkout = "$scratch/checkout";
my $USER = 12345;
my $EXECUTABLE = oct('755');
my $pg_config = $ENV{PG_CONFIG} // 'pg_config';

chmod $EXECUTABLE, $scratch;
# The makes of this test must not see the variables of the calling `make test`.
delete @ENV{qw(MAKELEVEL MAKEFLAGS MFLAGS RHESIS_HANDS_BACK RHESIS_PACKAGES PG_CONFIG)};
$ENV{LC_ALL} = 'C';
system("$top/test/copy-sources", $top, $checkout) == 0 or die "could not copy the checkout\n";
system('chown', '-R', '0:0', $checkout);

sub write_file
{
	my ($file, $text, $mode) = @_;
	open(my $handle, '>', $file) or die "could not write $file: $!\n";
	print $handle $text;
	close $handle or die "could not write $file: $!\n";
	chmod $mode, $file if $mode;
	return $file;
}

sub slurp
{
	my ($file) = @_;
	open(my $handle, '<', $file) or return '';
	local $/ = undef;
	return scalar <$handle> // '';
}

# Runs a shell command in a directory. Returns its output and status.
sub shell
{
	my ($directory, $command) = @_;
	my $output = qx(cd '$directory' && { $command; } 2>&1 </dev/null);
	return ($output, $? >> 8);
}

# Creates a program that answers as pg_config or curl-config does.
sub program
{
	my ($name, %answers) = @_;
	my $cases = join '', map { "$_) echo '$answers{$_}' ;;\n" } sort keys %answers;
	return write_file("$scratch/$name", "#!/bin/sh\ncase \$1 in\n$cases*) exit 1 ;;\nesac\n", $EXECUTABLE);
}

# ---- Refusals ----

sub is_refused
{
	my ($directory, $command, $sentence, $name) = @_;
	my ($output, $status) = shell($directory, $command);

	like($output, qr/\A(?:.*: )?\*\*\* .*$sentence.*Stop\.\n\z/, "$name: one sentence says so") or diag($output);
	isnt($status, 0, '... and make fails');
	return;
}

my $old_postgresql = program('old_pg_config', '--version' => 'PostgreSQL 14.9 (Debian 14.9-1)', '--pgxs' => "$scratch/no/pgxs.mk");
my $no_headers = program('bare_pg_config', '--version' => 'PostgreSQL 16.1', '--pgxs' => "$scratch/no/pgxs.mk");
my $old_curl = program('old_curl_config', '--version' => 'libcurl 7.86.0', '--vernum' => '075600', '--cflags' => '', '--libs' => '-lcurl');
my $least_curl = program('least_curl_config', '--version' => 'libcurl 7.87.0', '--vernum' => '075700', '--cflags' => '', '--libs' => '-lcurl');
my $newest_curl = program('newest_curl_config', '--version' => 'libcurl 8.15.0', '--vernum' => '080f00', '--cflags' => '', '--libs' => '-lcurl');

foreach my $goal ('', 'install', 'demo', 'test')
{
	is_refused($checkout, "make $goal PG_CONFIG=$old_postgresql", 'PostgreSQL 14\.9 .* too old, .* 15 or newer', "make $goal, PostgreSQL 14");
	is_refused($checkout, "make $goal PG_CONFIG=$pg_config CURL_CONFIG=$old_curl", 'libcurl 7\.86\.0 is too old, .* 7\.87\.0 or newer', "make $goal, libcurl 7.86");
}
is_refused($checkout, "make PG_CONFIG=$scratch/none", 'install the package postgresql-server-dev-all,', 'no pg_config');
is_refused($checkout, "make PG_CONFIG=$no_headers", 'install the package postgresql-server-dev-16,', 'no headers of PostgreSQL');
is_refused($checkout, "make PG_CONFIG=$pg_config CURL_CONFIG=$scratch/none", 'install the package libcurl4-openssl-dev,', 'no headers of libcurl');
is_refused("$checkout/src", "make -f ../Makefile PG_CONFIG=$pg_config", 'run make -C \.\./', 'another directory');
is_refused($scratch, "make -f $checkout/Makefile PG_CONFIG=$pg_config", "run make -C \Q$checkout\E/", 'a directory outside');
is_refused($checkout, "make VPATH=src PG_CONFIG=$pg_config", 'VPATH', 'VPATH');
foreach my $name ('with a blank', 'with$dollar', 'with(parentheses)', 'with;semicolon')
{
	make_path("$scratch/$name/test");
	system('cp', "$checkout/Makefile", "$checkout/rhesis_notify.control", "$scratch/$name");
	system('cp', "$checkout/test/before-build.mk", "$scratch/$name/test");
	is_refused("$scratch/$name", 'make', 'use a directory of another name', "a directory $name");
}
foreach my $curl ($least_curl, $newest_curl)
{
	my ($output, $status) = shell($checkout, "make -n PG_CONFIG=$pg_config CURL_CONFIG=$curl all");
	is($status, 0, basename($curl) . ' is new enough') or diag($output);
}
my ($output, $status) = shell($checkout, "make clean PG_CONFIG=$scratch/none CURL_CONFIG=$scratch/none");
is($status, 0, 'make clean needs nothing of that') or diag($output);
foreach my $goal (qw(demo test bench))
{
	($output, $status) = shell($checkout, "make -n $goal PG_CONFIG=$scratch/none CURL_CONFIG=$scratch/none");
	unlike($output, qr/No such file|not found/, "make $goal complains of nothing that it is about to install");
}

# ---- Names of variables ----

my $makefile = join '', map { slurp("$checkout/$_") } qw(Makefile test/before-build.mk test/targets.mk bench/targets.mk);
my %ours = map { $_ => 1 } map { /make [-\w]+[^\n]*?\b([A-Z][A-Z_]+)=/g } $makefile, map { slurp($_) } glob "$top/README.md $top/doc/*.md $top/bench/README.md";
$ours{$_} = 1 foreach $makefile =~ /"\$\(([A-Z][A-Z_]+)\)"/g;
# These are PostgreSQL's on purpose.
delete @ours{qw(PG_CONFIG DESTDIR)};
chomp(my $pgxs = qx('$pg_config' --pgxs));
my $postgresqls = join '', map { slurp($_) } glob dirname($pgxs) . '/*.mk ' . dirname(dirname($pgxs)) . '/Makefile.*';
like($postgresqls, qr/^include/m, 'PostgreSQL\'s makefiles are read');
ok($ours{COMPARE}, 'so are the names of our variables: ' . join(' ', sort keys %ours));
is(join(' ', grep { $postgresqls =~ /\$\($_\)|ifn?def $_\b|\b$_\s*[:?+]?=/ } sort keys %ours), '', 'none of them is PostgreSQL\'s');

# ---- The stage is renewed when an installed package changes ----

my $installed = "$scratch/installed";
make_path(map { "$installed/$_" } qw(bin lib share/extension));
write_file("$installed/bin/postgres", "#!/bin/sh\n", $EXECUTABLE);
my @directories = ('--bindir' => "$installed/bin", '--pkglibdir' => "$installed/lib", '--sharedir' => "$installed/share");
my $staged = program('staged_pg_config', '--version' => 'PostgreSQL 15.1', @directories);

sub stage
{
	my ($name, $expected) = @_;
	my ($said, $code) = shell($checkout, "test/stage-postgresql $staged $scratch/stage");
	is($code, 0, $name) or diag($said);
	is(join(' ', sort map { s{.*/}{}r } split /\n/, qx(find $scratch/stage$installed -type f)), $expected, "... it has $expected");
	return;
}

stage('PostgreSQL is staged', 'postgres');
write_file("$scratch/stage$installed/lib/ours.so", 'ours');
stage('what is there is kept', 'ours.so postgres');
write_file("$installed/share/extension/pgtap.control", '');
stage('a package was installed', 'pgtap.control postgres');
unlink "$installed/share/extension/pgtap.control";
stage('it was removed', 'postgres');
write_file("$installed/bin/postgres", "#!/bin/sh\nexit 1\n", $EXECUTABLE);
stage('another was upgraded', 'postgres');
is(slurp("$scratch/stage$installed/bin/postgres"), "#!/bin/sh\nexit 1\n", '... of which there is the new file');
unlink glob "$scratch/stage/*.files";
unlink "$scratch/stage$installed/bin/postgres";
stage('a copy that was interrupted is made anew', 'postgres');
($output, $status) = shell($checkout, "test/stage-postgresql $staged /");
isnt($status, 0, 'PostgreSQL is not copied over itself');
ok(-e "$installed/bin/postgres", '... and is still there');

# ---- The PostgreSQL with sanitizers is renewed, too ----

# Stub programs replace the programs of the build. The stub of apt-get counts its calls, and offers
# no version later than 15.3. The stub of dpkg-query prints the installed version.
my $programs = "$scratch/programs";
make_path($programs, map { "$scratch/sources/postgresql-15/$_" } '.', 'contrib');
write_file("$scratch/sources/postgresql-15/configure", <<'CONFIGURE', $EXECUTABLE);
#!/bin/sh
prefix=${1#--prefix=}
printf 'all:\ninstall:\n\tmkdir -p %s/bin && touch %s/bin/pg_config && chmod 755 %s/bin/pg_config\n' "$prefix" "$prefix" "$prefix" >Makefile
CONFIGURE
write_file("$scratch/sources/postgresql-15/contrib/Makefile", "all install:\n");
system('tar', '-C', "$scratch/sources", '-czf', "$scratch/postgresql-15_15.orig.tar.gz", 'postgresql-15') == 0 or die "could not make sources\n";
write_file("$programs/dpkg-query", "#!/bin/sh\ncat $scratch/installed_version\n", $EXECUTABLE);
write_file("$programs/apt-cache", "#!/bin/sh\necho 'Version: 15.2'; echo 'Version: 15.3'\n", $EXECUTABLE);
write_file("$programs/apt-get", <<"APT", $EXECUTABLE);
#!/bin/sh
case "\$*" in
source*=15.[123]) echo "\$*" >>$scratch/asked; cp $scratch/postgresql-15_15.orig.tar.gz . ;;
source*) exit 1 ;;
esac
APT

sub sanitized
{
	my ($installed_version, $expected, $name) = @_;
	unlink "$scratch/asked";
	write_file("$scratch/installed_version", $installed_version);
	my ($said, $code) = shell($scratch, "PATH=$programs:\$PATH $checkout/test/build-sanitized-postgresql 15 $scratch/sanitized");
	is($code, 0, $name) or diag($said);
	is(slurp("$scratch/asked"), $expected && "source --download-only postgresql-15=$expected\n", '... built of ' . ($expected || 'nothing'));
	ok(-x "$scratch/sanitized/bin/pg_config", '... and it is there');
	return;
}

sanitized('15.1', '15.1', 'PostgreSQL is built with sanitizers');
write_file("$scratch/sanitized/left", '');
sanitized('15.1', '', 'it is kept');
sanitized('15.2', '15.2', 'its package was upgraded');
ok(!-e "$scratch/sanitized/left", '... and nothing is left of the old one');
unlink "$scratch/sanitized/made-for";
sanitized('15.2', '15.2', 'a build that was interrupted is done again');
sanitized('15.4', '15.3', 'of a version without sources the newest one with sources is built');
sanitized('15.4', '', '... and kept');

# ---- Objects are compiled again when their target changes ----

my $wrapper = write_file("$scratch/wrapped_pg_config", "#!/bin/sh\nif [ \$# -eq 0 ]; then cat $scratch/version; fi\nexec '$pg_config' \"\$\@\"\n", $EXECUTABLE);
sub made_anew
{
	my ($command, $object, $change) = @_;
	my $before = (Time::HiRes::stat("$checkout/$object"))[9] // 0;

	$change->();
	my ($said, $code) = shell($checkout, "$command PG_CONFIG=$wrapper");
	is($code, 0, "$command succeeds") or diag($said);
	return (Time::HiRes::stat("$checkout/$object"))[9] != $before;
}
foreach my $made ([ 'make src/server/pace.o', 'src/server/pace.o' ], [ 'make -C test/modules ../../build/modules/src/server/pace.o', 'build/modules/src/server/pace.o' ])
{
	write_file("$scratch/version", "15.1\n");
	ok(made_anew(@$made, sub { }), "$made->[0] makes it");
	ok(!made_anew(@$made, sub { }), 'it is kept');
	ok(made_anew(@$made, sub { write_file("$scratch/version", "15.2\n") }), 'for another PostgreSQL it is made anew');
	ok(made_anew("$made->[0] CFLAGS=-O0", $made->[1], sub { }), 'and with other options');
}

# ---- A build for a debugger ----

($output, $status) = shell($checkout, "make src/server/pace.o DEBUG_BUILD=1 WERROR=1 PG_CONFIG=$pg_config");
is($status, 0, 'an object is made for a debugger') or diag($output);
like($output, qr/ -O2 .* -O0 .*-g3/, '... without optimization');
like(qx(nm '$checkout/src/server/pace.o'), qr/ U ExceptionalCondition$/m, '... and with its assertions');
($output, $status) = shell($checkout, "make -n debug PG_CONFIG=$pg_config");
like($output, qr/ -O0 -g3 .* -DUSE_ASSERT_CHECKING .*src\/server\/pace\.c/, 'make debug builds all of it so');
($output, $status) = shell($checkout, "make src/server/pace.o PG_CONFIG=$pg_config");
unlike($output, qr/ -O0 /, 'an ordinary build');
unlike(qx(nm '$checkout/src/server/pace.o'), qr/ExceptionalCondition/, '... has no assertions');

# ---- ... and when a header that they include changes ----

sub touched
{
	my ($header) = @_;
	return made_anew('make src/server/pace.o', 'src/server/pace.o', sub { utime undef, undef, "$checkout/$header" or die "there is no $header\n" });
}
ok(made_anew('make src/server/pace.o', 'src/server/pace.o', sub { }), 'an object is made with the options of always');
ok(touched('src/server/pace.h'), 'it is made anew when its header has changed');
ok(touched('src/server/shared_state.h'), '... or another one that it includes');
ok(!touched('src/mail/message.h'), '... but not for one that it does not include');
rename "$checkout/src/base/count_text.h", "$checkout/src/base/kept.h" or die "there is no count_text.h\n";
($output, $status) = shell($checkout, "make src/server/pace.o PG_CONFIG=$pg_config");
is($status, 0, 'a header that is gone is no obstacle to what does not include it') or diag($output);
rename "$checkout/src/base/kept.h", "$checkout/src/base/count_text.h";

# ---- Files that root makes in a user's checkout ----

my $as_user = "setpriv --reuid=$USER --regid=$USER --clear-groups env HOME=$scratch PG_CONFIG=$pg_config PATH=/usr/bin:/bin";

sub owned_by_root
{
	return qx(find $checkout -uid 0);
}

system('chown', '-R', "$USER:$USER", $checkout);
($output, $status) = shell($checkout, "make src/server/pace.o CFLAGS=-O1 PG_CONFIG=$pg_config");
is($status, 0, 'root makes something in a user\'s checkout') or diag($output);
is(owned_by_root(), '', '... and all of it is the user\'s');
($output, $status) = shell($checkout, "make -j2 src/server/pace.o CFLAGS=-O2 PG_CONFIG=$pg_config");
is($status, 0, 'root makes something with several jobs') or diag($output);
unlike($output, qr/jobserver/, '... which it has');
($output, $status) = shell($checkout, "make src/server/pace.o src/none.o PG_CONFIG=$pg_config");
isnt($status, 0, 'root fails to make something');
is(owned_by_root(), '', '... and all of it is the user\'s');
foreach my $goal ('src/server/pace.o CFLAGS=-O0', 'clean')
{
	($output, $status) = shell($checkout, "$as_user make $goal");
	is($status, 0, "make $goal by the user succeeds after that") or diag($output);
}

my $pid = fork() // die "could not fork: $!\n";
exec("$checkout/test/ownership", 'run', 'sh', '-c', "mkdir $checkout/build; touch $checkout/build/begun; exec sleep 1000") if $pid == 0;
foreach (1 .. 6000)
{
	last if -e "$checkout/build/begun";
	Time::HiRes::sleep(0.1);
}
kill 'TERM', $pid;
waitpid($pid, 0);
isnt($?, 0, 'a run that is ended fails');
is(owned_by_root(), '', '... and what it has begun is the user\'s');

write_file("$checkout/build/of_root", '');
is_refused($checkout, "$as_user make", "cannot write \Q$checkout\E/build/of_root, which belongs to root: run sudo chown -R", 'a file of root that was left there');
unlink "$checkout/build/of_root";

# ---- A test that a user runs who is not root ----

my $NOBODY = getpwnam('nobody');
SKIP:
{
	my $staged_postgresql = $ENV{RHESIS_STAGE} or skip 'no PostgreSQL is staged', 3;

	make_path("$checkout/build");
	system('cp', '-a', $staged_postgresql, "$checkout/build/stage") == 0 or die "could not copy the staged PostgreSQL\n";
	system('chown', '-R', $NOBODY, $checkout);
	($output, $status) = shell($checkout,
		"setpriv --reuid=$NOBODY --clear-groups env HOME=$scratch PG_CONFIG=$pg_config PATH=/usr/bin:/bin TESTS='deferred_when_due t/postfix' test/run servers");
	like($output, qr/^skipped: postfix\.pl:? - Postfix runs as root only$/m, 'a user\'s test run has no Postfix');
	like($output, qr/^[1-9]\d* passed, 0 failed, 1 skipped$/m, '... and its other tests pass') or diag($output);
	is($status, 0, '... so it succeeds');
	system('chown', '-R', "$USER:$USER", $checkout);
}

# ---- The archive ----

my $archives = "$scratch/archives";
($output, $status) = shell($checkout, "test/dist $archives https://code.example/rhesis_notify/");
is($status, 0, 'the sources are packed') or diag($output);
like($output, qr{^\Q$archives\E/rhesis_notify-(\d+\.\d+\.\d+)\.zip$}m, '... in an archive of the name that PGXN wants');
my ($archive) = glob "$archives/rhesis_notify-*.zip";
my $packed = basename($archive // '', '.zip');
mkdir "$scratch/unpacked" or die "could not make a directory: $!\n";
($output, $status) = shell("$scratch/unpacked", "/usr/bin/python3 -c 'import shutil, sys; shutil.unpack_archive(sys.argv[1])' '$archive'");
is($status, 0, '... which can be unpacked') or diag($output);
is(join(' ', map { basename($_) } glob "$scratch/unpacked/*"), $packed, '... to one directory of that name');
is(qx(cd '$scratch/unpacked' && find . -name '*.o' -o -name '*.so' -o -name build -o -name node_modules), '', '... without anything that was built');
my $meta = decode_json(slurp("$scratch/unpacked/$packed/META.json"));
is($meta->{resources}{repository}{url}, 'https://code.example/rhesis_notify.git', 'META.json names the repository that was given');
is("$meta->{name}-$meta->{version}", $packed, '... and the archive\'s name and version');
is($meta->{provides}{rhesis_notify}{version}, $meta->{version}, '... which is the extension\'s version');
ok(-e "$scratch/unpacked/$packed/$meta->{provides}{rhesis_notify}{$_}", "... and the extension's $_ is in it") foreach qw(file docfile);
# PGXN's client makes a file executable by its first line.
system("cd '$scratch/unpacked/$packed' && grep -rlI '^#!' . | xargs chmod u+x");
($output, $status) = shell("$scratch/unpacked/$packed",
	"make -j2 all with_llvm=no PG_CONFIG=$pg_config && make install with_llvm=no PG_CONFIG=$pg_config DESTDIR=$scratch/from_archive");
is($status, 0, 'what is packed builds, and installs') or diag($output);
my ($installed_control) = split /\n/, qx(find '$scratch/from_archive' -name rhesis_notify.control);
ok(defined $installed_control && -e dirname($installed_control) . '/' . (slurp("$top/rhesis_notify.control") =~ /^default_version = '(.*)'/m ? "rhesis_notify--$1.sql" : ''), '... with the install script');

# PGXN refuses what breaks the rules of its META.json.
sub is_refused_by_pgxn
{
	my ($change, $breach, $name) = @_;
	my $broken = decode_json(slurp("$scratch/unpacked/$packed/META.json"));

	$change->($broken);
	write_file("$scratch/unpacked/$packed/broken.json", encode_json($broken));
	my ($breaches, $exit) = shell($top, "test/check-meta $scratch/unpacked/$packed/broken.json");
	like($breaches, qr{^META\.json/?\Q$breach\E}m, "META.json is refused: $name");
	return isnt($exit, 0, '... with a status');
}

is_refused_by_pgxn(sub { delete $_[0]{$_} }, qq(: the key "$_" is missing), "without $_") foreach qw(name version abstract maintainer license provides meta-spec);
is_refused_by_pgxn(sub { $_[0]{license} = 'PostgreSQL' }, 'license: ', 'with a license that PGXN does not know');
is_refused_by_pgxn(sub { delete $_[0]{provides}{rhesis_notify}{file} }, 'provides/rhesis_notify: the key "file"', 'with an extension without a file');
is_refused_by_pgxn(sub { $_[0]{provides}{rhesis_notify}{docfile} = 'doc/none.md' }, 'provides/rhesis_notify/docfile: ', 'with a page that is not there');
is_refused_by_pgxn(sub { $_[0]{provides}{rhesis_notify}{version} = '1.1.0' }, 'provides/rhesis_notify/version: ', 'with a version that the control file does not give');
is_refused_by_pgxn(sub { $_[0]{version} = '1.2' }, 'version: ', 'with a version of two numbers');
is_refused_by_pgxn(sub { $_[0]{resources}{bugtracker}{web} = 'code.example' }, 'resources/bugtracker/web: ', 'with an address that is no URL');
is_refused_by_pgxn(sub { $_[0]{'meta-spec'}{version} = '2.0.0' }, 'meta-spec/version: ', 'with another version of the rules');
is_refused_by_pgxn(sub { $_[0]{prereqs}{runtime}{needs} = {} }, 'prereqs/runtime/needs: ', 'with an unknown kind of requirement');
is_refused_by_pgxn(sub { $_[0]{sources} = 1 }, ': the key "sources" is unknown', 'with an unknown key');

# ---- The sources of an earlier version, where there is no history ----

($output, $status) = shell($checkout, "test/previous-version 1.0 $scratch/previous");
like($output, qr/^our own sources, called 1\.0 and without rhesis_notify_require_library \(this checkout has no history\)$/m, 'without a history, the sources of an earlier version are our own');
is($status, 0, '... which is no failure') or diag($output);
my %is_previous = map { $_ => 1 } split /\n/, qx(cd '$scratch/previous' && find . -type f);
my @packed_files = split /\n/, qx(/usr/bin/python3 -c 'import sys, zipfile; print(*zipfile.ZipFile(sys.argv[1]).namelist(), sep="\\n")' '$archive');
my @lacking = grep { !m{/\z|/sql/rhesis_notify--[^/]*\z} && !$is_previous{s{^\Q$packed\E}{.}r} } @packed_files;
cmp_ok(scalar(@packed_files), '>', 100, 'the archive has its files');
is(join(' ', @lacking), '', '... and what is packed is there');
is(join(' ', glob "$scratch/previous/sql/rhesis_notify--*"), "$scratch/previous/sql/rhesis_notify--1.0.sql", '... with the install script of that version alone');
($output, $status) = shell("$scratch/previous", "make -j2 all with_llvm=no PG_CONFIG=$pg_config");
is($status, 0, '... and it builds') or diag($output);

# ---- A demo that root has left running ----

make_path("$checkout/build/demo", "$scratch/demo");
chmod 0700, "$scratch/demo";
write_file("$checkout/build/demo/running.json", qq({"scratch": "$scratch/demo", "bindir": "/nowhere", "mail_catcher": null}));
system('chown', '-R', "$USER:$USER", "$checkout/build");
($output, $status) = shell($checkout, "$as_user make demo-stop");
like($output, qr/\AThe demo failed: another user has left it running; stop it with: sudo make demo-stop\nmake: .*\n\z/, 'make demo-stop by a user says how to stop root\'s demo');
isnt($status, 0, '... and fails');
($output, $status) = shell($checkout, "make demo-stop PG_CONFIG=$pg_config");
is($status, 0, 'root stops it') or diag($output);
ok(!-e "$scratch/demo" && !-e "$checkout/build/demo/running.json", '... and nothing is left');

# ---- Kept scripts ----

my ($version) = slurp("$top/rhesis_notify.control") =~ /^default_version\s*=\s*'(.*)'/m;
is_deeply([ slurp("$top/.gitignore") =~ m{^/sql/(.*)$}mg ], ["rhesis_notify--$version.sql"], 'git ignores the script of the version in the making, and keeps all others');

done_testing();
