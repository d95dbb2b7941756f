-- The demo's table, for the role that its tasks run as: psql -v role=demo_tasks -f app.sql
CREATE TABLE public.test_set (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, tests integer NOT NULL);
GRANT SELECT, INSERT ON public.test_set TO :"role";
