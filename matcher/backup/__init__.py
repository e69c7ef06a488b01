"""`matcher backup FILE` and `matcher restore FILE`: PostgreSQL's content as one verified file.

Owns: the file's form, calling pg_dump and pg_restore, putting a restored database in the place of the old one
(docs/adr/0056). Must not know any table, and must not change a database that it has not made itself.
"""
