# Describes the objects of the extension in the catalog of a database, so that two installations can
# be compared.
package RhesisNotify::Catalog;

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP;

our @EXPORT_OK = qw(catalog_of differences);

# Rows of (object, property, value). The objects are those that belong to the extension, and those
# in its schema. So an object is seen even if it no longer belongs to the extension, or does not
# belong to it yet. Numbers that differ between databases are left out: oids, the numbers of columns
# (only their order counts), and the server's counter in the options of columns (pg_attver).
my $query = q{
WITH
	members AS (
		SELECT classid, objid FROM pg_depend
		WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
			AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'rhesis_notify')),
	space AS (SELECT 'rhesis_notify'::regnamespace::oid AS oid),
	relations AS (SELECT c.*, c.oid::regclass::text AS name FROM pg_class AS c WHERE relnamespace = (SELECT oid FROM space)),
	functions AS (SELECT p.*, p.oid::regprocedure::text AS name FROM pg_proc AS p WHERE pronamespace = (SELECT oid FROM space)),
	types AS (SELECT t.*, t.oid::regtype::text AS name FROM pg_type AS t WHERE typnamespace = (SELECT oid FROM space)),
	columns AS (
		SELECT a.*, r.name AS relation, r.relkind,
			rank() OVER (PARTITION BY attrelid ORDER BY attnum) AS place,
			(SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = attrelid AND adnum = attnum) AS default_value
		FROM pg_attribute AS a JOIN relations AS r ON r.oid = attrelid
		WHERE attnum > 0 AND NOT attisdropped),
	-- Everything that may have a comment, an owner's label or privileges of its own.
	addresses AS (
		SELECT classid, objid FROM members
		UNION SELECT 'pg_namespace'::regclass, oid FROM space
		UNION SELECT 'pg_class'::regclass, oid FROM relations
		UNION SELECT 'pg_proc'::regclass, oid FROM functions
		UNION SELECT 'pg_type'::regclass, oid FROM types
		UNION SELECT 'pg_constraint'::regclass, oid FROM pg_constraint WHERE connamespace = (SELECT oid FROM space)
		UNION SELECT 'pg_trigger'::regclass, oid FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM relations) AND NOT tgisinternal
		UNION SELECT 'pg_policy'::regclass, oid FROM pg_policy WHERE polrelid IN (SELECT oid FROM relations)
		UNION SELECT 'pg_rewrite'::regclass, oid FROM pg_rewrite WHERE ev_class IN (SELECT oid FROM relations)
		UNION SELECT 'pg_extension'::regclass, oid FROM pg_extension WHERE extname = 'rhesis_notify'),
	objects AS (
		SELECT a.*, type || ' ' || identity AS object
		FROM addresses AS a, pg_identify_object(classid, objid, 0))

SELECT 'extension' AS object, property, value
FROM pg_extension AS e,
	LATERAL (VALUES
		('version', extversion), ('owner', extowner::regrole::text), ('schema', extnamespace::regnamespace::text),
		('relocatable', extrelocatable::text)) AS facts (property, value)
WHERE extname = 'rhesis_notify'
UNION ALL
SELECT 'dumped data of ' || relation::regclass, 'condition', condition
FROM pg_extension, unnest(extconfig, extcondition) AS dumped (relation, condition) WHERE extname = 'rhesis_notify'
UNION ALL
SELECT object, property, value
FROM objects AS o,
	LATERAL (VALUES
		('exists', 'yes'),
		('belongs to the extension', (EXISTS (SELECT FROM members AS m WHERE (m.classid, m.objid) = (o.classid, o.objid)))::text),
		('comment', (SELECT description FROM pg_description AS d WHERE (d.classoid, d.objoid, d.objsubid) = (o.classid, o.objid, 0))),
		('initial privileges', (SELECT string_agg(format('%s %s %s', (SELECT attname FROM pg_attribute WHERE o.classid = 'pg_class'::regclass
					AND attrelid = o.objid AND attnum = i.objsubid), i.privtype, i.initprivs), ', ' ORDER BY i.objsubid)
			FROM pg_init_privs AS i WHERE (i.classoid, i.objoid) = (o.classid, o.objid))))
		AS facts (property, value)
UNION ALL
SELECT 'schema', property, value
FROM pg_namespace AS n,
	LATERAL (VALUES ('privileges', nspacl::text), ('owner', nspowner::regrole::text)) AS facts (property, value)
WHERE oid = (SELECT oid FROM space)
UNION ALL
SELECT 'function ' || name, property, value
FROM functions AS f,
	LATERAL (VALUES
		('definition', CASE WHEN prokind = 'a' THEN to_jsonb((SELECT a FROM pg_aggregate AS a WHERE aggfnoid = f.oid))::text
			ELSE pg_get_functiondef(f.oid) END),
		('volatility', provolatile::text), ('security definer', prosecdef::text), ('parallel', proparallel::text),
		('strict', proisstrict::text), ('leakproof', proleakproof::text), ('settings', proconfig::text), ('source', prosrc),
		('library', probin::text), ('cost and rows', procost || ' ' || prorows), ('privileges', proacl::text),
		('owner', proowner::regrole::text)) AS facts (property, value)
UNION ALL
SELECT 'relation ' || name, property, value
FROM relations AS r,
	LATERAL (VALUES
		('kind', concat_ws(' ', relkind, relpersistence)), ('options', reloptions::text),
		('options of its TOAST table', (SELECT t.reloptions::text FROM pg_class AS t WHERE t.oid = r.reltoastrelid)),
		('row security', relrowsecurity || ' ' || relforcerowsecurity), ('replica identity', relreplident::text),
		('access method', (SELECT amname::text FROM pg_am AS am WHERE am.oid = relam)), ('privileges', relacl::text),
		('owner', relowner::regrole::text),
		('definition', CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) WHEN relkind = 'i' THEN pg_get_indexdef(r.oid) END),
		('index', (SELECT concat_ws(' ', indisunique, indisprimary, indisvalid, indisclustered, indisreplident, indimmediate)
			FROM pg_index WHERE indexrelid = r.oid)),
		('sequence', (SELECT concat_ws(' ', format_type(seqtypid, NULL), seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle)
			FROM pg_sequence WHERE seqrelid = r.oid)),
		('sequence of', (SELECT format('%s.%s %s', refobjid::regclass, (SELECT attname FROM pg_attribute WHERE attrelid = refobjid
					AND attnum = refobjsubid), deptype)
			FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = r.oid AND relkind = 'S' AND deptype IN ('a', 'i'))))
		AS facts (property, value)
UNION ALL
SELECT 'column ' || relation || '.' || attname, property, value
FROM columns AS c,
	LATERAL (VALUES
		('place', place::text), ('type', format_type(atttypid, atttypmod)), ('not null', attnotnull::text),
		('default', default_value), ('identity', attidentity::text), ('generated', attgenerated::text),
		('collation', nullif(attcollation, 0)::regcollation::text), ('storage', concat_ws(' ', attstorage, attcompression)),
		('statistics', nullif(to_jsonb(c) ->> 'attstattarget', '-1')), ('options', (SELECT array_agg(o)::text FROM unnest(attoptions) AS o WHERE o !~ '^pg_attver=')),
		('privileges', attacl::text), ('comment', col_description(attrelid, attnum))) AS facts (property, value)
UNION ALL
SELECT format('constraint %s of %s', conname, coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text)), property, value
FROM pg_constraint AS c,
	LATERAL (VALUES ('definition', pg_get_constraintdef(oid)),
		('checked', concat_ws(' ', convalidated, condeferrable, condeferred, conislocal, connoinherit, to_jsonb(c) ->> 'conenforced'))) AS facts (property, value)
WHERE connamespace = (SELECT oid FROM space)
UNION ALL
SELECT format('trigger %s of %s', tgname, tgrelid::regclass), property, value
FROM pg_trigger,
	LATERAL (VALUES ('definition', pg_get_triggerdef(oid)), ('enabled', tgenabled::text)) AS facts (property, value)
WHERE tgrelid IN (SELECT oid FROM relations) AND NOT tgisinternal
UNION ALL
SELECT format('policy %s of %s', polname, polrelid::regclass), property, value
FROM pg_policy,
	LATERAL (VALUES ('kind', concat_ws(' ', polcmd, polpermissive, polroles::regrole[])),
		('using', pg_get_expr(polqual, polrelid)), ('with check', pg_get_expr(polwithcheck, polrelid))) AS facts (property, value)
WHERE polrelid IN (SELECT oid FROM relations)
UNION ALL
SELECT format('rule %s of %s', rulename, ev_class::regclass), 'definition', pg_get_ruledef(oid)
FROM pg_rewrite WHERE ev_class IN (SELECT oid FROM relations)
UNION ALL
SELECT 'type ' || name, property, value
FROM types AS t,
	LATERAL (VALUES
		('kind', concat_ws(' ', typtype, typcategory, typnotnull)), ('base', nullif(typbasetype, 0)::regtype::text), ('default', typdefault),
		('labels', (SELECT string_agg(enumlabel, ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)),
		('privileges', typacl::text), ('owner', typowner::regrole::text)) AS facts (property, value)
};

# The tables whose rows the extension ships: those whose rows are not dumped. Without
# database_birth, because each database has its own row there.
my $shipped = q{
	SELECT c.oid::regclass FROM pg_class AS c
	WHERE relnamespace = 'rhesis_notify'::regnamespace AND relkind = 'r' AND relname <> 'database_birth'
		AND c.oid <> ALL ((SELECT extconfig FROM pg_extension WHERE extname = 'rhesis_notify')::oid[])
	ORDER BY 1};

# Returns the catalog of a database as a hash of "object: property" and value. If a statement is
# given, it is the catalog after that statement.
sub catalog_of
{
	my ($node, $database, $change) = @_;
	my $sql = "BEGIN;\n" . ($change // '') . ";\nSET search_path = pg_catalog;\nSELECT coalesce(jsonb_agg(c), '[]') FROM ($query) AS c;\n";

	foreach my $table (split /\n/, $node->sql($shipped, $database))
	{
		# The column id is not compared, because the database assigns its numbers.
		$sql .= "SELECT coalesce(jsonb_agg(jsonb_build_object('object', 'row of $table', 'property', (to_jsonb(r) - 'id')::text, 'value', 'is there')), '[]')
			FROM $table AS r;\n";
	}
	my @facts = map { @{ decode_json($_) } } grep { /^\[/ } split /\n/, $node->sql($sql . 'ROLLBACK', $database);
	my %catalog = map { ("$_->{object}: $_->{property}" => $_->{value}) } @facts;

	die "the catalog of $database says one thing twice\n" unless keys %catalog == @facts;
	return %catalog;
}

# Returns one line for each difference between two catalogs.
sub differences
{
	my ($one, $other) = @_;
	my %all = (%$one, %$other);
	my $said = sub { my ($catalog, $fact) = @_; return exists $catalog->{$fact} ? $catalog->{$fact} // 'null' : 'absent' };

	return map { "$_\n\t" . $said->($one, $_) . "\n\t" . $said->($other, $_) }
	  grep { $said->($one, $_) ne $said->($other, $_) } sort keys %all;
}

1;
