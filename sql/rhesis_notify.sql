\echo Use "CREATE EXTENSION rhesis_notify" to load this file. \quit
