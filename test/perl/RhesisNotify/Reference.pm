
# The generated parts of doc/reference.md, doc/dba.md and doc/contributing.md, as Markdown. They
# come from the comments in the catalog, the descriptions of the settings, and the sources.
package RhesisNotify::Reference;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename;
use JSON::PP;
use PostgreSQL::Test::Utils;
use RhesisNotify::Messages qw(messages_of_sources);
use RhesisNotify::Sources qw(folder_levels source_files source_text);

our @EXPORT_OK = qw(sections);

my $top = abs_path(dirname(__FILE__) . '/../../..');

# Returns name and text of each part. The server needs the extension, and the roles "a_task",
# "an_operator" and "a_monitor" with the privileges of grant_to().
sub sections
{
	my ($node) = @_;
	my @messages = messages_of_sources($node);

	return (
		[ settings => settings($node) ],
		[ states => meanings($node, 'state', q{obj_description('rhesis_notify.delivery_state'::regtype, 'pg_type')}) ],
		[ events => meanings($node, 'event', q{col_description('rhesis_notify.delivery_events'::regclass, 4)}) ],
		[ functions => functions($node) ],
		[ tables => relations($node, 'r') ],
		[ views => relations($node, 'v') ],
		[ 'log lines' => messages(grep { $_->{level} =~ /^(?:LOG|WARNING)$/ } @messages) ],
		[ errors => messages(grep { $_->{level} =~ /^(?:ERROR|NOTICE)$/ } @messages) ],
		[ 'security definer' => security_definer($node) ],
		[ 'map of the sources' => map_of_sources() ]);
}

# ---- Markdown ----

# Returns a text as a cell of a table.
sub cell
{
	my ($text) = @_;
	return ($text // '') =~ s/([|<])/\\$1/gr =~ s/\s+/ /gr;
}

sub code
{
	my ($text) = @_;
	return defined $text && $text ne '' ? '`' . ($text =~ s/\|/\\|/gr) . '`' : '';
}

# Returns a comment as prose. Names of objects are formatted as code, and it ends with a full stop.
sub prose
{
	my ($text) = @_;
	my $marked = ($text // '') =~ s/(?<![\w`.])(rhesis_notify\.\w+|\w+\(\)|\w+_\w+)(?![\w`])/`$1`/gr;

	return $marked =~ s/([^.?!])\z/$1./r;
}

sub table
{
	my ($head, @rows) = @_;
	return join '', map { '| ' . join(' | ', @$_) . " |\n" } $head, [ map { '---' } @$head ], @rows;
}

# Returns the rows of a query as hashes.
sub rows
{
	my ($node, $query) = @_;
	return @{ decode_json($node->sql("SELECT coalesce(json_agg(r), '[]') FROM ($query) AS r")) };
}

# ---- Settings ----

my %values_of = (
	bool => sub { 'values: `on`, `off`' },
	enum => sub { 'values: ' . join ', ', map { "`$_`" } @{ $_[0]{enumvals} } },
	integer => \&range,
	real => \&range,
	string => sub { 'text' },);

# Returns the range of a setting. The largest integer means that there is no upper limit.
sub range
{
	my ($setting) = @_;
	my $unit = $setting->{unit} ? " $setting->{unit}" : '';
	return $setting->{max_val} == 2147483647 ? "from $setting->{min_val}$unit" : "$setting->{min_val} to $setting->{max_val}$unit";
}

# Adds the password. pg_settings does not show it, so its description comes from the source.
sub password_setting
{
	my ($descriptions) = source_text('c') =~
	  /DefineCustomStringVariable\(\s*"rhesis_notify\.smtp_password",((?:\s*"[^"]*",?)+)\s*&/
	  or die "no source defines the password\n";
	my ($short, $extra) = map { join '', /"([^"]*)"/g } $descriptions =~ /((?:\s*"[^"]*")+),/g;

	return { name => 'rhesis_notify.smtp_password', vartype => 'string', context => 'superuser', short_desc => $short, extra_desc => $extra };
}

# Returns the default, the source of the default, and the allowed values.
sub default_and_values
{
	my ($setting, $variable) = @_;
	my $default = ($setting->{value} // '') eq '' ? 'empty' : code($setting->{value});

	$default .= ", or the environment's `$variable`" if $variable;
	return "Default: $default; " . $values_of{ $setting->{vartype} }->($setting) . '.';
}

# Returns one table of settings for each context.
sub settings
{
	my ($node) = @_;
	my %contexts;

	foreach my $setting (
		rows($node, q{
			SELECT name, unit, vartype, context, min_val, max_val, enumvals, short_desc, extra_desc, current_setting(name) AS value
			FROM pg_settings WHERE name LIKE 'rhesis\_notify.%'}),
		password_setting())
	{
		my $description = join ' ', grep { defined } @$setting{qw(short_desc extra_desc)};
		my $variable = $description =~ s/ \(environment: (\w+)\)// ? $1 : '';

		$contexts{ $setting->{context} }{ $setting->{name} } =
		  [ code($setting->{name}), cell(prose($description)) . '<br>' . default_and_values($setting, $variable) ];
	}
	return join "\n", map
	{
		my $of_context = $contexts{$_};
		"Context `$_`:\n\n" . table([ 'setting', 'meaning' ], map { $of_context->{$_} } sort keys %$of_context);
	} sort keys %contexts;
}

# ---- Words and their meanings ----

# Returns a comment of the form "word: meaning; word: meaning" as a table.
sub meanings
{
	my ($node, $head, $comment) = @_;
	my @pairs = map { [ split /: /, $_, 2 ] } split /; /, $node->sql("SELECT $comment");

	return table([ $head, 'meaning' ], map { [ code($_->[0]), cell(prose($_->[1])) ] } @pairs);
}

# ---- Functions ----

# Says who may call a function, or read a relation: the calls of grant_to() that grant it.
sub audience
{
	my ($row, $what) = @_;
	my @who = ($row->{for_tasks} ? 'task' : (), $row->{for_operators} ? 'operator' : (), $row->{for_monitors} ? 'monitor' : ());
	my $calls = join ' or ', map { "`grant_to(..., '$_')`" } @who;

	return "Only the extension's owner may $what it." unless @who;
	return $what eq 'call' ? "$calls grants it." : "$calls grants reading it.";
}

# Shortens PostgreSQL's long names of types and removes casts.
sub short_type
{
	my ($text) = @_;
	return $text =~ s/timestamp with time zone/timestamptz/gr =~ s/::[\w ]+\z//r;
}

# Returns "NAME(ITEM, ...)", on one line if it is short.
sub call
{
	my ($name, @items) = @_;
	my $line = "$name(" . join(', ', @items) . ')';

	return length($line) <= 80 ? $line : "$name(\n" . join(",\n", map { "    $_" } @items) . ')';
}

sub functions
{
	my ($node) = @_;
	my @functions = rows($node, q{
		SELECT proname AS name, pg_get_function_result(p.oid) AS result, proretset AS is_set, obj_description(p.oid, 'pg_proc') AS comment,
			(SELECT json_agg(pg_get_function_arg_default(p.oid, n::int) ORDER BY n) FROM generate_series(1, pronargs) AS n) AS defaults,
			(SELECT json_agg(name || ' ' || format_type(coalesce(proallargtypes[n], proargtypes[n - 1]), NULL) ORDER BY n)
			 FROM unnest(proargnames) WITH ORDINALITY AS a (name, n) WHERE coalesce(proargmodes[n], 'i') IN ('i', 'v')) AS arguments,
			(SELECT json_agg(name || ' ' || format_type(proallargtypes[n], NULL) ORDER BY n)
			 FROM unnest(proargnames) WITH ORDINALITY AS a (name, n) WHERE proargmodes[n] IN ('o', 't')) AS columns,
			has_function_privilege('a_task', p.oid, 'EXECUTE') AS for_tasks,
			has_function_privilege('an_operator', p.oid, 'EXECUTE') AS for_operators,
			has_function_privilege('a_monitor', p.oid, 'EXECUTE') AS for_monitors
		FROM pg_proc AS p
		WHERE pronamespace = 'rhesis_notify'::regnamespace AND prorettype <> 'trigger'::regtype
		ORDER BY proname});

	return join(', ', map { "[`$_->{name}`](#$_->{name})" } @functions) . "\n\n" . join "\n", map
	{
		my $function = $_;
		my @defaults = map { defined $_ ? ' DEFAULT ' . short_type($_) : '' } @{ $function->{defaults} // [] };
		my @arguments = map { short_type($_) . shift(@defaults) } @{ $function->{arguments} // [] };
		my $result = $function->{columns} ? call($function->{is_set} ? 'TABLE ' : 'ROW ', map { short_type($_) } @{ $function->{columns} }) : $function->{result};

		"### $function->{name}\n\n```text\n" . call($function->{name}, @arguments) . "\nRETURNS $result\n```\n\n"
		  . prose($function->{comment}) . ' ' . audience($function, 'call') . "\n";
	} @functions;
}

# Returns the functions that run as the owner of the extension.
sub security_definer
{
	my ($node) = @_;
	my @names = split /\n/, $node->sql(q{SELECT proname FROM pg_proc WHERE pronamespace = 'rhesis_notify'::regnamespace AND prosecdef ORDER BY 1});

	return join(', ', map { "`$_`" } @names) . ".\n";
}

# ---- Tables and views ----

sub relations
{
	my ($node, $kind) = @_;
	my @relations = rows($node, qq{
		SELECT c.relname AS name, obj_description(c.oid, 'pg_class') AS comment,
			has_any_column_privilege('a_task', c.oid, 'SELECT') AS for_tasks,
			has_any_column_privilege('an_operator', c.oid, 'SELECT') AS for_operators,
			has_any_column_privilege('a_monitor', c.oid, 'SELECT') AS for_monitors,
			(SELECT json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod), 'not_null', attnotnull,
				'default', pg_get_expr(adbin, adrelid), 'identity', attidentity <> '', 'comment', col_description(c.oid, attnum)) ORDER BY attnum)
			 FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
			 WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns,
			(SELECT json_agg(json_build_object('name', conname, 'is', pg_get_constraintdef(oid, true), 'comment', obj_description(oid, 'pg_constraint')) ORDER BY conname)
			 FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c') AS checks,
			(SELECT json_agg(json_build_object('name', (SELECT relname FROM pg_class WHERE oid = indexrelid), 'is', substring(pg_get_indexdef(indexrelid, 0, true) FROM '[(].*'),
				'comment', obj_description(indexrelid, 'pg_class')) ORDER BY indexrelid::regclass::text)
			 FROM pg_index WHERE indrelid = c.oid AND obj_description(indexrelid, 'pg_class') IS NOT NULL) AS indexes,
			(SELECT json_agg(json_build_object('name', polname, 'is', CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' ELSE polcmd::text END,
				'comment', obj_description(oid, 'pg_policy')) ORDER BY polname)
			 FROM pg_policy WHERE polrelid = c.oid) AS policies
		FROM pg_class AS c
		WHERE c.relnamespace = 'rhesis_notify'::regnamespace AND c.relkind = '$kind'
		ORDER BY c.relname});
	my $text = '';

	foreach my $relation (@relations)
	{
		my @columns = map { [ code($_->{name}), code(short_type($_->{type})), $kind eq 'r' ? default_of($_) : (), cell(prose($_->{comment})) ] } @{ $relation->{columns} };

		$text .= "\n" if $text ne '';
		$text .= "### $relation->{name}\n\n" . prose($relation->{comment}) . ' ' . audience($relation, 'read') . "\n\n"
		  . table([ 'column', 'type', $kind eq 'r' ? 'default' : (), 'meaning' ], @columns)
		  . details('constraint', 'condition', $relation->{checks})
		  . details('index', 'of', $relation->{indexes})
		  . details('row security', 'for', $relation->{policies});
	}
	return $text;
}

# Returns the other parts of a table: constraints, indexes, policies.
sub details
{
	my ($what, $of, $details) = @_;

	return '' unless $details;
	return "\n" . table(
		[ $what, $of, 'meaning' ],
		map { [ code($_->{name}), code($_->{is} =~ s/^CHECK \((.*)\)\z/$1/sr =~ s/::(?:text|rhesis_notify\.\w+)\b//gr), cell(prose($_->{comment})) ] } @$details);
}

sub default_of
{
	my ($column) = @_;

	return 'numbered' if $column->{identity};
	return code(short_type($column->{default})) if defined $column->{default};
	return $column->{not_null} ? 'required' : 'null';
}

# ---- Messages ----

sub messages
{
	my (@messages) = @_;
	my @rows = map
	{
		[ $_->{level}, join(' ', map { code($_) } @{ $_->{sqlstates} }), cell($_->{message}), cell(join ' ', grep { defined } $_->{detail}, $_->{hint}) ]
	} @messages;

	return table([ 'level', 'SQLSTATE', 'message', 'detail and hint' ], @rows);
}

# ---- The sources ----

# Returns the purpose in the comment at the head of a file, up to its first full stop or paragraph.
sub purpose_of
{
	my ($file) = @_;
	my ($head) = slurp_file($file) =~ m{\A/\*\n(.*?)^ \*/}ms or die "$file has no head\n";
	my ($first) = split /\n\n/, $head =~ s/^ \* ?//mgr;

	return $first =~ s/\A\S+ - //r =~ s/\s+/ /gr =~ s/\. .*|\.?\s*\z//r;
}

# Returns the table of a folder. A header and a C file with the same name are one module, whose
# purpose is in the header.
sub map_of_folder
{
	my ($folder) = @_;
	my %modules;

	foreach my $file (grep { basename(dirname($_)) eq $folder } source_files())
	{
		my ($name) = basename($file) =~ /^(\w+)\.[ch]$/;
		push @{ $modules{$name} }, $file;
	}
	return table(
		[ 'file', 'what it is for' ],
		map {
			my @files = @{ $modules{$_} };
			my ($header) = grep { /\.h$/ } @files;
			[ code(@files == 2 ? "$_.[ch]" : basename($files[0])), cell(purpose_of($header // $files[0])) ]
		} sort keys %modules);
}

# Returns a table for rhesis_notify.c, and then one for each folder, the lowest level first.
sub map_of_sources
{
	return join "\n", map { "### $_->[0]\n\n" . map_of_folder($_->[1]) } [ 'src', 'src' ], map { [ "src/$_", $_ ] } map { @$_ } folder_levels();
}

1;
