-- rhesis_notify: what version 1.1 changes in the objects of 1.0.

\echo Use "ALTER EXTENSION rhesis_notify UPDATE TO '1.1'" to load this file. \quit
