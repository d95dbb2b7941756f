-- A small application in the shape of Rhesis: users and their organizations. The extension reads
-- these two tables.

CREATE TABLE public.organization
(
	id uuid PRIMARY KEY,
	name text NOT NULL,
	display_name text
);

CREATE TABLE public."user"
(
	id uuid PRIMARY KEY,
	email text NOT NULL,
	name text,
	given_name text,
	organization_id uuid REFERENCES public.organization,
	is_active boolean NOT NULL DEFAULT true,
	deleted_at timestamptz
);

INSERT INTO public.organization (id, name, display_name)
VALUES ('a0000000-0000-4000-8000-000000000001', 'acme', 'Acme Robotics');

INSERT INTO public."user" (id, email, name, given_name, organization_id)
VALUES
	('b0000000-0000-4000-8000-000000000001', 'jane@acme.example', 'Jane Doe', 'Jane', 'a0000000-0000-4000-8000-000000000001'),
	('b0000000-0000-4000-8000-000000000002', 'rene@acme.example', 'René Müller', 'René', 'a0000000-0000-4000-8000-000000000001'),
	('b0000000-0000-4000-8000-000000000003', 'busy@acme.example', NULL, 'Ada', 'a0000000-0000-4000-8000-000000000001'),
	('b0000000-0000-4000-8000-000000000004', 'gone@acme.example', 'Ex Colleague', NULL, 'a0000000-0000-4000-8000-000000000001'),
	('b0000000-0000-4000-8000-000000000005', 'bot@placeholder.rhesis.ai', 'CI Bot', NULL, 'a0000000-0000-4000-8000-000000000001');

-- The role that the tasks run as. It can report tasks. It cannot choose an address, or mark a mail
-- as sent.
CREATE ROLE demo_tasks LOGIN;
SELECT rhesis_notify.grant_to('demo_tasks');

-- A registered task is mailed; all others are silent. collect_results, the test-run summary, is
-- registered by default.
SELECT rhesis_notify.email_notification('generate_test_set', display_name => 'Generate Test Set');
SELECT rhesis_notify.email_notification('execute_test_configuration', display_name => 'Execute Test Configuration');
